"""The rerank API of Pinecone: documents are objects, and come back unless the request says otherwise."""

from dataclasses import replace

from deployments.dialects.cohere import CohereRequest
from deployments.dialects.cohere import asked as as_cohere
from deployments.dialects.dialect import Asked, Dialect, Scored
from deployments.dialects.entries import answer, scored_list


def asked(request: CohereRequest) -> Asked:
    return replace(as_cohere(request), echo=request.return_documents is not False)


def reply(scored: Scored) -> bytes:
    tail = {"usage": {"rerank_units": 1}}
    return answer(scored, {"model": scored.model}, "data", scored_list(scored, "score"), tail)


PINECONE = Dialect(name="pinecone", request=CohereRequest, asked=asked, reply=reply)
