"""A person's own counts by item: folded from the log one by one when serving, in one sweep when fitting."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.interest.queries import NO_QUERIES, Queries
from raysys.state.fold import ACQUIRED, KIND_WEIGHTS
from raysys.state.protocol import FAST_DAYS, HISTORY, OWN_ITEMS, QUERIES, SLOW_DAYS, State
from raysys.types import DAY_MS, Bools, Floats, Ints

_WEIGHT = np.array([KIND_WEIGHTS[kind] for kind in KINDS])
_ACQUIRED = np.array([kind in ACQUIRED for kind in KINDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a state says of P own items that a catalog knows, and the latest history (H,)."""

    rows: Ints
    """(P,) the least recently touched first."""
    bought: Floats
    touched: Floats
    slow: Floats
    """(P,) decayed sums as they stood at `last_ms`."""
    fast: Floats
    first_ms: Floats
    last_ms: Floats
    days: int = 0
    """Days with an interaction."""
    history_rows: Ints
    """(H,) oldest first; -1 for items that the catalog does not know."""
    history_kinds: Ints
    history_ms: Ints
    queries: Queries = NO_QUERIES
    """The latest ones (Q,), placed among those of the history."""
    rated: float = 0.0
    """Ratings with stars."""
    stars: float = 0.0
    """The sum of them."""

    @classmethod
    def of(cls, state: State | None, catalog: Catalog) -> "Habits":
        """The habits in a state; none for somebody unknown."""
        if state is None:
            return NOBODY
        rows = catalog.rows(state.own_items)
        known = rows >= 0

        def column(values: tuple[float, ...]) -> Floats:
            return np.asarray(values, np.float64)[known]

        return cls(
            rows=rows[known],
            bought=column(state.own_bought),
            touched=column(state.own_touched),
            slow=column(state.own_slow),
            fast=column(state.own_fast),
            first_ms=column(state.own_first_ms),
            last_ms=column(state.own_last_ms),
            days=state.days,
            history_rows=catalog.rows(state.history_items),
            history_kinds=np.asarray(state.history_kinds, np.int64),
            history_ms=np.asarray(state.history_ms, np.int64),
            queries=_queries(state),
            rated=float(state.rated),
            stars=state.stars,
        )


def _queries(state: State) -> Queries:
    deeds = state.query_deeds
    if not deeds:
        return NO_QUERIES
    older = state.deeds - len(state.history_items)
    return Queries.of(
        user=np.zeros(len(deeds), np.int64),
        time_ms=np.asarray(state.query_ms[-len(deeds) :], np.int64),
        after=np.maximum(np.asarray(deeds, np.int64) - older, 0),
        texts=state.queries[-len(deeds) :],
    )


_NO_ROWS, _NO_NUMBERS = np.zeros(0, np.int64), np.zeros(0)
NOBODY = Habits(
    rows=_NO_ROWS,
    bought=_NO_NUMBERS,
    touched=_NO_NUMBERS,
    slow=_NO_NUMBERS,
    fast=_NO_NUMBERS,
    first_ms=_NO_NUMBERS,
    last_ms=_NO_NUMBERS,
    history_rows=_NO_ROWS,
    history_kinds=_NO_ROWS,
    history_ms=_NO_ROWS,
)
"""The habits of somebody of whom nothing is known."""


def habits_of(events: Interactions) -> Mapping[int, Habits]:
    """The habits of every user code after `events`: equal to folding them one by one, but in one sweep."""
    counted = _WEIGHT[events.kind] > 0
    own = _own_columns(events.where(counted))
    users, starts = np.unique(own["user"], return_index=True)
    ends = np.append(starts, len(own["user"]))[1:]
    bounds = dict(zip(users.tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))
    stars = np.where(events.kind == KINDS.index("rating"), events.stars(), np.nan)
    asked = _queries_of(events)
    found = {}
    for user, at in events.by_user():
        given = stars[at][np.isfinite(stars[at])]
        low, high = bounds.get(user, (0, 0))
        low = max(low, high - OWN_ITEMS)
        latest = at[-HISTORY:]
        found[user] = Habits(
            rows=own["row"][low:high].astype(np.int64),
            bought=own["bought"][low:high],
            touched=own["touched"][low:high],
            slow=own["slow"][low:high],
            fast=own["fast"][low:high],
            first_ms=own["first_ms"][low:high],
            last_ms=own["last_ms"][low:high],
            days=len(np.unique(events.time_ms[at] // DAY_MS)),
            history_rows=events.row[latest],
            history_kinds=events.kind[latest],
            history_ms=events.time_ms[latest],
            queries=_latest(events.queries, asked[user], len(at)) if user in asked else NO_QUERIES,
            rated=float(len(given)),
            stars=float(given.sum()),
        )
    return found


def _queries_of(events: Interactions) -> Mapping[int, Ints]:
    """By user code the places of the queries, in order."""
    queries = events.queries
    order = np.argsort(queries.user, kind="stable")
    users, starts = np.unique(queries.user[order], return_index=True)
    return dict(zip(users.tolist(), np.split(order, starts[1:]), strict=True)) if len(users) else {}


def _latest(queries: Queries, places: Ints, deeds: int) -> Queries:
    """As a state tells them, of somebody with so many interactions."""
    places = places[-QUERIES:]
    mine = queries.at(places, np.maximum(queries.after[places] - max(deeds - HISTORY, 0), 0))
    return replace(mine, user=np.zeros(len(places), np.int64))


def _own_columns(events: Interactions) -> dict[str, Any]:
    """The own-item columns of all users, one row for each (user, item), by user and latest touch."""
    order = np.lexsort((np.arange(len(events)), events.row, events.user))
    user, row, time_ms = events.user[order], events.row[order], events.time_ms[order]
    acquired, weight = _ACQUIRED[events.kind[order]], _WEIGHT[events.kind[order]]
    day = time_ms // DAY_MS
    starts = np.flatnonzero(np.diff(user, prepend=-1).astype(bool) | np.diff(row, prepend=-1).astype(bool))
    pair = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(user))))
    again = acquired & _seen_before(pair, day, acquired)
    touched_today = np.zeros(len(user), bool)
    touched_today[1:] = (pair[1:] == pair[:-1]) & (day[1:] == day[:-1])
    counted = np.where(again, 0.0, weight)
    ends = np.append(starts, len(user))[1:] - 1
    last_ms = time_ms[ends]
    age = (last_ms[pair] - time_ms) / DAY_MS

    def total(values: Floats | Bools) -> Floats:
        return np.asarray(np.bincount(pair, values, minlength=len(starts)), np.float64)

    columns: dict[str, Any] = {
        "user": user[starts],
        "row": row[starts],
        "bought": total(acquired & ~again),
        "touched": total(~acquired & ~touched_today),
        "slow": total(counted * 0.5 ** (age / SLOW_DAYS)),
        "fast": total(counted * 0.5 ** (age / FAST_DAYS)),
        "first_ms": time_ms[starts].astype(np.float64),
        "last_ms": last_ms.astype(np.float64),
    }
    latest = np.lexsort((order[ends], columns["user"]))
    return {name: column[latest] for name, column in columns.items()}


def _seen_before(pair: Ints, day: Ints, acquired: Bools) -> Bools:
    """Whether (n,) an earlier acquisition of the same pair fell on the same day."""
    cell = pair * (int(day.max(initial=0)) + 2) + day
    _, first = np.unique(np.where(acquired, cell, -1 - np.arange(len(cell))), return_index=True)
    seen = np.ones(len(cell), bool)
    seen[first] = False
    return np.asarray(seen)
