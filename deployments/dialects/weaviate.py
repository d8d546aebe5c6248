"""What Weaviate's reranker-transformers speaks: scores in the order of the documents, each with its text."""

from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import answer, plain_text, scored_list


class WeaviateRequest(Extras, kw_only=True):
    """Sent in chunks of 32, without a content type and without a key; `property` is always there."""

    query: str
    documents: list[Document]


def asked(request: WeaviateRequest) -> Asked:
    return Asked(query=request.query, documents=request.documents, extras=request, echo=True, in_order=True)


def reply(scored: Scored) -> bytes:
    listed = scored_list(scored, "score", form=plain_text)
    return answer(scored, {"query": scored.asked.query}, "scores", listed, {})


WEAVIATE = Dialect(name="weaviate", request=WeaviateRequest, asked=asked, reply=reply)
