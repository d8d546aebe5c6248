"""The conditional logit: by hand, and recovered from choices that it made."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.behavior.choice import ChoiceModel, choice_loss, fit_choice, inclusive_value, set_loss, utilities
from raysys.errors import DataError
from tests.behavior.people import one_page, situations

PLANTED = (0.5, 1.5, -1.0)


def test_three_candidates_by_hand() -> None:
    """Utilities log 1, log 2, log 3 and log 4 for nothing: shares of a tenth each."""
    model = ChoiceModel(
        names=("x",), weights=np.ones((3, 1)), outside=np.array([np.log(4.0), np.nan, 0.0]), again=np.zeros(3)
    )
    wish = np.log([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(model.probs(wish, 0), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(model.probs(wish, 1), [1 / 6, 2 / 6, 3 / 6])


@given(
    utility=st.lists(st.floats(-3, 3), min_size=5, max_size=5),
    size=st.integers(1, 4),
    absent=st.integers(0, 1),
)
def test_the_odds_of_a_set_are_those_of_all_orders_in_which_it_comes_first(
    utility: list[float], size: int, absent: int
) -> None:
    bought, present = np.arange(5) < size, np.arange(5) < 5 - absent
    shares = np.exp(utility) * present
    odds = 0.0
    for order in permutations(range(size)):
        left = shares.sum() - np.concatenate([[0.0], np.cumsum(shares[list(order)])[:-1]])
        odds += np.prod(shares[list(order)] / left)
    loss, _ = set_loss(np.array([utility]), present[None], bought[None])
    np.testing.assert_allclose(loss, -np.log(odds), atol=1e-5)


def test_the_gradient_of_the_odds_of_a_set_is_their_slope() -> None:
    rng = np.random.default_rng(0)
    utility, bought = rng.normal(size=(1, 6)), np.array([[True, False, True, True, False, False]])
    present = np.array([[True, True, True, True, True, False]])
    step = 1e-5 * np.eye(6)
    up, down = (
        np.array([set_loss(utility + sign * row, present, bought)[0][0] for row in step]) for sign in (1, -1)
    )
    np.testing.assert_allclose(set_loss(utility, present, bought)[1][0], (up - down) / 2e-5, atol=1e-6)


def test_buying_everything_tells_nothing() -> None:
    every = np.ones((1, 3), bool)
    loss, gradient = set_loss(np.array([[1.0, 2.0, 30.0]]), every, every)
    np.testing.assert_allclose(loss, 0.0, atol=1e-9)
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_loss_of_an_even_choice_is_the_log_of_the_candidates() -> None:
    people = situations()
    loss = choice_loss(np.zeros(people.present.shape), people)
    some = people.bought.any(axis=1)
    np.testing.assert_allclose(loss[some], np.log(people.present.sum(axis=1))[some])
    assert np.isnan(loss[~some]).all()


def test_planted_weights_and_the_outside_option_are_recovered() -> None:
    model = fit_choice(situations(4000, weights=PLANTED, outside=1.0))
    np.testing.assert_allclose(model.weights, np.tile(PLANTED, (3, 1)), atol=0.12)
    np.testing.assert_allclose(model.outside, 1.0, atol=0.12)
    np.testing.assert_allclose(model.again, 0.0, atol=1e-9)


def test_each_surface_has_its_own_weights_and_one_without_purchases_those_of_all() -> None:
    one, two = (situations(3000, weights=(weight, 0.0, 0.0), surfaces=2) for weight in (2.0, -2.0))
    mixed = np.where(one.surface[:, None] == 0, one.bought, two.bought)  # of the same pages
    model = fit_choice(replace(one, bought=mixed))
    assert model.weights[0, 0] == pytest.approx(2.0, abs=0.2)
    assert model.weights[1, 0] == pytest.approx(-2.0, abs=0.2)
    assert abs(model.weights[2, 0]) < 0.3
    assert np.isnan(model.outside[2])


def test_a_fit_is_the_bottom_of_the_loss() -> None:
    people = situations(500)
    model = fit_choice(people)
    best = np.nanmean(choice_loss(model.appeal(people), people))
    for step in (-0.3, 0.3):
        for feature in range(3):
            weights = model.weights.copy()
            weights[:, feature] += step
            assert np.nanmean(choice_loss(utilities(people, weights), people)) > best


def test_a_feature_that_separates_perfectly_is_held_by_the_prior() -> None:
    """One of two always, 20 times: 20 (1 - p) = w for all surfaces, and = w - that on its own."""
    page = one_page(np.array([[1.0], [0.0]]), outside=0.0).situations.where(np.zeros(20, np.int64))
    model = fit_choice(replace(page, bought=np.tile([True, False], (20, 1))))
    pooled, own = model.weights[1, 0], model.weights[0, 0]
    assert 20 / (1 + np.exp(pooled)) == pytest.approx(pooled, abs=1e-4)
    assert 20 / (1 + np.exp(own)) == pytest.approx(own - pooled, abs=1e-4)


def test_where_everybody_buys_the_outside_option_is_unknown() -> None:
    assert np.isnan(fit_choice(situations(outside=-1e9)).outside).all()


def test_a_baskets_size_is_the_chance_of_one_thing_more() -> None:
    people = situations(300, outside=-1e9)
    twice = people.present & (np.cumsum(people.present, axis=1) <= 2)  # the first two of each page
    assert fit_choice(replace(people, bought=twice)).again == pytest.approx([0.5] * 3)


def test_a_log_without_purchases_is_refused() -> None:
    people = situations()
    with pytest.raises(DataError, match="no situation has a purchase"):
        fit_choice(replace(people, bought=np.zeros_like(people.bought)))


def test_padding_counts_for_nothing() -> None:
    people = situations()
    wild = people.wish.copy()
    wild[~people.present] = 1e6
    other = replace(people, wish=wild)
    np.testing.assert_array_equal(fit_choice(people).weights, fit_choice(other).weights)
    weights = np.tile(PLANTED, (3, 1))
    np.testing.assert_array_equal(
        inclusive_value(utilities(people, weights), people), inclusive_value(utilities(other, weights), other)
    )
