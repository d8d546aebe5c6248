"""Off-policy estimates recover known values, keep their intervals' promise, and refuse to guess."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import DataError
from raysys.evaluation.estimate import Estimate, Ratio, estimate
from raysys.evaluation.off_policy import (
    Logged,
    Support,
    delta_dr,
    delta_ips,
    delta_snips,
    dr,
    dros,
    ips,
    sndr,
    snips,
    switch_dr,
)

SEEDS = st.integers(0, 10_000)
PROMISE = 0.90
"""The least share of 300 intervals of 95 % that must hold the truth: 4 standard errors below .95."""


def log_of(seed: int, size: int = 400, actions: int = 4) -> tuple[Logged, dict[str, np.ndarray], float]:
    """Contexts with 4 actions of known mean reward; the truth and a wrong reward model come along."""
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 3, size)
    mean = np.linspace(0.1, 0.9, 3 * actions).reshape(3, actions)[:, ::-1]
    logging = np.array([[0.4, 0.3, 0.2, 0.1], [0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
    target = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25] * 4])
    share = logging[context].cumsum(axis=1)
    action = (rng.random((size, 1)) > share).sum(axis=1)
    reward = (rng.random(size) < mean[context, action]).astype(float)
    model = 0.5 * mean + 0.2
    told = {
        "predicted": model[context, action],
        "expected": (target * model).sum(axis=1)[context],
        "expected_logging": (logging * model).sum(axis=1)[context],
        "truth_logging": np.array([(logging * mean).sum(axis=1).mean()]),
    }
    logged = Logged(reward=reward, propensity=logging[context, action], target_prob=target[context, action])
    return logged, told, float((target * mean).sum(axis=1).mean())


def by_hand() -> Logged:
    """Weights 2, 1/2, 1, 1/2: sum 4, so the mean weight is 1."""
    return Logged(
        reward=np.array([1.0, 0.0, 2.0, 4.0]),
        propensity=np.full(4, 0.4),
        target_prob=np.array([0.8, 0.2, 0.4, 0.2]),
    )


def test_known_answers() -> None:
    """Weighted rewards 2, 0, 2, 2 make 6: 6/4 either way; the logging policy's mean is 7/4."""
    logged, predicted = by_hand(), np.full(4, 1.0)
    expected = np.array([1.0, 2.0, 1.0, 2.0])
    assert ips(logged, check=False).value == pytest.approx(1.5)
    assert snips(logged, check=False).value == pytest.approx(1.5)
    assert delta_ips(logged, check=False).value == pytest.approx(-0.25)
    assert delta_snips(logged, check=False).value == pytest.approx(-0.25)
    assert ips(logged, max_weight=1.0, check=False).value == pytest.approx(5 / 4)
    # w (r - 1) is 0, -1/2, 1, 3/2; with expected 6 in sum: (2 + 6) / 4
    assert dr(logged, predicted, expected, check=False).value == pytest.approx(2.0)
    # only the weights up to 1 stay, and the first row's w (r - 1) was 0
    assert switch_dr(logged, predicted, expected, threshold=1.0, check=False).value == pytest.approx(2.0)
    # λ w / (w² + λ) with λ = 1: .4, .4, .5, .4; times r - 1: 0, -.4, .5, 1.2
    assert dros(logged, predicted, expected, shrinkage=1.0, check=False).value == pytest.approx(7.3 / 4)
    evidence = ips(logged, check=False)
    assert (evidence.n, evidence.mean_weight) == (4, pytest.approx(1.0))
    assert evidence.effective_n == pytest.approx(16 / 5.5)


def test_the_normal_interval_of_a_mean_is_the_textbook_one() -> None:
    """Values 0, 2: mean 1, standard error sqrt(2)/sqrt(2) = 1."""
    found = estimate([Ratio.mean(np.array([0.0, 2.0]))], np.ones(2))
    assert (found.low, found.high) == (pytest.approx(1 - 1.959964), pytest.approx(1 + 1.959964))


ESTIMATORS: dict[str, Callable[[Logged, dict[str, np.ndarray]], Estimate]] = {
    "ips": lambda log, m: ips(log, check=False),
    "snips": lambda log, m: snips(log, check=False),
    "dr": lambda log, m: dr(log, m["predicted"], m["expected"], check=False),
    "sndr": lambda log, m: sndr(log, m["predicted"], m["expected"], check=False),
    "switch_dr": lambda log, m: switch_dr(log, m["predicted"], m["expected"], threshold=10, check=False),
    "dros": lambda log, m: dros(log, m["predicted"], m["expected"], shrinkage=1e4, check=False),
}
DELTAS: dict[str, Callable[[Logged, dict[str, np.ndarray]], Estimate]] = {
    "delta_ips": lambda log, m: delta_ips(log, check=False),
    "delta_snips": lambda log, m: delta_snips(log, check=False),
    "delta_dr": lambda log, m: delta_dr(
        log, m["predicted"], m["expected"], m["expected_logging"], check=False
    ),
}


@pytest.mark.parametrize("name", [*ESTIMATORS, *DELTAS])
def test_intervals_hold_the_truth_as_often_as_they_say(name: str) -> None:
    """Contexts are drawn anew each time, so the truth is that of the population."""
    held, values = 0, []
    for seed in range(300):
        logged, model, truth = log_of(seed)
        if name in DELTAS:
            found = DELTAS[name](logged, model)
            truth -= model["truth_logging"][0]
        else:
            found = ESTIMATORS[name](logged, model)
        held += found.low <= truth <= found.high
        values.append(found.value - truth)
    assert PROMISE <= held / 300 <= 0.99
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(300)


