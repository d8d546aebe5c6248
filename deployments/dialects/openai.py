"""The embeddings API of OpenAI, with the fields that Voyage and vLLM clients add."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deployments.dialects.dialect import MODEL
from deployments.dialects.entries import entries, wrapped
from deployments.dialects.vectors import shortened, texts_in, tokens, written
from raysys.types import Floats


class OpenAIRequest(msgspec.Struct, kw_only=True):
    input: Any
    """A text or a list of texts; tokens are not taken."""
    model: str | None = None
    encoding_format: str | None = None
    """`float` or `base64`, little-endian float32; null is float."""
    dimensions: int | None = None
    output_dimension: int | None = None
    """The same, by Voyage's name."""
    output_dtype: str | None = None


def texts(request: OpenAIRequest) -> list[str]:
    if request.encoding_format not in (None, "float", "base64"):
        raise ValueError(f"encoding_format is {request.encoding_format!r}, expected float or base64")
    if request.output_dtype not in (None, "float"):
        raise ValueError(f"output_dtype is {request.output_dtype!r}, expected float")
    return texts_in(request.input, "input")


def reply(request: OpenAIRequest, texts: Sequence[str], vectors: Floats, request_id: str) -> bytes:
    """Vectors in the order of the input, with their index."""
    vectors = shortened(vectors, request.dimensions or request.output_dimension)
    listed = entries(
        '{"object":"embedding","index":%d,"embedding":%s}',
        range(len(vectors)),
        written(vectors, request.encoding_format or "float"),
    )
    count = tokens(texts)
    tail = {"model": request.model or MODEL, "usage": {"prompt_tokens": count, "total_tokens": count}}
    return wrapped({"object": "list"}, "data", listed, tail)
