"""Which dialect a request on a shared path speaks, told by its keys."""

import msgspec
from msgspec import UNSET, Raw, UnsetType

from deployments.dialects.cohere import V1, V2
from deployments.dialects.dashscope import DASHSCOPE
from deployments.dialects.dialect import Dialect
from deployments.dialects.infinity import INFINITY
from deployments.dialects.jina import JINA
from deployments.dialects.mixedbread import MIXEDBREAD
from deployments.dialects.nvidia import NVIDIA
from deployments.dialects.pinecone import PINECONE
from deployments.dialects.tei import TEI
from deployments.dialects.vllm import VLLM
from deployments.dialects.voyage import VOYAGE
from deployments.dialects.weaviate import WEAVIATE

RERANK = ("/rerank", "/v1/rerank")
SHARED = (*RERANK, "/reranks", "/v1/reranks", "/reranking", "/v1/reranking")
"""Paths where the body tells the dialect; with an s as Aliyun has it, the last llama.cpp and Mixedbread."""
PATHS = {
    "/v2/rerank": V2,
    "/v1/models/rerank": V1,
    "/v1/ranking": NVIDIA,
    "/v1/retrieval/*": NVIDIA,
    "/api/v1/services/rerank/text-rerank/text-rerank": DASHSCOPE,
}
"""Paths of one dialect; ZeroEntropy's, the second, is near enough to Cohere's first."""
PATHS |= {
    f"/{dialect.name}{path}": dialect
    for dialect in (V2, JINA, VOYAGE, TEI, VLLM, INFINITY, WEAVIATE, DASHSCOPE, NVIDIA, MIXEDBREAD, PINECONE)
    for path in (*RERANK, "/v2/rerank")
}
"""And below each dialect's name, for clients that their body does not give away."""


class _Keys(msgspec.Struct):
    """Present, even as null or false, is a sign; absent is none."""

    texts: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    passages: Raw | UnsetType = UNSET
    top_k: Raw | UnsetType = UNSET
    truncation: Raw | UnsetType = UNSET
    property: Raw | UnsetType = UNSET


def dialect_of(body: bytes) -> Dialect:
    """The dialect of a request on a shared path; what cannot be read is Cohere's to refuse."""
    try:
        keys = msgspec.json.decode(body, type=_Keys)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return V1
    if keys.texts is not UNSET:
        return TEI
    if keys.input is not UNSET:
        return MIXEDBREAD if bytes(keys.input).startswith(b"[") else DASHSCOPE
    if keys.passages is not UNSET:
        return NVIDIA
    if keys.top_k is not UNSET or keys.truncation is not UNSET:
        return VOYAGE
    return V1 if keys.property is UNSET else WEAVIATE
