"""The embed API of Cohere, v1 and v2."""

from collections.abc import Sequence
from typing import Any

import msgspec

from deployments.dialects.entries import entries, wrapped
from deployments.dialects.vectors import shortened, texts_in, tokens, written
from raysys.types import Floats

FORMS = ("float", "base64")


class CohereEmbedRequest(msgspec.Struct, kw_only=True):
    """`truncate` and `input_type` change nothing: long texts are cut, one model reads all texts."""

    texts: list[str] | None = None
    inputs: list[dict[str, Any]] | None = None
    """v2: `[{"content": [{"type": "text", "text": ...}]}]`; images are not taken."""
    embedding_types: list[str] | None = None
    output_dimension: int | None = None


def texts(request: CohereEmbedRequest) -> list[str]:
    for form in request.embedding_types or ():
        if form not in FORMS:
            raise ValueError(f"embedding_types has {form!r}, expected {' or '.join(FORMS)}")
    if request.texts is not None:
        return texts_in(request.texts, "texts")
    if request.inputs is None:
        raise ValueError("Object missing required field `texts`")
    return texts_in([_text(each) for each in request.inputs], "inputs")


def _text(given: dict[str, Any]) -> str:
    parts = given.get("content")
    told = (
        [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else [None]
    )
    if not all(isinstance(text, str) for text in told):
        raise ValueError("inputs has content that is no text; images are not taken")
    return " ".join(map(str, told))


def reply_v2(request: CohereEmbedRequest, texts: Sequence[str], vectors: Floats, request_id: str) -> bytes:
    return _by_type(request, texts, vectors, request_id, "2")


def reply_v1(request: CohereEmbedRequest, texts: Sequence[str], vectors: Floats, request_id: str) -> bytes:
    """Without `embedding_types` a bare list of vectors."""
    if request.embedding_types:
        return _by_type(request, texts, vectors, request_id, "1")
    listed = entries("%s", written(shortened(vectors, request.output_dimension), "float"))
    head = {"id": request_id, "response_type": "embeddings_floats"}
    return wrapped(head, "embeddings", listed, _tail(texts, "1"))


def _by_type(
    request: CohereEmbedRequest, texts: Sequence[str], vectors: Floats, request_id: str, version: str
) -> bytes:
    vectors = shortened(vectors, request.output_dimension)
    forms = dict.fromkeys(request.embedding_types or ["float"])
    told = ",".join(f'"{form}":{entries("%s", written(vectors, form))}' for form in forms)
    head = {"id": request_id, "response_type": "embeddings_by_type"}
    return wrapped(head, "embeddings", f"{{{told}}}", _tail(texts, version))


def _tail(texts: Sequence[str], version: str) -> dict[str, Any]:
    billed = {"input_tokens": tokens(texts)}
    return {"texts": list(texts), "meta": {"api_version": {"version": version}, "billed_units": billed}}
