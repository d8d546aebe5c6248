"""Drawing: the odds are right, the noise has an address, and rules act inside the draw."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raysys.catalog import hash_ids
from raysys.policy.draw import Cap, Draw, draw_ranking, pick_propensities, query_noise
from raysys.types import Floats, Ints, QueryId

UTILITIES = arrays(np.float64, st.integers(1, 30), elements=st.floats(-50, 50))


def noise_of(query: str, size: int, seed: int = 0) -> Callable[[int], Floats]:
    hashes = hash_ids(str(item) for item in range(size))
    return lambda epoch: query_noise(seed, QueryId(query), hashes, epoch)


def draw(
    utility: Floats, query: str = "q", length: int = 1_000, temperature: float = 1.0, **rules: Any
) -> Draw:
    size = len(utility)
    ties = np.arange(size)
    noise = noise_of(query, size)
    return draw_ranking(utility, length, temperature=temperature, noise=noise, ties=ties, **rules)


@given(utility=UTILITIES, query=st.text(max_size=8), temperature=st.floats(0.01, 10))
def test_every_propensity_is_a_probability(utility: Floats, query: str, temperature: float) -> None:
    drawn = draw(utility, query, temperature=temperature)
    assert np.all((drawn.propensities > 0) & (drawn.propensities <= 1))
    assert drawn.propensities[-1] == 1
    assert sorted(drawn.order) == list(range(len(utility)))


@given(utility=UTILITIES, query=st.text(max_size=8), data=st.data())
def test_rules_keep_propensities_probabilities_and_the_ranking_whole(
    utility: Floats, query: str, data: st.DataObject
) -> None:
    size = len(utility)
    groups = np.array(data.draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size)))
    cap = Cap(groups=groups, max=data.draw(st.integers(1, 3)), within=data.draw(st.integers(1, 6)))
    pins = data.draw(st.dictionaries(st.integers(0, 40), st.integers(0, size - 1), max_size=3))
    pins = {position: item for item, position in {item: p for p, item in pins.items()}.items()}
    drawn = draw(utility, query, pins=pins, caps=[cap])
    assert sorted(drawn.order) == list(range(size))
    assert np.all((drawn.propensities > 0) & (drawn.propensities <= 1))
    for position, item in pins.items():
        if position < size - len(pins):
            assert drawn.order[position] == item
            assert drawn.forced[position]
            assert drawn.propensities[position] == 1


def test_the_first_pick_is_as_frequent_as_its_propensity_says() -> None:
    utility = np.log([0.5, 0.3, 0.2])
    firsts = [draw(utility, f"q{n}", 1).order[0] for n in range(8_000)]
    np.testing.assert_allclose(np.bincount(firsts) / 8_000, [0.5, 0.3, 0.2], atol=0.02)


def test_propensities_of_a_known_ranking() -> None:
    np.testing.assert_allclose(pick_propensities(np.log([2.0, 3.0, 5.0]), 3), [0.2, 0.375, 1.0])


def test_under_caps_that_let_items_return_each_pick_is_as_frequent_as_its_propensity() -> None:
    """Two of group 0 may not be neighbors: after item 2, items 0 and 1 come back into the draw."""
    utility = np.log([3.0, 2.0, 1.0, 1.0])
    cap = Cap(groups=np.array([0, 0, 1, 1]), max=1, within=2)
    seen: dict[tuple[int, ...], list[int]] = {}
    odds: dict[tuple[int, ...], dict[int, float]] = {}
    for n in range(8_000):
        drawn = draw(utility, f"q{n}", caps=[cap])
        for place in range(3):
            above = tuple(drawn.order[:place].tolist())
            pick = int(drawn.order[place])
            seen.setdefault(above, []).append(pick)
            odds.setdefault(above, {})[pick] = float(drawn.propensities[place])
    for above, picks in seen.items():
        if len(picks) < 400:
            continue
        for pick, propensity in odds[above].items():
            spread = np.sqrt(propensity * (1 - propensity) / len(picks))
            assert abs(picks.count(pick) / len(picks) - propensity) < 4.5 * spread + 1e-9


@given(utility=UTILITIES, length=st.integers(1, 30), seed=st.integers(0, 5))
def test_a_shorter_draw_is_the_start_of_a_longer_one(utility: Floats, length: int, seed: int) -> None:
    cap = Cap(groups=np.arange(len(utility)) % 3, max=1, within=2)
    whole, start = (draw(utility, str(seed), n, caps=[cap]) for n in (len(utility), length))
    np.testing.assert_array_equal(whole.order[: len(start.order)], start.order)
    np.testing.assert_array_equal(whole.propensities[: len(start.order)], start.propensities)


def test_temperature_zero_is_a_plain_sort_where_ties_keep_the_engines_order() -> None:
    drawn = draw(np.array([1.0, 2.0, 1.0, 2.0]), temperature=0.0)
    assert drawn.order.tolist() == [1, 3, 0, 2]
    assert drawn.propensities.tolist() == [1, 1, 1, 1]


def test_a_cap_holds_back_and_says_so() -> None:
    cap = Cap(groups=np.array([0, 0, 0, 1]), max=1, within=2)
    drawn = draw(np.array([4.0, 3.0, 2.0, 1.0]), temperature=0.0, caps=[cap])
    assert drawn.order.tolist() == [0, 3, 1, 2]
    assert drawn.held == {1: (0,)}


def test_a_pin_beyond_the_end_stands_last() -> None:
    drawn = draw(np.array([3.0, 2.0, 1.0]), temperature=0.0, pins={9: 0})
    assert drawn.order.tolist() == [1, 2, 0]


@pytest.mark.parametrize("other", [("q2", 0, 0), ("q1", 1, 0), ("q1", 0, 1)])
def test_noise_differs_by_query_seed_and_epoch(other: tuple[str, int, int]) -> None:
    hashes = hash_ids(["a", "b"])
    query, seed, epoch = other
    mine = query_noise(0, QueryId("q1"), hashes)
    assert not np.any(mine == query_noise(seed, QueryId(query), hashes, epoch))


def test_noise_of_an_item_ignores_its_neighbors() -> None:
    together = query_noise(3, QueryId("q"), hash_ids(["a", "b", "c"]))
    assert query_noise(3, QueryId("q"), hash_ids(["b"]))[0] == together[1]


def test_noise_is_standard_gumbel() -> None:
    noise = query_noise(1, QueryId("q"), hash_ids(str(n) for n in range(100_000)))
    assert abs(noise.mean() - np.euler_gamma) < 0.02
    assert abs(noise.var() - np.pi**2 / 6) < 0.05


def test_noise_of_neighboring_queries_is_uncorrelated() -> None:
    hashes: Ints = hash_ids(str(n) for n in range(20_000))
    first, second = (query_noise(1, QueryId(q), hashes) for q in ("q1", "q2"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03
