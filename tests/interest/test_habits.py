"""Habits counted in one sweep are those folded event by event."""

from dataclasses import replace

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.habits import Habits, habits_of
from raysys.interest.queries import Queries
from raysys.state.fold import fold, fold_all
from raysys.types import DAY_MS
from tests.interest.told import Line, event_of, log_of

CATALOG = Catalog.of([ItemUpdate(item_id=f"i{n}", title=f"item {n}") for n in range(5)])
WHAT = st.integers(0, 4) | st.sampled_from(["green tea", "Rum!", "?", "tea tea"])
LINE = st.tuples(st.integers(0, 2), st.integers(0, 6 * DAY_MS), WHAT, st.integers(0, len(KINDS) - 1))


def equal(ours: Habits, theirs: Habits) -> None:
    for name in (name for name in Habits.__slots__ if name != "queries"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), err_msg=name)
    for name in Queries.__slots__:
        np.testing.assert_array_equal(getattr(ours.queries, name), getattr(theirs.queries, name), name)


@settings(max_examples=60, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=60))
def test_one_sweep_equals_folding_one_by_one(lines: list[Line]) -> None:
    lines.sort(key=lambda line: line[1])
    log = log_of(lines)
    value = np.where(log.row > 0, 0.5 * log.row, np.nan)  # not every rating has stars
    swept = habits_of(replace(log, value=value))
    for person in set(log.user.tolist()):
        events = [event_of(n, line) for n, line in enumerate(lines) if line[0] == person]
        starred = [
            msgspec.structs.replace(event, value=0.5 * int(event.item_id[1:]) or None)
            if isinstance(event, Interaction)
            else event
            for event in events
        ]
        equal(swept[person], Habits.of(fold_all(enumerate(starred)), CATALOG))


def test_of_a_long_history_the_latest_of_both_are_told_in_their_order() -> None:
    lines: list[Line] = [(0, n, n % 4 if n % 3 else f"word{n}", 3) for n in range(500)]
    ours = habits_of(log_of(lines))[0]
    equal(ours, Habits.of(fold_all((n, event_of(n, line)) for n, line in enumerate(lines)), CATALOG))
    assert len(ours.history_rows) == len(ours.queries) == 100
    # two interactions after each query; of 333 the first 233 are no longer there
    assert ours.queries.after.tolist() == [0] * 50 + list(range(1, 100, 2))


def test_a_state_from_before_queries_had_an_order_tells_those_since() -> None:
    lines: list[Line] = [(0, 0, 1, 0), (0, 1, "rum", 0), (0, 2, 2, 0)]
    state = fold_all((n, event_of(n, line)) for n, line in enumerate(lines))
    assert state is not None
    old = msgspec.structs.replace(state, deeds=0, query_deeds=())
    assert len(Habits.of(old, CATALOG).queries) == 0
    later: list[Line] = [(0, 3, "tea", 0), (0, 4, 3, 0)]
    for number, line in enumerate(later, 3):
        old = fold(old, event_of(number, line), number)
    queries = Habits.of(old, CATALOG).queries
    assert (queries.time_ms.tolist(), queries.after.tolist()) == ([3], [2])


def test_items_out_of_the_catalog_leave_the_others_in_place() -> None:
    state = fold_all(
        (n, Interaction(kind="purchase", item_id=item, time_ms=n * DAY_MS))
        for n, item in enumerate(["gone", "i3"])
    )
    habits = Habits.of(state, CATALOG)
    assert habits.rows.tolist() == [3]
    assert habits.history_rows.tolist() == [-1, 3]
