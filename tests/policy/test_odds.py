"""The odds of a ranking drawn before are those that its draw reported, and they can be summed up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.policy.draw import Cap, Draw, draw_ranking, query_noise
from raysys.policy.odds import mixed_odds, pick_odds
from raysys.types import Floats, QueryId

UTILITY = st.lists(st.floats(-3, 3), min_size=1, max_size=8).map(np.array)
RULES = st.fixed_dictionaries(
    {
        "pins": st.dictionaries(st.integers(0, 9), st.integers(0, 7), max_size=2),
        "caps": st.lists(st.tuples(st.integers(1, 2), st.integers(2, 4)), max_size=2),
    }
)
TEMPERATURES = st.sampled_from([0.0, 0.3, 2.0])


def drawn(
    utility: Floats, seed: int, temperature: float, rules: dict
) -> tuple[Draw, dict[int, int], list[Cap]]:
    size = len(utility)
    pins: dict[int, int] = {}
    for position, candidate in rules["pins"].items():
        if candidate % size not in pins.values():
            pins[position] = candidate % size
    caps = [Cap(groups=np.arange(size) % 2, max=most, within=within) for most, within in rules["caps"]]
    hashes = np.arange(size, dtype=np.uint64)
    draw = draw_ranking(
        utility,
        6,
        temperature=temperature,
        noise=lambda epoch: query_noise(seed, QueryId("q"), hashes, epoch),
        ties=np.arange(size),
        pins=pins,
        caps=caps,
    )
    return draw, pins, caps


@given(utility=UTILITY, seed=st.integers(0, 99), temperature=TEMPERATURES, rules=RULES)
def test_the_logged_picks_have_the_odds_that_the_draw_reported(
    utility: Floats, seed: int, temperature: float, rules: dict
) -> None:
    draw, pins, caps = drawn(utility, seed, temperature, rules)
    odds = pick_odds(utility, draw.order, temperature=temperature, pinned=pins.values(), caps=caps)
    np.testing.assert_allclose(odds.sum(axis=1), 1.0)
    own = odds[np.arange(len(draw.order)), draw.order]
    np.testing.assert_allclose(own, draw.propensities, rtol=1e-9)


def test_a_colder_policy_is_surer_of_the_best() -> None:
    """By hand: shares of e^1 and e^0 are .731 and .269, at temperature .5 of e^2 and e^0 .881 and .119."""
    utility, order = np.array([1.0, 0.0]), np.array([1, 0])
    warm = pick_odds(utility, order, temperature=1.0)
    cold = pick_odds(utility, order, temperature=0.5)
    np.testing.assert_allclose(warm, [[0.7310586, 0.2689414], [1.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(cold[0], [0.8807971, 0.1192029], atol=1e-6)
    np.testing.assert_array_equal(pick_odds(utility, order, temperature=0.0), [[1.0, 0.0], [1.0, 0.0]])


@given(seed=st.integers(0, 99), prob=st.floats(0.0, 1.0))
def test_a_mixtures_picks_multiply_to_the_mixture_of_whole_rankings(seed: int, prob: float) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(5)[:3]
    profiles = np.array([prob, 1.0 - prob])
    odds = np.stack([pick_odds(rng.normal(size=5), order, temperature=0.7) for _ in range(2)])
    places = np.arange(3)
    whole = (profiles * odds[:, places, order].prod(axis=1)).sum()
    mixed = mixed_odds(profiles, odds, order)
    assert mixed[places, order].prod() == pytest.approx(whole)
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0)


def test_where_no_profile_would_come_the_odds_are_zero() -> None:
    order = np.array([1, 0])
    sure = pick_odds(np.array([1.0, 0.0]), order, temperature=0.0)
    mixed = mixed_odds(np.array([1.0]), sure[None], order)
    assert mixed[0, 1] == 0.0
    assert not mixed[1].any()
