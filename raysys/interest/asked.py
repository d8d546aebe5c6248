"""What a log is asked to judge an interest model by: users, moments, and what came next."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.errors import DataError
from raysys.interest.interactions import NOTHING, Interactions
from raysys.types import Bools, Ints

ENOUGH = 500
"""People asked about whom a validation may be as short as the test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """n users, each asked about once, as of a moment."""

    before: Interactions
    """What is known when they are asked: the histories of these users, and maybe of others."""
    user: Ints
    """(n,) user codes, rising."""
    now_ms: Ints
    """(n,) the moment of asking."""
    truth: tuple[Ints, ...]
    """(n,) item rows that came next, each once; none for some only if everybody is asked."""
    new_only: bool
    """Whether items of the history are out of the question, as where nobody takes a thing twice."""
    after: Interactions = NOTHING
    """The interactions that `truth` is of; none where only the rows are known."""

    def __len__(self) -> int:
        return len(self.user)

    def of(self, keep: Bools) -> Self:
        """Those that `keep` (n,) says; what is known of others stays."""
        truth = tuple(rows for rows, kept in zip(self.truth, keep.tolist(), strict=True) if kept)
        cls = type(self)
        return cls(
            before=self.before,
            user=self.user[keep],
            now_ms=self.now_ms[keep],
            truth=truth,
            after=self.after,
            new_only=self.new_only,
        )

    def repeated(self) -> float:
        """Share of the true items that a user had to do with before."""
        rows = np.concatenate(self.truth)
        user = np.repeat(self.user, [len(mine) for mine in self.truth])
        width = int(max(rows.max(), self.before.row.max(initial=0))) + 1
        return float(np.isin(user * width + rows, self.before.user * width + self.before.row).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A log cut in three: what is learned from, what settings are chosen by, what is reported."""

    train: Interactions
    valid: Asked
    test: Asked
    """Its histories hold what `valid` asked for, as a live history would."""


def leave_one_out(events: Interactions, *, keep_seen: bool = False) -> Split:
    """Each user's last interaction is the test, the one before it the validation.

    Of equal times the later one of the log is the later one. Users with fewer than three
    interactions are learned from and not asked about.

    Raises:
        DataError: nobody has three interactions.
    """
    from_end = places_from_end(events)
    able = np.unique(events.user[from_end == 2])
    if not len(able):
        raise DataError(
            f"none of {len(np.unique(events.user))} users has 3 interactions; leave-one-out needs them:"
            " send a longer log or split by time"
        )
    mine = np.isin(events.user, able)
    valid = last_one(events.where(~mine | (from_end >= 1)), able, new_only=not keep_seen)
    return Split(train=valid.before, valid=valid, test=last_one(events, able, new_only=not keep_seen))


def last_one(events: Interactions, users: Ints, *, new_only: bool, unseen: int = 0) -> Asked:
    """The last interaction of each of `users` (n,), rising, asked for from everything before it.

    Args:
        unseen: as many interactions before the last are not known yet when a user is asked.
    """
    from_end = places_from_end(events)
    asked = np.isin(events.user, users) & (from_end <= unseen)
    last = events.where(asked & (from_end == 0))
    order = np.argsort(last.user, kind="stable")
    return Asked(
        before=events.where(~asked),
        user=last.user[order],
        now_ms=last.time_ms[order],
        truth=tuple(last.row[order][:, None]),
        after=last,
        new_only=new_only,
    )


def earlier(events: Interactions, asked: Asked, lessons: int, *, spare: int, unseen: int = 0) -> list[Asked]:
    """`asked`, and the same asked of those users about what they did before, the latest first.

    Each knows nothing of what a later one asks for.

    Args:
        events: the log that `asked` was cut from.
        lessons: how many in all.
        spare: users with a history of fewer interactions are not asked again.
        unseen: as of `last_one`.
    """
    found = [asked]
    while len(found) < lessons:
        answers = np.isin(events.user, found[-1].user) & (places_from_end(events) == 0)
        events = events.where(~answers)
        able = np.unique(events.user[places_from_end(events) == spare + unseen])
        users = np.intersect1d(asked.user, able)
        if not len(users):
            break
        found.append(last_one(events, users, new_only=asked.new_only, unseen=unseen))
    return found


def by_time(events: Interactions, at_ms: int, *, keep_seen: bool = False) -> Split:
    """What happened at a moment and after it is the test; as long a stretch before it, the validation.

    A user is asked once, at the first interaction of a stretch, for everything of the stretch; of
    users who are new in it nothing is known, and they are not asked about. The validation takes at
    most a quarter of the time before the moment, and that much if a shorter one asks too few people.

    Raises:
        DataError: one of the three parts is empty.
    """
    if not len(events):
        raise DataError("the log has no interactions")
    first, end = int(events.time_ms[0]), int(events.time_ms[-1]) + 1
    longest = (at_ms - first) // 4
    if not first < at_ms < end or longest <= 0:
        raise DataError(f"the log spans {first} to {end - 1} ms; split it at a moment inside, not at {at_ms}")
    known = events.before(at_ms)
    for length in (min(end - at_ms, longest), longest):
        valid = stretch(known, at_ms - length, new_only=not keep_seen)
        if len(valid) >= ENOUGH:
            break
    test = stretch(events, at_ms, new_only=not keep_seen)
    split = Split(train=valid.before, valid=valid, test=test)
    for name, asked in (("validation", split.valid), ("test", split.test)):
        if not len(asked):
            raise DataError(f"no user known before is seen in the {name}; split the log at another moment")
    return split


def stretch(
    events: Interactions,
    cut_ms: int,
    *,
    new_only: bool = False,
    at_cut: bool = False,
    everybody: bool = False,
) -> Asked:
    """What users known before `cut_ms` did from then on; with `new_only`, of that what was new to them.

    Args:
        at_cut: all are asked at the cut, not each at the first interaction after it.
        everybody: those who did nothing then are asked too.
    """
    before, after = events.before(cut_ms), events.since(cut_ms)
    later = dict(after.by_user())
    nothing = np.zeros(0, np.int64)
    users, moments, truth = [], [], []
    for user, places in before.by_user():
        mine = later.get(user, nothing)
        rows = np.unique(after.row[mine])
        rows = np.setdiff1d(rows, before.row[places]) if new_only else rows
        if len(rows) or everybody:
            users.append(user)
            moments.append(cut_ms if at_cut or not len(mine) else int(after.time_ms[mine[0]]))
            truth.append(rows)
    return Asked(
        before=before,
        user=np.array(users, np.int64),
        now_ms=np.array(moments, np.int64),
        truth=tuple(truth),
        after=after,
        new_only=new_only,
    )


def places_from_end(events: Interactions) -> Ints:
    """(N,) how many later interactions the same user has."""
    order = np.argsort(events.user, kind="stable")
    _, start, count = np.unique(events.user[order], return_index=True, return_counts=True)
    found = np.empty(len(events), np.int64)
    found[order] = np.repeat(start + count, count) - 1 - np.arange(len(events))
    return found
