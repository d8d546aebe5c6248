"""Held-out quality counts what it says: known answers by hand, and truths that no system may see."""

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import KINDS, ItemUpdate
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import Interactions
from raysys.types import DAY_MS
from tuning.quality import MODEL, TASKS, Table, measure

ITEMS, PEOPLE, DAYS = 30, 40, 60
PURCHASE = KINDS.index("purchase")


def catalog() -> Catalog:
    return Catalog.of(
        [ItemUpdate(item_id=f"i{n}", title=f"item {n}", category=f"shop/c{n % 5}") for n in range(ITEMS)]
    )


def log() -> Interactions:
    """Everybody buys their own item every third day, and one of its leaf at random in between."""
    rng = np.random.default_rng(2)
    lines = [
        (
            day * DAY_MS + person,
            person,
            person % ITEMS if day % 3 == 0 else int(rng.integers(6)) * 5 + person % 5,
        )
        for day in range(DAYS)
        for person in range(PEOPLE)
    ]
    times, people, rows = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    return Interactions(user=people, row=rows, kind=np.full(len(rows), PURCHASE), time_ms=times)


@pytest.fixture(scope="module")
def table() -> Table:
    events, cut = log(), (DAYS - 10) * DAY_MS
    config = InterestConfig(kinds=("purchase",), primary="purchase", horizon_days=10)
    scorer = fit_interest(events.before(cut), catalog(), config).scorer
    return measure(scorer, events.before(cut), events.since(cut), cut)


def test_every_task_is_measured_for_everybody_and_every_system(table: Table) -> None:
    for task in ("first_day", "window", "search"):
        assert task in table.users
        for system in table.systems(task):
            values = table.values[task, system]
            assert len(values) == len(table.users[task])
            assert ((values >= 0) & (values <= 1)).all()
    assert len(table.users["first_day"]) == PEOPLE
    assert table.systems("window")[-1] == MODEL


def test_where_people_buy_their_own_again_habit_beats_popularity_and_the_model_keeps_up(table: Table) -> None:
    own, popular = (table.mean("window", name)[0] for name in ("own frequency", "popularity"))
    assert own > popular + 0.2
    assert table.mean("window", MODEL)[0] > own - 0.02
    assert table.gain("window", "popularity")[0] > 0.2


def test_a_gain_is_paired_and_that_over_oneself_is_nothing(table: Table) -> None:
    assert table.gain("window", MODEL) == (0.0, 0.0)
    rows = {(task, system): gain for task, system, _, _, gain, _ in table.rows()}
    mean = {system: table.mean("window", system)[0] for system in table.systems("window")}
    for system, value in mean.items():
        assert rows["window", system] == pytest.approx(mean[MODEL] - value)


def test_what_is_new_to_somebody_is_never_what_they_bought() -> None:
    """A truth of nothing but own items leaves the task `discovery` out, instead of counting a miss."""
    events, cut = log(), (DAYS - 10) * DAY_MS
    config = InterestConfig(kinds=("purchase",), primary="purchase", horizon_days=10)
    scorer = fit_interest(events.before(cut), catalog(), config).scorer
    again = events.since(cut)
    again = again.where(again.row == again.user % ITEMS)
    table = measure(scorer, events.before(cut), again, cut)
    assert set(TASKS) & set(table.users) == {"first_day", "window", "search"}
    assert "search repeat" in table.users
    assert "search new type" not in table.users


def test_systems_of_searches_alone_are_asked_in_searches_alone() -> None:
    """One that gives every person's own item the best score is right wherever that item was bought."""
    events, cut = log(), (DAYS - 10) * DAY_MS
    config = InterestConfig(kinds=("purchase",), primary="purchase", horizon_days=10)
    scorer = fit_interest(events.before(cut), catalog(), config).scorer
    again = events.since(cut)
    again = again.where(again.row == again.user % ITEMS)
    searched = {"oracle": lambda user, view: 1.0 * (np.arange(ITEMS) == user % ITEMS)}
    table = measure(scorer, events.before(cut), again, cut, searched=searched)
    assert table.mean("search", "oracle") == (1.0, 0.0)
    assert table.mean("search repeat", "oracle") == (1.0, 0.0)
    assert "oracle" not in table.systems("window")
