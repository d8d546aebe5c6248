"""Histories in the form that the network reads, the same from a log and from a live state.

An event is an item row, a kind, and the time until what followed: the next event, or the
moment of asking. So the network knows how long somebody has been away. Queries that the
network has words for are events too, with a kind of their own; they are never asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from raysys.interest.interactions import Interactions
from raysys.interest.queries import NO_BAGS, Bags, Vocabulary, with_queries
from raysys.types import DAY_MS, Bools, Floats, Ints

GAP_BUCKETS = 40
"""Half octaves of minutes: the last one begins after eighteen months."""


def gap_buckets(times_ms: Ints, now_ms: int) -> Ints:
    """Bucket (n,) of the time from each event to the next one, from the last one to `now_ms`."""
    return gap_bucket(np.diff(np.append(times_ms, now_ms)))


def gap_bucket(gap_ms: Ints) -> Ints:
    """Bucket (n,) of lengths of time (n,)."""
    octaves = np.log2(1.0 + np.maximum(gap_ms, 0) / 60_000)
    return np.minimum((2.0 * octaves).astype(np.int64), GAP_BUCKETS - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """N events in order of user and time; of equal times, in order of the log."""

    user: Ints
    row: Ints
    """Of an item, or below 0 of a query: `queries.ASKED` less its place in `bags`."""
    kind: Ints
    time_ms: Ints
    gap: Ints
    """Bucket of the time to the user's next event, 0 at the last one."""
    next_end: Ints
    """At the last event of a day, where the user's next day with items ends; else 0."""
    end: Ints
    """(N,) where the user of each event ends."""
    start: Ints
    """(U + 1,) where each user begins."""
    bags: Bags = NO_BAGS
    """Words of the queries."""
    items: Ints | None = None
    """(n + 1,) places of the items, and N; None where all events are of items."""

    @classmethod
    def of(cls, events: Interactions, vocabulary: Vocabulary | None = None) -> "Sequences":
        """The interactions, all of known items, and the queries that the `vocabulary` has a word for."""
        order = np.lexsort((events.time_ms, events.user))
        user, row, kind, time_ms = (
            column[order] for column in (events.user, events.row, events.kind, events.time_ms)
        )
        bags = NO_BAGS
        if vocabulary is not None and len(events.queries):
            queries = events.queries.by_user(user)
            places, bags = vocabulary.read(queries)
            at = np.searchsorted(user, queries.user[places]) + queries.after[places]
            user = np.insert(user, at, queries.user[places])
            row, kind, time_ms = with_queries(row, kind, time_ms, at, queries.time_ms[places])
        follows = np.zeros(len(user), np.bool_)  # the next row is of the same user
        follows[:-1] = user[1:] == user[:-1]
        gap_ms = np.append(np.diff(time_ms), 0)
        start = np.flatnonzero(np.append(True, ~follows[:-1]))[: len(user)]
        start = np.append(start, len(user))
        end = np.repeat(start[1:], np.diff(start))
        return cls(
            user=user,
            row=row,
            kind=kind,
            time_ms=time_ms,
            gap=np.where(follows, gap_bucket(gap_ms), 0),
            next_end=_next_ends(follows, time_ms // DAY_MS, row >= 0, end),
            end=end,
            start=start,
            bags=bags,
            items=np.append(np.flatnonzero(row >= 0), len(row)) if len(bags.start) else None,
        )

    def __len__(self) -> int:
        return len(self.row)

    def users(self) -> Ints:
        """(U,) the user codes, in order."""
        return np.asarray(self.user[self.start[:-1]])

    def ahead(self, event: Ints, steps: int) -> Ints:
        """Place (n,) of the item so many items after each event; without one, N or another user's."""
        if self.items is None:
            return event + steps
        place = np.searchsorted(self.items, event, "right") + steps - 1
        return np.asarray(self.items[np.minimum(place, len(self.items) - 1)])


def _next_ends(follows: Bools, day: Ints, item: Bools, end: Ints) -> Ints:
    found = np.zeros(len(day), np.int64)
    same_day = follows.copy()
    same_day[:-1] &= day[1:] == day[:-1]
    ends = np.flatnonzero(~same_day)
    with_items = np.diff(np.append(0, np.cumsum(item)[ends])) > 0
    of_items = np.append(ends[with_items], len(day))
    following = of_items[np.searchsorted(of_items[:-1], ends, "right")]
    found[ends] = np.where(following < end[ends], following + 1, 0)
    return found


def windows(sequences: Sequences, length: int, rng: np.random.Generator) -> Ints:
    """Bounds (W, 2) of pieces of at most `length` events that cover every history.

    A history that is longer is cut at a random phase, so that over the epochs every event is
    met at every distance from the beginning of a window.
    """
    start, end = sequences.start[:-1], sequences.start[1:]
    short = end - start <= length
    pieces = [np.stack([start[short], end[short]], axis=1)]
    for low, high in zip(start[~short].tolist(), end[~short].tolist(), strict=True):
        phase = low + int(rng.integers(1, length + 1))
        cuts = np.concatenate([[low], np.arange(phase, high, length), [high]])
        pieces.append(np.stack([cuts[:-1], cuts[1:]], axis=1))
    return np.concatenate(pieces)


def batched(bounds: Ints, tokens: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Groups (B, 2) of windows of like length, in random order, of about `tokens` places each."""
    size = bounds[:, 1] - bounds[:, 0]
    order = np.lexsort((rng.random(len(bounds)), size))
    places = np.cumsum(size[order])
    groups = np.split(order, np.flatnonzero(np.diff(places // tokens)) + 1)
    for number in rng.permutation(len(groups)):
        if len(groups[number]):
            yield bounds[groups[number]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be predicted so many items ahead: T targets at some of the P places of a batch."""

    at: Ints
    """(T,) which of the P places a target belongs to, rising."""
    target: Ints
    """(T,) item row."""
    weight: Floats
    """(T,) float32 share of the loss; all those of a batch add up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Windows padded on the right to (B, L), and what is to be predicted at P of their places."""

    row: Ints
    kind: Ints
    gap: Ints
    bags: Bags
    """Words of all queries of the log; a row below 0 says which of them."""
    place: Ints
    """(P,) flat index into (B, L), rising."""
    asks: tuple[Ask, ...]
    """What comes next, what comes after that, and so on."""
    goals: Ints
    """(G,) all targets of all asks; of a part, those of the whole batch."""
    heads: int
    """How many of the asks have targets, likewise."""
    events: int
    """How many were read, likewise."""

    @classmethod
    def of(
        cls, sequences: Sequences, bounds: Ints, wanted: Bools, day_share: float = 0.0, ahead: int = 1
    ) -> "Batch":
        """The batch of some windows.

        Args:
            bounds: (B, 2) from `windows`.
            wanted: (N,) whether an event of `sequences` may be a target.
            day_share: share of the loss that asks, after the last event of a day, for all items of
                the next day; the rest asks, after every event, for the next item.
            ahead: up to how many items ahead is asked.
        """
        index = bounds[:, :1] + np.arange((bounds[:, 1] - bounds[:, 0]).max())  # (B, L)
        inside = index < bounds[:, 1:]
        index = np.minimum(index, bounds[:, 1:] - 1)
        flat = np.flatnonzero(inside)
        event = index.ravel()[flat]
        end = sequences.end[event]
        asks = [
            _asked(sequences, event, goal, _one(goal, end), wanted)
            for goal in (sequences.ahead(event, step) for step in range(1, ahead + 1))
        ]
        if day_share:
            day = _asked(sequences, event, event + 1, sequences.next_end[event], wanted)
            asks[0] = _both(day, asks[0], day_share)
        used = np.zeros(len(event), np.bool_)
        for ask in asks:
            used[ask.at] = True
        number = np.cumsum(used) - 1
        return cls(
            row=np.where(inside, sequences.row[index], 0),
            kind=np.where(inside, sequences.kind[index], 0),
            gap=np.where(inside, sequences.gap[index], 0),
            bags=sequences.bags,
            place=flat[used],
            asks=tuple(Ask(at=number[a.at], target=a.target, weight=a.weight) for a in asks),
            goals=np.concatenate([ask.target for ask in asks]),
            heads=sum(len(ask.at) > 0 for ask in asks),
            events=len(event),
        )

    def part(self, number: int, parts: int) -> "Batch":
        """Every `parts`-th window from `number` on; its targets weigh what they weigh in the whole."""
        if parts == 1:
            return self
        window, column = np.divmod(self.place, max(self.row.shape[1], 1))
        mine = window % parts == number
        place = np.cumsum(mine) - 1
        asks = []
        for ask in self.asks:
            kept = mine[ask.at]
            asks.append(Ask(at=place[ask.at[kept]], target=ask.target[kept], weight=ask.weight[kept]))
        return replace(
            self,
            row=self.row[number::parts],
            kind=self.kind[number::parts],
            gap=self.gap[number::parts],
            place=(window // parts * self.row.shape[1] + column)[mine],
            asks=tuple(asks),
        )


def _one(event: Ints, end: Ints) -> Ints:
    """Where the one event ends, 0 where the user has none."""
    return np.where(event < end, event + 1, 0)


def _asked(sequences: Sequences, event: Ints, low: Ints, high: Ints, wanted: Bools) -> Ask:
    """The wanted events from `low` to `high` (n,) as targets of `event` (n,), all places alike."""
    count = np.maximum(high - low, 0)
    at = np.repeat(np.arange(len(event)), count)
    goal = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(len(at))
    kept = wanted[goal]
    at, goal = at[kept], goal[kept]
    share = 1.0 / np.bincount(at, minlength=len(event))[at] if len(at) else np.zeros(0)
    return Ask(at=at, target=sequences.row[goal], weight=_shares(share))


def _both(one: Ask, other: Ask, share: float) -> Ask:
    """The targets of two asks, the first of which has this share of the weight."""
    if share >= 1.0 and len(one.at):
        return one
    at = np.concatenate([one.at, other.at])
    order = np.argsort(at, kind="stable")
    weight = np.concatenate([share * one.weight, (1.0 - share) * other.weight])
    target = np.concatenate([one.target, other.target])
    return Ask(at=at[order], target=target[order], weight=_shares(weight[order]))


def _shares(weight: Floats) -> Floats:
    return np.asarray(weight / max(float(weight.sum()), 1e-12), np.float32)
