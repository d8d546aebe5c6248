"""Who asks, through clients that have no field for it: fields, an envelope around the query, headers."""

import math
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from deployments.dialects.dialect import Extras, Id
from deployments.dialects.documents import named
from raysys.types import Floats, ItemId, PageContext, Query, QueryId, SessionId, UserId

LONGEST_ID = 512
USER, SESSION = b"x-user-id", b"x-session-id"
CONTEXT, ASKED = "User Context: ", "\nQuery: "
"""How Meilisearch writes a user context into the query of a rerank."""


class Envelope(msgspec.Struct, kw_only=True):
    """`{"q": "green tea", "user_id": "ann", ...}` as the text of a query."""

    q: str
    user_id: Id = None
    session_id: Id = None
    context: Any = None
    query_embedding: list[float] | None = None


class _Place(msgspec.Struct):
    page: str = ""
    category: str = ""
    item_id: Id = None


def opened(text: str, *, enabled: bool) -> Envelope:
    """The envelope in a query; a query that is none is its own text.

    A user context that is a JSON object holds the fields of an envelope. One that is prose joins
    the words of the query, as it does for the reranker that Meilisearch writes it for.

    Raises:
        ValueError: it is an envelope, and a field of it is wrong.
    """
    if not enabled:
        return Envelope(q=text)
    if text.startswith(CONTEXT):
        context, _, asked = text.removeprefix(CONTEXT).partition(ASKED)
        fields = _object(context)
        if fields is None:
            return Envelope(q=f"{asked} {context}".strip())
        return msgspec.convert({"q": asked, **fields}, Envelope)
    fields = _object(text)
    return Envelope(q=text) if fields is None or "q" not in fields else msgspec.convert(fields, Envelope)


def _object(text: str) -> dict[str, Any] | None:
    if text.lstrip()[:1] != "{":
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def asker_in(headers: Mapping[bytes, bytes]) -> tuple[str, str]:
    """User and session that the headers `X-User-Id` and `X-Session-Id` name, empty if none."""
    user, session = (headers.get(name, b"").decode("utf-8", "replace").strip() for name in (USER, SESSION))
    return user, session


def question(
    told: Envelope, extras: Extras, headers: Mapping[bytes, bytes], length: int, now_ms: int
) -> Query:
    """The question in the words of the library.

    A field of the request wins over the envelope, and the envelope over a header.

    Raises:
        ValueError: says which field is wrong.
    """
    user, session = asker_in(headers)
    user = named(extras.user_id) or named(extras.user) or named(told.user_id) or user
    session = named(extras.session_id) or named(told.session_id) or session
    for name, value in (("user_id", user), ("session_id", session)):
        if len(value) > LONGEST_ID:
            raise ValueError(f"{name} has {len(value)} characters, at most {LONGEST_ID} are taken")
    return Query(
        id=QueryId(uuid.uuid4().hex),
        surface="search",
        time_ms=now_ms,
        length=length,
        user_id=UserId(user) if user else None,
        session_id=SessionId(session) if session else None,
        text=told.q,
        context=_context(told.context if extras.context is None else extras.context),
    )


def _context(told: object) -> PageContext:
    """Where on the host's site the question arises; what is no such object says nothing."""
    if not isinstance(told, dict):
        return PageContext()
    place = msgspec.convert(told, _Place)
    item = named(place.item_id)
    return PageContext(page=place.page, category=place.category, item_id=ItemId(item) if item else None)


def vector_of(told: Envelope, extras: Extras, width: int) -> Floats | None:
    """The query's unit vector (D,) where it came along; D is `width`.

    Raises:
        ValueError: it has another width, or no direction.
    """
    numbers = extras.query_embedding or told.query_embedding
    if not numbers:
        return None
    if len(numbers) != width:
        raise ValueError(
            f"query_embedding has {len(numbers)} numbers, those of this bundle have {width};"
            " send what /v1/embeddings makes"
        )
    vector = np.array(numbers, np.float64)
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm(vector))
    if not 0.0 < length < math.inf:
        raise ValueError(f"query_embedding has length {length}, expected finite numbers, not all 0")
    return np.asarray(vector / length, np.float32)
