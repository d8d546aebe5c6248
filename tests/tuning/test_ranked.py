"""Whole rankings and the simple systems behind them, on logs whose answers are known."""

import numpy as np
import pytest

from raysys.evaluation.next_item import judge
from raysys.interest.asked import leave_one_out
from raysys.interest.habits import NOBODY, Habits
from raysys.interest.interactions import Interactions
from raysys.types import DAY_MS, Floats
from tests.interest.test_asked import log
from tuning.baselines import (
    FEWEST,
    Log,
    ask_each,
    by_co_visits,
    by_own_frequency,
    by_popularity,
    sampled,
    tune_baselines,
)
from tuning.ranked import LENGTH, ranked

ITEMS = 30


def circle(users: int, length: int) -> Interactions:
    """Everybody goes on by one, from a place of their own: what follows is certain, nothing is popular."""
    return log(*([(user + step) % ITEMS for step in range(length)] for user in range(users)))


def test_of_equal_scores_the_first_row_leads_and_what_is_ones_own_is_left_out() -> None:
    asked = leave_one_out(log([3, 4, 5, 1])).test
    found = ranked(lambda habits, now_ms: np.zeros(ITEMS), asked)
    assert found.top[0, :4].tolist() == [0, 1, 2, 6]
    assert found.first.tolist() == [1]
    assert (found.top[0] == -1).sum() == LENGTH - (ITEMS - 3)


def test_what_may_not_be_ranked_has_no_place() -> None:
    asked = leave_one_out(log([3, 4, 5, 3])).test
    assert ranked(lambda habits, now_ms: np.zeros(ITEMS), asked).first.tolist() == [-1]
    kept = leave_one_out(log([3, 4, 5, 3]), keep_seen=True).test
    assert ranked(lambda habits, now_ms: np.zeros(ITEMS), kept).first.tolist() == [3]


def test_the_place_of_the_truth_is_that_in_the_whole_ranking() -> None:
    asked = leave_one_out(log([0, 1, 2, 25])).test
    rng = np.random.default_rng(5)
    score = np.round(rng.normal(size=ITEMS), 1)  # with ties

    def scores(habits: Habits, now_ms: int) -> Floats:
        return score

    found = ranked(scores, asked)
    order = [row for row in np.argsort(-score, kind="stable").tolist() if row not in (0, 1, 2)]
    assert found.first[0] == order.index(25)
    assert found.top[0, : ITEMS - 3].tolist() == order


def test_co_visits_know_what_follows_and_popularity_does_not() -> None:
    split = leave_one_out(circle(60, 8))
    tuned = tune_baselines(split.train, split.valid, ITEMS)
    assert tuned.ndcg["co-visitation"] == pytest.approx(1.0)
    assert tuned.ndcg["popularity"] < 0.5
    known = Log(events=split.train, items=ITEMS)
    found = ranked(tuned.systems["co-visitation"](known), split.test)
    assert judge(found.top, split.test.truth, found.first).summary()["hr@10"] == 1.0
    again = ranked(by_co_visits(tuned.following)(known), split.test)
    np.testing.assert_array_equal(again.top, found.top)


def test_with_little_time_settings_are_compared_on_fewer_people() -> None:
    split = leave_one_out(circle(FEWEST + 50, 6))
    quick = tune_baselines(split.train, split.valid, ITEMS, cpu_seconds=0.0)
    some = sampled(split.valid, FEWEST)
    assert len(some) < len(split.valid)
    system = quick.systems["popularity"]
    found = ranked(system(Log(events=split.train, items=ITEMS)), some)
    assert quick.ndcg["popularity"] == pytest.approx(judge(found.top, some.truth, found.first).ndcg.mean())
    assert quick.ndcg["co-visitation"] == pytest.approx(1.0)


def test_systems_side_by_side_say_what_they_say_one_after_the_other(ray_here: None) -> None:
    split = leave_one_out(circle(20, 6))
    systems = {"popular": by_popularity(28.0), "own": by_own_frequency("slow")}
    log = Log(events=split.train, items=ITEMS)
    one, many = (ask_each(systems, log, [split.valid, split.test], cores) for cores in (1, 2))
    for name in systems:
        for alone, beside in zip(one[name], many[name], strict=True):
            np.testing.assert_array_equal(alone.top, beside.top)
            np.testing.assert_array_equal(alone.first, beside.first)


def test_people_who_buy_again_are_known_by_their_own_counts() -> None:
    split = leave_one_out(
        log(*([user % ITEMS, (user + 7) % ITEMS] * 3 for user in range(40))), keep_seen=True
    )
    tuned = tune_baselines(split.train, split.valid, ITEMS)
    assert tuned.ndcg["own frequency"] > tuned.ndcg["popularity"]
    own = ranked(by_own_frequency("last_ms")(Log(events=split.train, items=ITEMS)), split.test)
    assert set(own.first.tolist()) <= {0, 1}


def test_popularity_forgets_with_its_half_life() -> None:
    times = [[day * DAY_MS for day in range(4)], [day * DAY_MS for day in range(20, 23)]]
    events = log([1, 1, 1, 1], [2, 2, 2], times=times)
    whole, late = (by_popularity(days)(Log(events=events, items=3))(NOBODY, 0) for days in (36_500.0, 2.0))
    assert whole[1] > whole[2]
    assert late[2] > late[1]
