"""Histories in the form that the network reads, the same from a log and from a live state.

An event is an item row, a kind, and the time until what followed: the next event, or the
moment of asking. So the network knows how long somebody has been away.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raysys.interest.interactions import Interactions
from raysys.types import DAY_MS, Bools, Floats, Ints

GAP_BUCKETS = 40
"""Half octaves of minutes: the last one begins after eighteen months."""


def gap_buckets(times_ms: Ints, now_ms: int) -> Ints:
    """Bucket (n,) of the time from each event to the next one, from the last one to `now_ms`."""
    return _buckets(np.diff(np.append(times_ms, now_ms)))


def _buckets(gap_ms: Ints) -> Ints:
    octaves = np.log2(1.0 + np.maximum(gap_ms, 0) / 60_000)
    return np.minimum((2.0 * octaves).astype(np.int64), GAP_BUCKETS - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """N interactions in order of user and time; of equal times, in order of the log."""

    user: Ints
    row: Ints
    kind: Ints
    time_ms: Ints
    gap: Ints
    """Bucket of the time to the user's next event, 0 at the last one."""
    next_end: Ints
    """At the last event of a day, where the user's next day with events ends; else 0."""
    start: Ints
    """(U + 1,) where each user begins."""

    @classmethod
    def of(cls, events: Interactions) -> "Sequences":
        order = np.lexsort((events.time_ms, events.user))
        user, time_ms = events.user[order], events.time_ms[order]
        follows = np.zeros(len(order), np.bool_)  # the next row is of the same user
        follows[:-1] = user[1:] == user[:-1]
        gap_ms = np.append(np.diff(time_ms), 0)
        return cls(
            user=user,
            row=events.row[order],
            kind=events.kind[order],
            time_ms=time_ms,
            gap=np.where(follows, _buckets(gap_ms), 0),
            next_end=_next_ends(follows, time_ms // DAY_MS),
            start=np.append(np.flatnonzero(np.append(True, ~follows[:-1])), len(order))
            if len(order)
            else np.zeros(1, np.int64),
        )

    def __len__(self) -> int:
        return len(self.row)

    def users(self) -> Ints:
        """(U,) the user codes, in order."""
        return np.asarray(self.user[self.start[:-1]])


def _next_ends(follows: Bools, day: Ints) -> Ints:
    found = np.zeros(len(day), np.int64)
    same_day = follows.copy()
    same_day[:-1] &= day[1:] == day[:-1]
    ends = np.flatnonzero(~same_day)
    found[ends[:-1]] = ends[1:] + 1
    found[~follows] = 0
    return found


def windows(sequences: Sequences, length: int, rng: np.random.Generator) -> Ints:
    """Bounds (W, 2) of pieces of at most `length` events that cover every history.

    A history that is longer is cut at a random phase, so that over the epochs every event is
    met at every distance from the beginning of a window.
    """
    pieces = []
    for low, high in zip(sequences.start[:-1].tolist(), sequences.start[1:].tolist(), strict=True):
        if high - low <= length:
            cuts = np.array([low, high])
        else:
            phase = low + int(rng.integers(1, length + 1))
            cuts = np.unique(np.concatenate([[low], np.arange(phase, high, length), [high]]))
        pieces.append(np.stack([cuts[:-1], cuts[1:]], axis=1))
    return np.concatenate(pieces) if pieces else np.zeros((0, 2), np.int64)


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
class Batch:
    """Windows padded on the right to (B, L), and what is to be predicted at P of their places."""

    row: Ints
    kind: Ints
    gap: Ints
    place: Ints
    """(P,) flat index into (B, L)."""
    at: Ints
    """(T,) which of the P places a target belongs to, rising."""
    target: Ints
    """(T,) item row."""
    weight: Floats
    """(T,) float32 share of the loss; all of them add up to 1."""
    events: int

    @classmethod
    def of(cls, sequences: Sequences, bounds: Ints, wanted: Bools, day_share: float) -> "Batch":
        """The batch of some windows.

        Args:
            bounds: (B, 2) from `windows`.
            wanted: (N,) whether an event of `sequences` may be a target.
            day_share: share of the loss that asks, after the last event of a day, for all items of
                the next day; the rest asks, after every event, for the next one.
        """
        index = bounds[:, :1] + np.arange((bounds[:, 1] - bounds[:, 0]).max())  # (B, L)
        inside = index < bounds[:, 1:]
        index = np.where(inside, index, bounds[:, 1:] - 1)
        asked = [
            _asked(index, inside, sequences.next_end, day_share),
            _asked(index, inside, _next_one(sequences), 1.0 - day_share),
        ]
        place, low, high, weight = (np.concatenate(part) for part in zip(*asked, strict=True))
        at, target, weight = _targets(sequences, low, high, weight, wanted)
        return cls(
            row=np.where(inside, sequences.row[index], 0),
            kind=np.where(inside, sequences.kind[index], 0),
            gap=np.where(inside, sequences.gap[index], 0),
            place=place,
            at=at,
            target=target,
            weight=weight,
            events=int(inside.sum()),
        )


def _next_one(sequences: Sequences) -> Ints:
    """(N,) end of the event after each event, 0 where the user has none."""
    found = np.arange(2, len(sequences) + 2)
    found[sequences.start[1:] - 1] = 0
    return found


def _asked(index: Ints, inside: Bools, ends: Ints, share: float) -> tuple[Ints, Ints, Ints, Floats]:
    """Places, bounds of their targets, and the weight of each place."""
    if share <= 0:
        return (np.zeros(0, np.int64),) * 3 + (np.zeros(0),)
    place = np.flatnonzero(inside & (ends[index] > 0))
    event = index.ravel()[place]
    return place, event + 1, ends[event], np.full(len(place), share / max(len(place), 1))


def _targets(
    sequences: Sequences, low: Ints, high: Ints, weight: Floats, wanted: Bools
) -> tuple[Ints, Ints, Floats]:
    """Targets of each place, its weight shared evenly among them."""
    count = high - low
    at = np.repeat(np.arange(len(low)), count)
    event = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(len(at))
    at, event = at[wanted[event]], event[wanted[event]]
    share = weight[at] / np.bincount(at, minlength=len(low))[at]
    share = share / max(float(share.sum()), 1e-12)
    return at, sequences.row[event], share.astype(np.float32)
