"""The rerank API of Voyage: the list is `data`, the limit `top_k`, a repeated document a plain text."""

from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import answer, plain_text, scored_list


class VoyageRequest(Extras, kw_only=True):
    """Long documents are cut whatever `truncation` says: Weaviate sends false and means nothing by it."""

    query: str
    documents: list[Document]
    top_k: int | None = None
    return_documents: bool | None = None


def asked(request: VoyageRequest) -> Asked:
    return Asked(
        query=request.query,
        documents=request.documents,
        extras=request,
        top=request.top_k,
        echo=bool(request.return_documents),
    )


def reply(scored: Scored) -> bytes:
    head, usage = {"object": "list", "model": scored.model}, {"total_tokens": scored.tokens}
    return answer(scored, head, "data", scored_list(scored, form=plain_text), {"usage": usage})


VOYAGE = Dialect(name="voyage", request=VoyageRequest, asked=asked, reply=reply)