def test_a_difference_is_known_better_than_its_two_sides() -> None:
    logged, model, _ = log_of(1, 4_000)
    side, apart = ips(logged), delta_dr(logged, *(model[k] for k in list(model)[:3]))
    assert apart.high - apart.low < 0.8 * (side.high - side.low)


@given(seed=SEEDS)
def test_without_a_model_doubly_robust_is_ips(seed: int) -> None:
    logged, nothing = log_of(seed)[0], np.zeros(400)
    plain = ips(logged, check=False)
    assert dr(logged, nothing, nothing, check=False) == plain
    assert dros(logged, nothing, nothing, shrinkage=np.inf, check=False) == plain
    assert switch_dr(logged, nothing, nothing, threshold=np.inf, check=False) == plain
    assert delta_dr(logged, nothing, nothing, nothing, check=False) == delta_ips(logged, check=False)


@given(seed=SEEDS)
def test_a_perfect_model_of_certain_rewards_leaves_no_doubt(seed: int) -> None:
    logged, model, _ = log_of(seed)
    sure = Logged(reward=model["predicted"], propensity=logged.propensity, target_prob=logged.target_prob)
    found = dr(sure, model["predicted"], model["expected"], check=False)
    assert found.value == pytest.approx(model["expected"].mean())


@given(seed=SEEDS)
def test_the_logging_policy_itself_is_worth_what_was_logged(seed: int) -> None:
    logged = log_of(seed)[0]
    same = Logged(reward=logged.reward, propensity=logged.propensity, target_prob=logged.propensity)
    assert ips(same).value == pytest.approx(logged.reward.mean())
    difference = delta_ips(same)
    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
    assert difference.effective_n == pytest.approx(400)


@given(seed=SEEDS, shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
def test_snips_follows_a_change_of_units_and_of_zero(seed: int, shift: float, scale: float) -> None:
    logged = log_of(seed)[0]
    moved = Logged(
        reward=scale * logged.reward + shift,
        propensity=logged.propensity,
        target_prob=logged.target_prob,
    )
    before, after = snips(logged, check=False), snips(moved, check=False)
    for name in ("value", "low", "high"):
        expected = scale * getattr(before, name) + shift
        assert getattr(after, name) == pytest.approx(expected, abs=1e-9)


@given(seed=SEEDS)
def test_the_order_of_the_log_changes_nothing(seed: int) -> None:
    logged, rng = log_of(seed)[0], np.random.default_rng(seed)
    rows, users = rng.permutation(400), rng.integers(0, 50, 400)
    one, other = (
        snips(
            Logged(
                reward=logged.reward[kept],
                propensity=logged.propensity[kept],
                target_prob=logged.target_prob[kept],
                clusters=users[kept],
            ),
            check=False,
        )
        for kept in (np.arange(400), rows)
    )
    assert (one.value, one.low) == (pytest.approx(other.value), pytest.approx(other.low))


@pytest.mark.parametrize("draws", [0, 400])
def test_saying_everything_twice_for_one_user_is_no_new_evidence(draws: int) -> None:
    logged = log_of(3)[0]
    twice = Logged(
        reward=np.repeat(logged.reward, 2),
        propensity=np.repeat(logged.propensity, 2),
        target_prob=np.repeat(logged.target_prob, 2),
        clusters=np.repeat(np.arange(400), 2),
    )
    once, again = (ips(log, draws=draws, check=False) for log in (logged, twice))
    assert again.high - again.low == pytest.approx(once.high - once.low)


def test_bootstrap_and_normal_intervals_agree_where_both_hold() -> None:
    logged = log_of(5, 4_000)[0]
    normal, resampled = snips(logged), snips(logged, draws=2_000)
    width = normal.high - normal.low
    assert resampled.low == pytest.approx(normal.low, abs=0.1 * width)
    assert resampled.high == pytest.approx(normal.high, abs=0.1 * width)


def test_what_the_log_never_did_is_refused_with_what_to_do() -> None:
    """Logged evenly between two of three actions; the target takes the third one half of the time."""
    logged = Logged(reward=np.ones(1_000), propensity=np.full(1_000, 0.5), target_prob=np.full(1_000, 0.25))
    with pytest.raises(DataError, match=r"mean weight is 0\.500, expected 1 ± 0\.05.*explore more"):
        ips(logged)
    assert Support.of(logged.weights).overlap == 0.5


def test_one_row_that_outweighs_all_others_is_refused() -> None:
    weights = np.full(10_000, 1e-4)
    weights[0] = 9_999.0
    logged = Logged(reward=np.ones(10_000), propensity=np.full(10_000, 1e-4), target_prob=weights * 1e-4)
    with pytest.raises(DataError, match=r"effective sample size is 1\.0 of 10000"):
        snips(logged)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"propensity": np.array([0.5, 0.0])}, r"propensity 0\.0, expected numbers in \(0, 1\]"),
        ({"propensity": np.array([0.5, np.nan])}, "propensity nan"),
        ({"target_prob": np.array([0.5, 1.5])}, r"probability 1\.5"),
        ({"reward": np.array([1.0, np.inf])}, "reward that is not finite"),
        ({"reward": np.ones(3)}, "must have one shape"),
    ],
)
def test_what_is_no_log_is_named(change: dict[str, np.ndarray], told: str) -> None:
    good = {"reward": np.ones(2), "propensity": np.full(2, 0.5), "target_prob": np.full(2, 0.5)}
    with pytest.raises(DataError, match=told):
        Logged(**{**good, **change})


def test_one_user_is_no_interval() -> None:
    with pytest.raises(DataError, match="found 1 clusters"):
        estimate([Ratio.mean(np.ones(5))], np.ones(5), np.zeros(5, int))
