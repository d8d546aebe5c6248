"""The rerank API of Hugging Face's text-embeddings-inference: `texts` in, a bare list out."""

from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import plain_text, scored_list


class TeiRequest(Extras, kw_only=True):
    """`documents` and `return_documents` are what Elasticsearch's hugging_face service sent at first."""

    query: str
    texts: list[Document] | None = None
    documents: list[Document] | None = None
    raw_scores: bool | None = None
    return_text: bool | None = None
    return_documents: bool | None = None
    top_n: int | None = None
    """No part of the protocol; Elasticsearch and others send it."""


def asked(request: TeiRequest) -> Asked:
    sent = request.documents if request.texts is None else request.texts
    if sent is None:
        raise ValueError("Object missing required field `texts`")
    return Asked(
        query=request.query,
        documents=sent,
        extras=request,
        top=request.top_n,
        echo=bool(request.return_text or request.return_documents),
        raw=bool(request.raw_scores),
    )


def reply(scored: Scored) -> bytes:
    return scored_list(scored, "score", "text", plain_text).encode("ascii")


TEI = Dialect(name="tei", request=TeiRequest, asked=asked, reply=reply, refused=422)
