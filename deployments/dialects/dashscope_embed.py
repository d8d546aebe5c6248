"""The embeddings API of Aliyun DashScope: texts inside `input`, vectors inside `output`."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deployments.dialects.entries import entries, wrapped
from deployments.dialects.vectors import numbers, shortened, texts_in, tokens
from raysys.types import Floats


class DashScopeTexts(msgspec.Struct, kw_only=True):
    texts: Any


class DashScopeSize(msgspec.Struct, kw_only=True):
    """`text_type` changes nothing: one model reads queries and documents."""

    dimension: int | None = None


class DashScopeEmbedRequest(msgspec.Struct, kw_only=True):
    input: DashScopeTexts
    parameters: DashScopeSize | None = None


def texts(request: DashScopeEmbedRequest) -> list[str]:
    return texts_in(request.input.texts, "input.texts")


def reply(request: DashScopeEmbedRequest, texts: Sequence[str], vectors: Floats, request_id: str) -> bytes:
    vectors = shortened(vectors, request.parameters.dimension if request.parameters else None)
    listed = entries('{"text_index":%d,"embedding":%s}', range(len(vectors)), numbers(vectors))
    tail = {"usage": {"total_tokens": tokens(texts)}, "request_id": request_id}
    return wrapped({}, "output", f'{{"embeddings":{listed}}}', tail)
