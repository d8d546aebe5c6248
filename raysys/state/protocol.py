"""What a state store promises: durable events in, the live state of a user out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from raysys.events import AdUpdate, BidFor, Event, ItemUpdate
from raysys.types import Key

HISTORY = 100
"""H, the latest interactions a state keeps."""
QUERIES = HISTORY
"""Q, the latest query texts a state keeps: as many, so that the latest H of both together are all there."""
OWN_ITEMS = 1024
"""P, the items of which a state keeps own counts; the least recently touched go first."""
RESPONDED = "ad:"
"""A purchase or conversion that answers an ad also counts under an own item: this prefix and the ad's id."""
SLOW_DAYS = 112.0
FAST_DAYS = 14.0
"""Half-lives of the two decayed counts kept for each own item."""


class State(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is known of one key, in parallel columns; bounded by HISTORY, QUERIES and OWN_ITEMS.

    The own-item columns (P,) count *days* with an interaction, not lines of a receipt:
    `own_bought` days with a purchase or conversion, `own_touched` days with any other
    positive interaction, `own_slow` and `own_fast` decayed sums of KIND_WEIGHTS as they
    stood at `own_last_ms`.
    """

    version: int = 0
    """Log sequence number of the last event folded in; global and never reused."""
    first_ms: int = 0
    last_ms: int = 0
    days: int = 0
    """Distinct UTC days with an interaction."""
    steps: int = 0
    """Impressions since the last pause of 30 minutes: the step of the session."""
    history_items: tuple[str, ...] = ()
    history_kinds: tuple[int, ...] = ()
    """Index into events.KINDS."""
    history_ms: tuple[int, ...] = ()
    queries: tuple[str, ...] = ()
    query_ms: tuple[int, ...] = ()
    own_items: tuple[str, ...] = ()
    own_bought: tuple[int, ...] = ()
    own_touched: tuple[int, ...] = ()
    own_slow: tuple[float, ...] = ()
    own_fast: tuple[float, ...] = ()
    own_first_ms: tuple[int, ...] = ()
    own_last_ms: tuple[int, ...] = ()
    own_bought_ms: tuple[int, ...] = ()
    """Time of the latest purchase or conversion, 0 for none."""
    hidden: tuple[str, ...] = ()
    """Items the user asked not to see."""
    ads: dict[str, tuple[int, int]] = {}
    """By ad id: (UTC day number, showings on that day)."""
    attributes: dict[str, Any] = {}
    rated: int = 0
    """Ratings with a value."""
    stars: float = 0.0
    """The sum of their values."""
    deeds: int = 0
    """Interactions of all kinds, ever."""
    query_deeds: tuple[int, ...] = ()
    """What `deeds` was when each of `queries` came: in which order they and the interactions were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a batch of events; everything accepted is durable."""

    accepted: int
    duplicates: int
    version: int
    """Log sequence number of the last event of the batch."""
    unmatched: int = 0
    """Clicks and the like of ads that found no price set aside; they are taken all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Money to set aside for one showing of an ad, until the event comes that it is paid for."""

    query_id: str
    ad_id: str
    account: str
    """The counter of what has been spent or set aside."""
    micros: int
    bid_for: BidFor
    until_ms: int
    """An event after this moment settles nothing; the money goes back to the account."""
    limit: int | None = None
    """What the account may reach, None for anything."""


class StateStore(Protocol):
    """Live state of users and items over a durable event log, changed in one transaction.

    Every reader sees every event whose `append` has returned, in order of arrival, from
    any process. All methods raise `StoreError` when the disk or server fails.
    """

    durable: bool
    """Whether an acknowledged event survives `kill -9` and power loss."""

    def append(self, events: Sequence[Event], now_ms: int) -> Receipt:
        """Log the events and fold them in; returns when they are durable.

        An event whose `identity` was seen is a duplicate (an update without time and id never
        is). The first event that carries both a user and a session links them: the session's
        past is folded into the user's state.
        Without consent (`UserUpdate.consent` false) a user's events are accepted and dropped, and
        so are events of nobody, and events from before their user was forgotten.
        In the same step an event settles the hold of its query and ad: an impression of `ads`, a
        click, or a conversion (a purchase is one), whichever the ad was held for; it does so even
        where nothing may be kept of who did it. An event that finds no hold counts as unmatched.
        """

    def live(self, key: Key | None) -> State | None:
        """The state of `key` now; None if unknown, anonymous or without consent."""

    def as_of(self, key: Key | None, time_ms: int) -> State | None:
        """The state from events strictly before `time_ms`, for training."""

    def items_version(self) -> int:
        """Grows with every item or ad event; cheap enough to read at every request."""

    def items_since(self, version: int) -> list[ItemUpdate]:
        """Merged updates of every item changed after `version`, in order of first change."""

    def ads(self) -> Mapping[str, AdUpdate]:
        """All ads by id, the latest event of each."""

    def forget(self, user_id: str, now_ms: int) -> dict[str, int]:
        """Delete state, linked sessions and logged events of a user; counts of what went.

        Late copies of events up to `now_ms` stay gone; a refusal of consent stays in force.
        """

    def known(self, user_id: str) -> dict[str, Any]:
        """Everything kept of a user, as plain JSON values."""

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """The log after `after`, in order, for the next training run; without who refused consent."""

    def add(self, counter: str, amount: int, limit: int | None = None) -> int | None:
        """Atomically add to a named counter; None, and no change, if it would pass `limit`."""

    def counters(self, names: Sequence[str]) -> list[int]:
        """The counters' values, 0 for one that was never added to."""

    def hold(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
        """Set money aside for a decision, in one step; micros of each, None past its limit.

        A query and ad that were held before keep what they hold. First, whatever lapsed before
        `now_ms` unsettled goes back to the accounts.
        """

    def release(self, query_id: str, ad_ids: Sequence[str]) -> int:
        """Give back what waits unsettled for these ads of a query; micros that went back."""

    def held(self, accounts: Sequence[str], now_ms: int) -> list[int]:
        """Micros spent or set aside of each account, without what has lapsed by `now_ms`."""

    def close(self) -> None: ...
