"""The rerank API of Mixedbread: the list `input` in, `data` out, with what was sent as it was sent."""

from deployments.dialects.cohere import usage
from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import answer, scored_list


class MixedbreadRequest(Extras, kw_only=True):
    query: str
    input: list[Document]
    top_k: int | None = None
    return_input: bool | None = None
    rank_fields: list[str] | None = None
    """Keys of an object that make its text, in this order."""


def asked(request: MixedbreadRequest) -> Asked:
    return Asked(
        query=request.query,
        documents=request.input,
        extras=request,
        top=request.top_k,
        echo=bool(request.return_input),
        fields=tuple(request.rank_fields or ()),
    )


def reply(scored: Scored) -> bytes:
    head = {"object": "list", "model": scored.model, "top_k": len(scored.order)}
    head |= {"return_input": scored.asked.echo}
    listed = scored_list(scored, "score", "input", lambda sent, text: sent)
    return answer(scored, head, "data", listed, {"usage": usage(scored)})


MIXEDBREAD = Dialect(name="mixedbread", request=MixedbreadRequest, asked=asked, reply=reply)
