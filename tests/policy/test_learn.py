"""What learning is judged by: segments, head-room, paired gains, and how much exploring may cost."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.errors import ConfigError
from raysys.policy.context import CONTEXT
from raysys.policy.export import learned_policy
from raysys.policy.learn import (
    as_served,
    compare,
    exploring_temperature,
    head_room,
    profile_values,
    unit_spread,
)
from raysys.policy.segments import ruled, segments_of
from raysys.signals import SIGNALS
from tests.tuning.market import market, simulator

BANK = np.zeros((3, len(SIGNALS)))
BANK[0, SIGNALS.index("popularity")] = 1.0
BANK[1, SIGNALS.index("interest")] = 1.0
BANK[2, SIGNALS.index("interest")] = -1.0


def test_segments_cover_every_page_once() -> None:
    situations = market(sessions=300)
    segments = segments_of(situations, least=1)
    inside = [s.holds(situations.context_names, situations.context, situations.surface) for s in segments]
    np.testing.assert_array_equal(np.sum(inside, axis=0), 1)
    assert {segment.name for segment in segments} >= {"feed, stranger", "search, stranger, rarer query"}
    sizes = [int(rows.sum()) for rows in inside]
    assert sizes == sorted(sizes, reverse=True)


def test_small_segments_are_left_to_the_incumbent() -> None:
    situations = market(sessions=50)
    assert segments_of(situations, least=10_000) == ()
    chosen = ruled((), (), situations.context_names)(situations.context, situations.surface)
    assert not chosen.any()


def test_head_room_finds_what_was_put_there() -> None:
    """In the market people want what is of interest, strangers what is popular; profile 0 is popularity."""
    train, test = market(sessions=400, seed=1), market(sessions=400, seed=2)
    segments = segments_of(train, least=1)
    found = head_room(simulator(train, BANK), simulator(test, BANK), segments, [0])
    chosen = dict(zip([segment.name for segment in found.segments], found.profiles, strict=True))
    assert all((profile == 0) == ("stranger" in name) for name, profile in chosen.items()), chosen
    assert 2 not in chosen.values()
    assert found.whole.gain.low > 0
    assert found.whole.gain.value >= max(gain.gain.value for gain in found.gains)


def test_weights_are_worth_what_they_earn_where_they_are_used() -> None:
    situations = market(sessions=200)
    values = profile_values(simulator(situations, BANK), None, [0])
    worth = values(BANK * np.array([[1.0], [7.0], [1.0]]))  # only the direction of weights counts
    np.testing.assert_allclose(worth, values(BANK))
    assert worth[1] > worth[2]
    stranger = next(s for s in segments_of(situations, least=1) if s.name == "feed, stranger")
    here = profile_values(simulator(situations, BANK), stranger, [0])(BANK)
    assert here[0] == max(here)  # popularity, for strangers


def test_a_paired_gain_has_a_far_narrower_interval_than_chance_alone() -> None:
    rng = np.random.default_rng(0)
    luck = rng.normal(scale=10.0, size=500)
    paired = compare(luck + 0.1, luck, np.arange(500))
    assert paired.gain.low == pytest.approx(0.1) == pytest.approx(paired.gain.high)
    assert compare(luck + 0.1, rng.permutation(luck), np.arange(500)).gain.low < 0


def test_sessions_of_one_person_are_no_independent_evidence() -> None:
    gain = np.repeat(np.random.default_rng(1).normal(size=50), 20)
    zero = np.zeros(1000)
    naive, honest = compare(gain, zero, np.arange(1000)), compare(gain, zero, np.repeat(np.arange(50), 20))
    assert honest.gain.high - honest.gain.low > 3 * (naive.gain.high - naive.gain.low)


def test_a_policy_is_played_with_the_odds_it_serves_with() -> None:
    layers = ((np.zeros((len(CONTEXT), 3), np.float32), np.log([0.6, 0.3, 0.1])),)
    allowed = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 1]], np.bool_)
    policy = learned_policy(SIGNALS, BANK, allowed, 0.1, layers)
    size = 20_000
    for surface, expected in ((0, [0.6, 0.3, 0.1]), (2, [6 / 7, 0, 1 / 7])):
        chosen = as_served(policy, 0)(np.zeros((size, len(CONTEXT)), np.float32), np.full(size, surface))
        np.testing.assert_allclose(np.bincount(chosen, minlength=3) / size, expected, atol=0.015)


def test_scaled_weights_spread_utility_by_one_within_a_page() -> None:
    situations = market(sessions=100)
    weights = np.random.default_rng(0).normal(size=(4, len(SIGNALS)))
    scaled = unit_spread(weights, situations)
    utility = np.einsum("ncs,as->anc", situations.signals, scaled)
    present = situations.present
    within = utility - (utility * present).sum(2, keepdims=True) / present.sum(1)[None, :, None]
    np.testing.assert_allclose([row[present].std() for row in within], 1.0, rtol=1e-4)
    np.testing.assert_array_equal(unit_spread(np.zeros(len(SIGNALS)), situations), 0.0)


def cost(utility: np.ndarray, temperature: float, length: int) -> float:
    """What exploring loses, by brute force with other noise, as a share of what ordering gains."""
    discount = 1 / np.log2(2 + np.arange(length))

    def worth(keys: np.ndarray) -> float:
        order = np.argsort(-keys, axis=1)[:, :length]
        return float((np.take_along_axis(utility, order, 1) @ discount).mean())

    noise = np.random.default_rng(99).gumbel(size=utility.shape)
    best = worth(utility)
    return (best - worth(utility / temperature + noise)) / (best - worth(noise))


@settings(max_examples=20)
@given(shift=st.floats(-100, 100), scale=st.floats(0.1, 10.0))
def test_exploring_costs_what_it_may_and_no_more(shift: float, scale: float) -> None:
    utility = np.random.default_rng(5).normal(size=(800, 20))
    present = np.ones((800, 20), np.bool_)
    temperature = exploring_temperature(utility * scale + shift, present, 10, share=0.01)
    assert cost(utility, temperature / scale, 10) == pytest.approx(0.01, abs=0.002)


def test_more_cost_buys_more_exploring_and_equal_candidates_none() -> None:
    utility = np.random.default_rng(5).normal(size=(200, 20))
    present = np.ones((200, 20), np.bool_)
    found = [exploring_temperature(utility, present, 10, share) for share in (0.001, 0.01, 0.1)]
    assert found == sorted(found)
    assert found[0] < found[2]
    assert exploring_temperature(np.zeros((5, 4)), np.ones((5, 4), np.bool_), 4) == 0.0
    with pytest.raises(ConfigError, match="share is 1"):
        exploring_temperature(utility, present, 10, 1.0)
