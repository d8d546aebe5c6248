"""The cross-entropy search finds a known best, keeps what it may not change, and never loses ground."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import ConfigError
from raysys.policy.search import SearchConfig, search_weights
from raysys.types import Floats

TARGET = np.array([1.0, -0.5, 0.25])
ALL = np.ones(3, np.bool_)


def closeness(rows: Floats) -> Floats:
    """Worth most at TARGET."""
    return np.asarray(-((rows - TARGET) ** 2).sum(axis=1))


def test_a_known_best_is_found() -> None:
    config = SearchConfig(generations=30, population=40, elites=8)
    *_, last = search_weights(closeness, np.zeros(3), ALL, config, seed=0)
    np.testing.assert_allclose(last.weights, TARGET, atol=0.05)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_best_never_gets_worse_and_is_at_least_the_start(seed: int) -> None:
    start = TARGET + 0.01  # hard to better
    found = list(search_weights(closeness, start, ALL, SearchConfig(generations=4), seed))
    assert found[0].value >= closeness(start[None])[0]
    assert all(later.value >= earlier.value for earlier, later in pairwise(found))
    assert closeness(found[-1].weights[None])[0] == found[-1].value


def test_what_is_not_free_keeps_its_weight() -> None:
    free = np.array([True, False, True])
    for generation in search_weights(closeness, np.full(3, 0.125), free, SearchConfig(), seed=1):
        assert generation.weights[1] == generation.mean[1] == 0.125
        assert generation.spread[1] == 0.0


def test_one_seed_is_one_search_and_another_is_another() -> None:
    def run(seed: int) -> Floats:
        *_, last = search_weights(closeness, np.zeros(3), ALL, SearchConfig(), seed)
        return last.weights

    np.testing.assert_array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))


def test_a_search_without_losers_is_refused() -> None:
    with pytest.raises(ConfigError, match="elites is 20, expected 1 to population - 1"):
        SearchConfig(elites=20)
