"""What is asked of RetailRocket's log is not in what is learned from, and slices are what they are called."""

import numpy as np
import pytest

from benchmarks.behaviors import file_task, last_purchases, live_task, own_latest, slices
from benchmarks.reliability import in_session, judged, pairs_of
from raysys.catalog import Catalog
from raysys.events import KINDS, ItemUpdate
from raysys.interest.asked import Asked, stretch
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions
from raysys.types import DAY_MS
from tuning.baselines import Log

VIEW, CART, PURCHASE = (KINDS.index(kind) for kind in ("view", "cart", "purchase"))


def log(*deeds: tuple[int, int, int, int]) -> Interactions:
    """Interactions of (user, row, kind, time), given in order of time."""
    user, row, kind, time_ms = (np.array(column, np.int64) for column in zip(*deeds, strict=True))
    return Interactions(user=user, row=row, kind=kind, time_ms=time_ms)


SHOP = log(
    (0, 1, VIEW, 10),
    (1, 4, VIEW, 11),
    (0, 2, PURCHASE, 12),
    (0, 3, CART, 20),
    (2, 5, PURCHASE, 21),
    (0, 3, PURCHASE, 30),
    (1, 6, PURCHASE, 31),
    (0, 7, VIEW, 40),
    (0, 3, VIEW, 50),
)


def told(asked: Asked) -> list[tuple[int, int, list[int]]]:
    return [
        (user, now, rows.tolist())
        for user, now, rows in zip(asked.user.tolist(), asked.now_ms.tolist(), asked.truth, strict=True)
    ]


def test_the_last_purchase_of_everybody_is_found() -> None:
    assert last_purchases(SHOP).tolist() == [5, 6, 4]


def test_a_validation_like_the_files_test_knows_nothing_of_the_item_and_all_else() -> None:
    test = Asked(
        before=SHOP, user=np.array([0]), now_ms=np.array([51]), truth=(np.array([9]),), new_only=True
    )
    task = file_task(SHOP, test)
    mine = task.train.where(task.train.user == 0)
    assert mine.row.tolist() == [1, 2, 7]
    # user 2 has nothing but that purchase, and is not asked
    assert told(task.valid) == [(0, 41, [3]), (1, 12, [6])]
    assert task.valid.new_only
    assert task.known is SHOP


def test_a_live_purchase_is_asked_for_from_what_was_before_it() -> None:
    task = live_task(SHOP)
    assert sorted(told(task.valid) + told(task.test)) == [(0, 30, [3]), (1, 31, [6])]
    assert task.train.row.tolist() == [1, 4, 2, 3]
    assert not task.test.new_only


def test_slices_say_what_was_known_of_the_item() -> None:
    asked = Asked(
        before=SHOP.before(30),
        user=np.array([0, 0, 1, 1]),
        now_ms=np.full(4, 30),
        truth=tuple(np.array([[3], [1], [2], [8]])),
        new_only=False,
    )
    found = {name: mine.tolist() for name, mine in slices(asked, SHOP).items()}
    assert found == {
        "carted": [True, False, False, False],
        "own, not carted": [False, True, False, False],
        "new to the user": [False, False, True, True],
        "cold": [False, False, False, True],
    }


def test_what_is_in_the_cart_comes_before_what_was_viewed_and_then_what_is_popular() -> None:
    habits = habits_of(SHOP.where(SHOP.user == 0).before(30))[0]
    scores = own_latest(Log(events=SHOP, items=9))(habits, 30)
    assert np.argsort(-scores, kind="stable")[:3].tolist() == [3, 2, 1]
    assert scores[5] == scores[6] > scores[8]


def test_somebody_in_session_is_asked_after_the_first_deed_about_what_comes_then() -> None:
    asked = in_session(SHOP, 20)
    # user 2 is new since then; user 1 does nothing after the first deed
    assert told(asked) == [(0, 21, [3, 7, 3]), (1, 32, [])]
    assert asked.before.row.tolist() == [1, 4, 2, 3, 6]
    assert asked.after.row.tolist() == [3, 7, 3]


@pytest.fixture(scope="module")
def shop() -> Interactions:
    """People who view and sometimes buy one of ten items, each mostly their own two."""
    rng = np.random.default_rng(3)
    count = 3_000
    user = rng.integers(0, 60, count)
    row = np.where(
        rng.random(count) < 0.7, user % 5 + 5 * rng.integers(0, 2, count), rng.integers(0, 10, count)
    )
    kind = np.where(rng.random(count) < 0.8, VIEW, np.where(rng.random(count) < 0.5, CART, PURCHASE))
    return Interactions(user=user, row=row, kind=kind, time_ms=np.sort(rng.integers(0, 60 * DAY_MS, count)))


def test_the_table_counts_pairs_and_what_was_done_of_them(shop: Interactions) -> None:
    items = Catalog.of([ItemUpdate(item_id=f"i{n}", title=f"item {n}") for n in range(10)])
    cut = 50 * DAY_MS
    kinds = ("view", "cart", "purchase")
    config = InterestConfig(kinds=kinds, primary="view", horizon_days=10.0, content_heard=False, asked=0)
    scorer = fit_interest(shop.before(cut), items, config).scorer
    asked = stretch(shop, cut, at_cut=True, everybody=True)
    pairs = pairs_of(scorer, asked)
    row = judged(pairs, 0, "at the cut", best=False)
    later = asked.after.where(asked.after.kind == VIEW)
    assert row["pairs"] == 600  # of ten items all are recalled
    assert row["done"] == len(np.unique(later.user * 10 + later.row))
    assert row["log loss"] < row["constant"]
    assert 0.7 < row["said / done"] < 1.4
    assert judged(pairs, 0, "the best", best=True)["pairs"] == 600
