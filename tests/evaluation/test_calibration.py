"""Reliability by hand, and against what honest probabilities do."""

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.evaluation.calibration import reliability


def test_the_error_is_the_mean_distance_of_predicted_and_observed() -> None:
    """Two bins of two: 0.15 is said and half comes true, 0.7 is said and all comes true."""
    found = reliability(np.array([0.1, 0.8, 0.2, 0.6]), np.array([False, True, True, True]), bins=2)
    np.testing.assert_allclose(found.predicted, [0.15, 0.7])
    np.testing.assert_allclose(found.observed, [0.5, 1.0])
    assert found.ece == pytest.approx((0.35 + 0.3) / 2)
    assert found.ratio == pytest.approx((0.15 + 0.7) / 1.5)


def test_a_case_that_stands_for_several_counts_as_so_many() -> None:
    prob, done, weight = np.array([0.1, 0.4, 0.9]), np.array([False, True, True]), np.array([3.0, 1.0, 2.0])
    several = np.repeat(np.arange(3), weight.astype(int))
    one, other = reliability(prob, done, weight, bins=2), reliability(prob[several], done[several], bins=2)
    for name in ("predicted", "observed", "share"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name))
    np.testing.assert_allclose(one.cases, [1.0, 9.0 / 5.0])


def test_cases_of_one_probability_are_in_one_bin_whatever_their_order() -> None:
    done = np.arange(100) < 30
    for order in (done, done[::-1]):
        found = reliability(np.full(100, 0.3), order)
        assert found.ece == pytest.approx(0.0)
        assert found.cases.tolist() == [100.0]


def test_true_probabilities_have_the_error_that_chance_alone_makes() -> None:
    rng = np.random.default_rng(0)
    found, told = [], []
    for _ in range(40):
        prob = rng.random(3_000) * 0.2
        points = reliability(prob, rng.random(3_000) < prob)
        found.append(points.ece)
        told.append(points.ece_if_true)
    assert np.mean(found) == pytest.approx(np.mean(told), rel=0.1)
    assert np.ptp(points.share) < 0.01


def test_half_of_every_probability_is_half_of_what_happens() -> None:
    rng = np.random.default_rng(1)
    prob = rng.random(50_000)
    found = reliability(prob / 2, rng.random(50_000) < prob)
    assert found.ratio == pytest.approx(0.5, abs=0.01)
    assert found.ece == pytest.approx(0.25, abs=0.01)


def test_no_cases_have_no_bins() -> None:
    found = reliability(np.zeros(0), np.zeros(0, np.bool_))
    assert not len(found.predicted)
    assert found.ece == 0.0
    assert np.isnan(found.ratio)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(DataError, match="expected one shape"):
        reliability(np.zeros(2), np.zeros(3, np.bool_))
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(DataError, match=r"expected \[0, 1\]"):
            reliability(np.array([0.5, wrong]), np.zeros(2, np.bool_))
