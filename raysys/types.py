"""The words of raysys: immutable values that every layer speaks.

Shapes in docstrings use these letters, everywhere:

    B  batch    H  history    C  candidates    K  ranking length
    D  embedding width    E  engagement kinds    S  signals    A  profiles
    N  logged rankings    U  users    I  items    F  context features

Positions count from 0. Times are UTC epoch milliseconds (`_ms`). Money is in
millionths of the account currency (`_micros`). Probabilities end in `_prob`,
except `propensity`, which is always the logging policy's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NewType, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from raysys.errors import Part

UserId = NewType("UserId", str)
SessionId = NewType("SessionId", str)
ItemId = NewType("ItemId", str)
QueryId = NewType("QueryId", str)
Key = NewType("Key", str)
"""What live state is kept under: `u:` and the user id, else `s:` and the session id."""

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]

Surface: TypeAlias = Literal["search", "ads", "feed"]
SURFACES: tuple[Surface, ...] = ("search", "ads", "feed")
Channel: TypeAlias = Literal["", "pc", "mobile_web", "app", "social"]
CHANNELS: tuple[Channel, ...] = ("", "pc", "mobile_web", "app", "social")

DAY_MS = 86_400_000
MICROS = 1_000_000


def key_of(user_id: str | None, session_id: str | None) -> Key | None:
    """The state key of whoever asks; the prefix keeps a session from posing as a user."""
    if user_id:
        return Key(f"u:{user_id}")
    if session_id:
        return Key(f"s:{session_id}")
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A condition on one attribute of an item."""

    field: str
    op: Literal["eq", "in", "lt", "gt", "exists"]
    value: Any = None
    """A scalar for eq, lt and gt; a list for in; true or false for exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """This item stands at this position, whatever its utility."""

    item_id: ItemId
    position: int
    id: str = "pin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost:
    """Items that match all filters gain `by` in utility; a bury has a negative `by`."""

    match: tuple[Filter, ...]
    by: float
    id: str = "boost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diversify:
    """At most `max` items with one value of `field` in any `within` consecutive positions."""

    field: str
    max: int
    within: int
    id: str = "diversify"


Rule: TypeAlias = Pin | Boost | Diversify


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """Where on the host's site the question arises."""

    page: str = ""
    category: str = ""
    item_id: ItemId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question put to raysys: who asks, for which surface, and how many items may be shown."""

    id: QueryId
    surface: Surface
    time_ms: int
    length: int
    user_id: UserId | None = None
    session_id: SessionId | None = None
    text: str = ""
    channel: Channel = ""
    context: PageContext = PageContext()
    offset: int = 0
    weight: float | None = None
    """The dial from the engine's order (0) to the person (1); None lets the policy decide."""
    filters: tuple[Filter, ...] = ()
    rules: tuple[Rule, ...] = ()
    explain: bool = False

    @property
    def key(self) -> Key | None:
        return key_of(self.user_id, self.session_id)


class Wording(NamedTuple):
    """What is said of an item in words, by its shop or by whoever sends it: the same words mean the same."""

    title: str
    category: str = ""
    """A path, `grocery/dairy/milk`; empty if unknown."""
    brand: str = ""

    @classmethod
    def of(cls, title: str, attributes: Mapping[str, Any]) -> Self:
        """With the category and the brand among attributes, if they are texts."""
        category, brand = (told if isinstance(told := attributes.get(name), str) else "" for name in NAMED)
        return cls(title, category, brand)

    @property
    def fields(self) -> tuple[str, str, str]:
        """Each as a text of its own."""
        return self.title, self.category.replace("/", " "), self.brand

    @property
    def text(self) -> str:
        """All in one line, as encoders read it."""
        return " ".join(part for part in self.fields if part)


NAMED = Wording._fields[1:]
"""Attributes that are part of a wording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Items that the host found for a query, not yet judged: one column per field, (C,) each."""

    item_ids: tuple[ItemId, ...]
    engine_scores: Floats | None = None
    """The host's own scores, NaN where it sent none; comparable only within one query."""
    texts: Mapping[int, Wording] = field(default_factory=dict)
    """What candidates say of themselves that came with a text, by index; read of unknown items."""
    attributes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Attributes of candidates that came with some, by index; they win over the catalog's."""

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def of(cls, item_ids: Sequence[str]) -> "Candidates":
        """Bare ids in the engine's order."""
        return cls(item_ids=tuple(ItemId(i) for i in item_ids))


@dataclass(frozen=True, slots=True)
class Reason:
    """One term of a score: `value` adds up over an item's reasons to its score."""

    signal: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class RankedItem:
    """An item in its place, with the odds of the draw that put it there."""

    item_id: ItemId
    score: float
    propensity: float
    forced: bool = False
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What the words of a query were read as."""

    words: tuple[str, ...]
    """As they are looked for: one form for each, in order."""
    query_class: str = "none"
    """How often it is asked: head, torso, tail or unseen; `none` where nothing is known of that."""
    categories: tuple[tuple[str, float], ...] = ()
    """What it is after, likeliest first, each with its chance; none where nothing is known."""
    brands: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The ordered answer to a query."""

    query_id: QueryId
    items: tuple[RankedItem, ...]
    profile: int
    profile_prob: float
    explored: bool
    bundle_id: str
    policy_id: str
    state_version: int
    degraded: tuple[Part, ...] = ()
    total: int = 0
    """How many candidates could be shown in all, over every page."""
    understood: Understood | None = None
    """Of a query with words, if it is to be explained."""
