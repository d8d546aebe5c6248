"""Signals: on one scale by constants of the bundle, neutral where unknown."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raysys.errors import BundleError
from raysys.signals import SIGNALS, SignalConstants, engine_signal, freshness, logit, price_fit
from raysys.types import DAY_MS, Floats
from tests.fakes import NOW_MS

RAW = arrays(np.float64, st.tuples(st.integers(1, 6), st.just(len(SIGNALS))), elements=st.floats(-1e9, 1e9))


@given(raw=RAW)
def test_standardized_signals_are_clipped_and_alone_equal_together(raw: Floats) -> None:
    constants = SignalConstants.default()
    together = constants.standardize(raw)
    assert np.all(np.abs(together) <= 4)
    np.testing.assert_array_equal(constants.standardize(raw[:1]), together[:1])


def test_a_missing_value_is_neutral() -> None:
    raw = np.full((2, len(SIGNALS)), np.nan)
    assert not SignalConstants.default().standardize(raw).any()


def test_measured_constants_give_unit_spread(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).normal(3.0, 7.0, (20_000, len(SIGNALS)))
    constants = SignalConstants.measure(raw)
    np.testing.assert_allclose(constants.center, 3.0, atol=0.3)
    np.testing.assert_allclose(constants.scale, 7.0, rtol=0.05)
    constants.save(tmp_path)
    np.testing.assert_array_equal(SignalConstants.load(tmp_path).scale, constants.scale)


def test_a_signal_that_does_not_vary_keeps_its_default_constants() -> None:
    """Else the first value that differs in production would be millions of deviations away."""
    raw = np.random.default_rng(0).normal(size=(500, len(SIGNALS)))
    raw[:, 1] = 1.0 + 1e-9 * raw[:, 1]
    plain, found = SignalConstants.default(), SignalConstants.measure(raw)
    assert (found.center[1], found.scale[1]) == (plain.center[1], plain.scale[1])
    assert (found.scale[2:] != plain.scale[2:]).all()


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(BundleError, match="every scale above 0"):
        SignalConstants(names=("a",), center=np.zeros(1), scale=np.zeros(1))


def test_the_engines_signal_falls_with_its_position() -> None:
    np.testing.assert_allclose(engine_signal(np.array([0, 2])), [1.0, 0.5])


def test_prices_near_what_was_paid_fit_best() -> None:
    fit = price_fit(np.array([2e6, 4e6, np.nan]), np.array([2e6, np.nan]))
    np.testing.assert_allclose(fit, [0.0, -np.log(2), np.nan])
    assert np.isnan(price_fit(np.array([1e6]), np.array([]))).all()


def test_freshness_fades_and_is_unknown_without_a_date() -> None:
    values = freshness(np.array([NOW_MS, NOW_MS - 30 * DAY_MS, 0.0]), NOW_MS)
    np.testing.assert_allclose(values, [1.0, np.exp(-1), np.nan])


def test_log_odds_stay_finite() -> None:
    assert np.all(np.isfinite(logit(np.array([0.0, 0.5, 1.0]))))
