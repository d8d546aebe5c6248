"""Habits counted in one sweep are those folded event by event."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.state.fold import fold_all
from raysys.types import DAY_MS

CATALOG = Catalog.of([ItemUpdate(item_id=f"i{n}", title=f"item {n}") for n in range(5)])
DEED = st.tuples(
    st.integers(0, 2), st.integers(0, 4), st.integers(0, len(KINDS) - 1), st.integers(0, 6 * DAY_MS)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(DEED, min_size=1, max_size=60))
def test_one_sweep_equals_folding_one_by_one(deeds: list[tuple[int, int, int, int]]) -> None:
    deeds.sort(key=lambda deed: deed[3])
    user, row, kind, time_ms = (np.array(column, np.int64) for column in zip(*deeds, strict=True))
    value = np.where(row > 0, 0.5 * row, np.nan)  # not every rating has stars
    swept = habits_of(Interactions(user=user, row=row, kind=kind, time_ms=time_ms, value=value))
    for person in set(user.tolist()):
        folded = fold_all(
            (number, Interaction(kind=KINDS[k], item_id=f"i{r}", time_ms=t, value=0.5 * r if r else None))
            for number, (u, r, k, t) in enumerate(deeds)
            if u == person
        )
        theirs, ours = Habits.of(folded, CATALOG), swept[person]
        for name in Habits.__slots__:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), err_msg=name)


def test_items_out_of_the_catalog_leave_the_others_in_place() -> None:
    state = fold_all(
        (n, Interaction(kind="purchase", item_id=item, time_ms=n * DAY_MS))
        for n, item in enumerate(["gone", "i3"])
    )
    habits = Habits.of(state, CATALOG)
    assert habits.rows.tolist() == [3]
    assert habits.history_rows.tolist() == [-1, 3]
