"""Metrics by hand-made examples."""

import numpy as np
import pytest

from raysys.evaluation.metrics import log_loss, mean_error, ndcg


def test_a_perfect_ranking_has_ndcg_one() -> None:
    assert ndcg(np.array([True, True, False]), truth=2) == pytest.approx(1.0)


def test_a_true_item_that_was_never_reached_still_counts() -> None:
    assert ndcg(np.array([True, False]), truth=2) == pytest.approx(1.0 / (1.0 + 1.0 / np.log2(3.0)))


def test_nothing_true_has_no_ndcg_and_is_left_out_of_the_mean() -> None:
    assert np.isnan(ndcg(np.array([False]), truth=0))
    assert mean_error(np.array([1.0, np.nan, 3.0])) == pytest.approx((2.0, 1.0))


def test_log_loss_of_a_coin_is_log_two() -> None:
    assert log_loss(np.array([0.5, 0.5]), np.array([True, False])) == pytest.approx(np.log(2.0))
