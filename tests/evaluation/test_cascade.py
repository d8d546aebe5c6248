"""Rankings of three of four items, every one of the 24 enumerated: the truth is a sum."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import DataError
from raysys.evaluation.cascade import (
    LoggedRankings,
    RewardToGo,
    cascade_dr,
    delta_cascade_dr,
    delta_rips,
    delta_snrips,
    ranking_ips,
    rips,
    snrips,
)
from raysys.evaluation.off_policy import Logged, ips
from raysys.policy.odds import pick_odds

ORDERS = np.array(list(permutations(range(4), 3)))
LOGGING, TARGET = np.array([0.6, 0.3, 0.1, 0.0]), np.array([0.1, 0.3, 0.4, 0.6])
TASTE = np.array([0.1, 0.3, 0.5, 0.2])
PLACES = np.arange(3)


def odds_of(utility: np.ndarray) -> np.ndarray:
    """(24, 3, 4) at every position of every ranking."""
    return np.stack([pick_odds(utility, order, temperature=0.7) for order in ORDERS])


def own(odds: np.ndarray) -> np.ndarray:
    return odds[np.arange(24)[:, None], PLACES, ORDERS]


ODDS = {"logging": odds_of(LOGGING), "target": odds_of(TARGET)}
OWN = {name: own(odds) for name, odds in ODDS.items()}
CLICK = TASTE[ORDERS] * np.array([1.0, 0.7, 0.5])
"""(24, 3) a click's probability at each position, unless one above it was clicked."""


def truth(name: str) -> float:
    """Expected clicks: a user stops at the first one."""
    reach = np.cumprod(np.concatenate([np.ones((24, 1)), 1 - CLICK[:, :-1]], axis=1), axis=1)
    return float((OWN[name].prod(axis=1) * (reach * CLICK).sum(axis=1)).sum())


def logged(seed: int, size: int = 500) -> tuple[LoggedRankings, RewardToGo]:
    rng = np.random.default_rng(seed)
    which = rng.choice(24, size, p=OWN["logging"].prod(axis=1))
    clicks = rng.random((size, 3)) < CLICK[which]
    clicks &= np.cumsum(clicks, axis=1) == 1
    guess = 0.8 * TASTE + 0.05  # wrong, and blind to the position
    below = np.array([0.3, 0.15, 0.0])
    model = RewardToGo(
        predicted=guess[ORDERS][which] + below,
        expected=(ODDS["target"] @ guess)[which] + below,
        expected_logging=(ODDS["logging"] @ guess)[which] + below,
    )
    log = LoggedRankings(
        reward=clicks.astype(float),
        propensity=OWN["logging"][which],
        target_prob=OWN["target"][which],
        shown=np.ones((size, 3), bool),
    )
    return log, model


ESTIMATORS = {
    "ranking_ips": lambda log, model: ranking_ips(log, check=False),
    "rips": lambda log, model: rips(log, check=False),
    "snrips": lambda log, model: snrips(log, check=False),
    "cascade_dr": lambda log, model: cascade_dr(log, model, check=False),
    "delta_rips": lambda log, model: delta_rips(log, check=False),
    "delta_snrips": lambda log, model: delta_snrips(log, check=False),
    "delta_cascade_dr": lambda log, model: delta_cascade_dr(log, model, check=False),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    wanted = truth("target") - (truth("logging") if name.startswith("delta") else 0.0)
    found = [ESTIMATORS[name](*logged(seed)) for seed in range(300)]
    held = np.mean([one.low <= wanted <= one.high for one in found])
    assert 0.90 <= held <= 0.99
    off = np.array([one.value for one in found]) - wanted
    assert abs(off.mean()) < 4 * off.std() / np.sqrt(300)


def test_each_assumption_and_the_model_buy_certainty() -> None:
    log, model = logged(1, 20_000)
    width = {name: (e := make(log, model)).high - e.low for name, make in ESTIMATORS.items()}
    assert width["rips"] < width["ranking_ips"]
    assert width["delta_cascade_dr"] < width["delta_rips"]


@given(seed=st.integers(0, 9_999))
def test_without_a_model_doubly_robust_is_rips(seed: int) -> None:
    log, _ = logged(seed)
    nothing = RewardToGo(
        predicted=np.zeros((500, 3)), expected=np.zeros((500, 3)), expected_logging=np.zeros((500, 3))
    )
    robust, plain = cascade_dr(log, nothing, check=False), rips(log, check=False)
    assert (robust.value, robust.low) == (pytest.approx(plain.value), pytest.approx(plain.low))
    robust, plain = delta_cascade_dr(log, nothing, check=False), delta_rips(log, check=False)
    assert (robust.value, robust.low) == (pytest.approx(plain.value), pytest.approx(plain.low))


@given(seed=st.integers(0, 9_999))
def test_a_ranking_of_one_position_is_a_single_choice(seed: int) -> None:
    top = logged(seed)[0].top(1)
    single = Logged(
        reward=top.reward[:, 0], propensity=top.propensity[:, 0], target_prob=top.target_prob[:, 0]
    )
    assert rips(top, check=False) == ips(single, check=False)


def test_a_forced_pick_weighs_nothing() -> None:
    log, _ = logged(2)
    reward, ones = np.insert(log.reward, 1, 0.0, axis=1), np.ones(500)
    pinned = LoggedRankings(
        reward=reward,
        propensity=np.insert(log.propensity, 1, ones, axis=1),
        target_prob=np.insert(log.target_prob, 1, ones, axis=1),
        shown=np.ones((500, 4), bool),
    )
    assert rips(pinned, check=False) == rips(log, check=False)


def test_what_was_not_shown_does_not_count() -> None:
    """One pick shown of two: what the target would have done below it is no evidence either way."""
    half = LoggedRankings(
        reward=np.array([[1.0, 0.0], [0.0, 0.0]]),
        propensity=np.array([[0.5, 1.0], [0.5, 1.0]]),
        target_prob=np.array([[0.8, 0.0], [0.2, 1.0]]),
        shown=np.array([[True, False], [True, False]]),
    )
    np.testing.assert_allclose(half.weights, [[1.6, 1.6], [0.4, 0.4]])
    assert rips(half, check=False).value == pytest.approx(0.8)


def test_a_log_with_holes_is_refused() -> None:
    hole = {"propensity": np.ones((1, 2)), "target_prob": np.ones((1, 2))}
    with pytest.raises(DataError, match="shown below one that was not"):
        LoggedRankings(reward=np.zeros((1, 2)), shown=np.array([[False, True]]), **hole)
    with pytest.raises(DataError, match="where nothing was shown"):
        LoggedRankings(reward=np.ones((1, 2)), shown=np.array([[True, False]]), **hole)
