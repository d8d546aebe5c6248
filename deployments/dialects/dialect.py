"""What every rerank dialect is made of: how it asks, how it is answered, and the one form in between."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np

from deployments.http import HttpError
from raysys.errors import Part
from raysys.signals import logit
from raysys.types import Floats, Ints

MOST_DOCUMENTS = 10_000
MODEL = "raysys"
"""What a model is called where a request names none; one bundle answers for all names."""
DIGITS = 8
"""Decimals of a score. OpenSearch casts a longer literal (over 18 characters) to a type that fails."""

Document: TypeAlias = str | dict[str, Any] | None
Id: TypeAlias = str | int | None
Told = TypeVar("Told")


class Extras(msgspec.Struct, kw_only=True):
    """What a caller who may add fields can say beyond any dialect; other unknown fields are passed over."""

    user_id: Id = None
    user: Id = None
    """The same, by the name that vLLM and OpenAI have for it."""
    session_id: Id = None
    context: Any = None
    """`{page?, category?, item_id?}`; anything but an object is passed over."""
    query_embedding: list[float] | None = None
    item_ids: list[Id] | None = None
    """Item of each document, null where it is none; a known item counts with all that is known of it."""
    order: str | None = None
    """`input` answers in the order of the request, for engines that assign scores by position."""
    budget_ms: float | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A rerank request in one form, whatever dialect it came in."""

    query: str
    documents: Sequence[Document]
    extras: Extras
    top: int | None = None
    """How many are answered; None or 0 is all."""
    echo: bool = False
    """Whether the answer repeats the documents."""
    raw: bool = False
    """Log odds instead of a score in (0, 1)."""
    in_order: bool = False
    """Whether the answer keeps the order of the request."""
    fields: tuple[str, ...] = ()
    """Of an object, which make its text, in this order; empty leaves it to the object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What is answered: who stands where with which score, and without what it was made."""

    order: Ints
    """(K,) places in the request, in the order of the answer."""
    scores: Floats
    """(K,) rounded, in the same order."""
    asked: Asked
    texts: Sequence[str]
    """(C,) what was read of each document."""
    id: str
    model: str
    degraded: tuple[Part, ...] = ()

    @property
    def tokens(self) -> int:
        """About how many tokens were read, four characters each: clients want a number, nothing is billed."""
        return (len(self.asked.query) * len(self.texts) + sum(map(len, self.texts))) // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One host protocol: `request` is decoded, `asked` reads it, `reply` writes the answer."""

    name: str
    request: type[Extras]
    asked: Callable[[Any], Asked]
    reply: Callable[[Scored], bytes]
    refused: int = 400
    """Status of a request that is wrong; no client repeats it."""

    def decode(self, body: bytes) -> Asked:
        """The request in `body`.

        Raises:
            HttpError: says what was found and what was expected.
        """
        with refusing(self.refused):
            asked = self.asked(decoded(body, self.request))
        if asked.top is not None and asked.top < 0:
            told = f"{asked.top} results are asked for, expected at least 0 (all)"
            raise HttpError(self.refused, "bad_request", told)
        if len(asked.documents) > MOST_DOCUMENTS:
            told = f"batch of {len(asked.documents)} documents, at most {MOST_DOCUMENTS} are taken"
            raise HttpError(self.refused, "bad_request", told)
        return asked


def decoded(body: bytes, request: type[Told]) -> Told:
    """A body as one of the requests; not strict, for RAGFlow puts true and numbers in quotes."""
    return msgspec.json.decode(body, type=request, strict=False)


@contextmanager
def refusing(status: int) -> Iterator[None]:
    """What is found wrong inside with a request becomes an answer of that status.

    Raises:
        HttpError: says what was found and what was expected.
    """
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise HttpError(status, "bad_request", f"invalid request: {error}") from error


def arranged(asked: Asked, scores: Floats) -> tuple[Ints, Floats]:
    """Order (K,) and scores (K,) of an answer, from the score (C,) of every document.

    Best first and ties as they came, after rounding: what is compared is what is sent.
    """
    told = np.round(logit(scores) if asked.raw else scores, DIGITS) + 0.0  # no minus zero
    order = np.argsort(-told, kind="stable")[: asked.top or None]
    if asked.in_order or asked.extras.order == "input":
        order = np.sort(order)
    return order, told[order]


def as_sent(scores: Floats) -> Floats:
    """Falling scores (C,) that keep the order of the request; a filtered document keeps its 0.0."""
    falling = 0.5 * (1.0 - np.arange(len(scores)) / (len(scores) + 1.0))
    return np.asarray(np.where(scores > 0.0, falling, 0.0))
