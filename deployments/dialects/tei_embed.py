"""The embed API of Hugging Face's text-embeddings-inference: `inputs` in, a bare list of vectors out."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deployments.dialects.entries import entries
from deployments.dialects.vectors import numbers, shortened, texts_in
from raysys.types import Floats


class TeiEmbedRequest(msgspec.Struct, kw_only=True):
    """Vectors have length 1 whatever `normalize` says, and long texts are cut."""

    inputs: Any
    dimensions: int | None = None


def texts(request: TeiEmbedRequest) -> list[str]:
    return texts_in(request.inputs, "inputs")


def reply(request: TeiEmbedRequest, texts: Sequence[str], vectors: Floats, request_id: str) -> bytes:
    return entries("%s", numbers(shortened(vectors, request.dimensions))).encode("ascii")
