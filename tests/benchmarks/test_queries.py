"""Made-up queries stand where they are said to."""

import numpy as np
import pytest

from benchmarks.queries import AHEAD, asked
from raysys.catalog import Catalog
from raysys.events import KINDS, ItemUpdate
from raysys.interest.interactions import Interactions
from raysys.interest.queries import hashed
from raysys.types import DAY_MS

CATALOG = Catalog.of(
    [ItemUpdate(item_id=f"i{n}", title=f"{n}", category=f"shop/type{n % 3}") for n in range(9)]
)


def log() -> Interactions:
    rng = np.random.default_rng(0)
    time_ms = np.sort(rng.integers(10, 60, 600)) * DAY_MS
    kind = np.full(600, KINDS.index("purchase"))
    return Interactions(user=rng.integers(0, 5, 600), row=rng.integers(0, 9, 600), kind=kind, time_ms=time_ms)


@pytest.mark.parametrize("ahead", [False, True])
def test_a_query_names_a_type_that_is_bought_after_it(ahead: bool) -> None:
    events = log()
    queries = asked(events, CATALOG, ahead=ahead, seed=1).queries
    names = {hashed(f"type{n}"): n for n in range(3)}
    assert len(queries) > 100
    for number in range(len(queries)):
        mine = events.where(events.user == queries.user[number])
        wanted = names[tuple(queries.word[queries.start[number] : queries.start[number + 1]].tolist())]
        time_ms, after = int(queries.time_ms[number]), int(queries.after[number])
        if not ahead:
            assert mine.time_ms[after] == time_ms
            assert mine.row[after] % 3 == wanted
            day = mine.time_ms[:after] == time_ms
            assert not (mine.row[:after][day] % 3 == wanted).any()
        else:
            assert after == (mine.time_ms < time_ms).sum()
            days = (mine.time_ms[mine.row % 3 == wanted] - time_ms) // DAY_MS
            assert np.isin(days, np.arange(1, AHEAD + 1)).any()


def test_some_types_are_not_asked_for() -> None:
    events = log()
    count = len(asked(events, CATALOG, ahead=False, seed=1).queries)
    bought = len(np.unique(np.stack([events.user, events.time_ms // DAY_MS, events.row % 3]), axis=1)[0])
    assert 0.2 < count / bought < 0.4
