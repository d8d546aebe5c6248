"""The rerank API of Cohere v2, as its SDK and the engines that speak it expect it."""

import uuid

import msgspec
import numpy as np

from deployments.http import HttpError, Reply
from raysys.types import Floats

MOST_DOCUMENTS = 10_000


class RerankRequest(msgspec.Struct, kw_only=True):
    """Unknown fields and explicit nulls are normal here: clients of many versions send them."""

    query: str
    documents: list[str | dict[str, object]]
    top_n: int | None = None
    return_documents: bool | None = None


class Asked(msgspec.Struct, frozen=True):
    """A checked request: every document is one text."""

    query: str
    documents: list[str]
    top_n: int | None


def decode(body: bytes) -> Asked:
    """A request; trouble is told in the dialect's own error body (`{"message": ...}`)."""
    try:
        asked = msgspec.json.decode(body, type=RerankRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, "bad_request", f"invalid request: {error}") from error
    if asked.top_n is not None and asked.top_n < 1:
        raise HttpError(400, "bad_request", f"top_n is {asked.top_n}, must be at least 1")
    if len(asked.documents) > MOST_DOCUMENTS:
        told = f"{len(asked.documents)} documents, at most {MOST_DOCUMENTS} are taken"
        raise HttpError(400, "bad_request", told)
    return Asked(asked.query, [_text(document) for document in asked.documents], asked.top_n)


def _text(document: str | dict[str, object]) -> str:
    """A document's words; structured ones are read field by field."""
    if isinstance(document, str):
        return document
    return str(document["text"]) if "text" in document else " ".join(str(v) for v in document.values())


def reply(asked: Asked, scores: Floats) -> Reply:
    """Every document once (or the first `top_n`), best first, ties in the order given.

    Scores have at most 8 decimals and always a point: some clients cast longer literals, or
    whole ones, to a type that fails.
    """
    order = np.argsort(-scores, kind="stable")[: asked.top_n]
    results = [{"index": int(n), "relevance_score": round(float(scores[n]), 8)} for n in order]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return Reply({"id": uuid.uuid4().hex, "results": results, "meta": meta})
