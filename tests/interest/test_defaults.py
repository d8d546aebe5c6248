"""Settings that nobody searched: they follow the log and the budget, and nothing else."""

import numpy as np
import pytest

from raysys.interest.defaults import network_config
from raysys.interest.interactions import Interactions


def histories(users: int, length: int) -> Interactions:
    size = users * length
    user = np.tile(np.arange(users), length)
    return Interactions(user=user, row=np.zeros(size, int), kind=np.zeros(size, int), time_ms=np.arange(size))


def test_more_time_for_the_same_log_buys_a_larger_network() -> None:
    for log in (histories(1000, 6), histories(1000, 60)):
        brief, ample = (network_config(log, 100, seconds) for seconds in (0.2, 900.0))
        assert ample.width * ample.blocks > brief.width * brief.blocks
        assert ample.dropout > brief.dropout


def test_short_histories_are_kept_from_being_learned_by_heart() -> None:
    short, long = (network_config(histories(1000, length), 100, 600.0) for length in (6, 60))
    assert short.dropout > long.dropout
    assert short.label_smoothing > long.label_smoothing == 0.0


def test_few_long_histories_are_kept_from_it_too_and_are_not_read_for_ever() -> None:
    few, some, many = (network_config(histories(users, 100), 100, 3600.0) for users in (50, 1000, 20_000))
    assert few.dropout == 0.5 > some.dropout > many.dropout == 0.1
    assert some.cpu_seconds is not None
    assert some.cpu_seconds < 120.0


@pytest.mark.parametrize("length", [6, 60])
def test_only_what_is_in_the_log_and_the_budget_counts(length: int) -> None:
    one, other = (network_config(histories(50, length), 100, 60.0) for _ in range(2))
    assert one == other
    assert one.cpu_seconds is not None
    assert one.cpu_seconds <= 60.0


@pytest.mark.parametrize("items", [100, 200_000])
def test_a_small_log_leaves_time_to_train_beside_what_a_catalog_takes_to_be_made_ready(items: int) -> None:
    seconds = network_config(histories(100, 6), items, 900.0).cpu_seconds
    assert seconds is not None
    assert 1.0 + 7.6 * items / 200_000 + 1.7 < seconds < 60.0
