"""Visits: their rhythm by hand, and a model that knows who comes back."""

import numpy as np
import pytest

from raysys.behavior.visits import FEATURES, Visits, fit_visits
from raysys.errors import DataError
from raysys.types import DAY_MS, Floats


def visits(*days: float, person: int = 0) -> Visits:
    return Visits.of(np.full(len(days), person), (np.array(days) * DAY_MS).astype(np.int64))


def two_rhythms(length: int, people: int = 200) -> Visits:
    """`length` days of people of whom the even come with 1/3 a day and the odd with 1/20."""
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(people) % 2 == 0, 1 / 3, 1 / 20)
    person, day = np.nonzero(rng.random((people, length)) < chance[:, None])
    return Visits.of(person, day * DAY_MS)


def column(name: str, features: Floats) -> Floats:
    return np.asarray(features[:, FEATURES.index(name)])


def test_a_day_is_one_visit_however_much_was_done() -> None:
    some = Visits.of(np.array([1, 0, 0, 0]), np.array([5, 7, 2, DAY_MS]))
    np.testing.assert_array_equal(some.person, [0, 0, 1])
    np.testing.assert_array_equal(some.time_ms, [2, DAY_MS, 5])
    np.testing.assert_array_equal(some.size, [2, 1, 1])


def test_a_day_may_begin_after_midnight() -> None:
    late = np.array([DAY_MS - 1, DAY_MS + 1])
    assert len(Visits.of(np.zeros(2, int), late)) == 2
    assert len(Visits.of(np.zeros(2, int), late, day_starts_ms=DAY_MS // 4)) == 1


def test_gaps_and_returns_by_hand() -> None:
    some = visits(0, 3, 13)
    np.testing.assert_allclose(some.gaps(), [3.0, 10.0, np.nan])
    np.testing.assert_array_equal(some.returned(30 * DAY_MS), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(some.returned(15 * DAY_MS), [1.0, 0.0, np.nan])


def test_a_return_is_untold_where_the_log_is_too_short_even_if_it_came() -> None:
    """Otherwise the last week of a log would know only those who came."""
    assert np.isnan(visits(0, 3).returned(5 * DAY_MS)).all()


def test_features_by_hand() -> None:
    features = visits(0, 3, 13).features()
    assert features.shape == (3, len(FEATURES))
    np.testing.assert_allclose(column("log_gap", features), np.log1p([7.0, 3.0, 10.0]))
    np.testing.assert_allclose(column("log_visits", features), np.log([1, 2, 3]))
    np.testing.assert_allclose(column("log_visits:7d", features), np.log([1, 2, 1]))
    np.testing.assert_allclose(column("log_visits:28d", features), np.log([1, 2, 3]))
    usual = [np.log1p(7.0), np.log1p(3.0), 0.7 * np.log1p(3.0) + 0.3 * np.log1p(10.0)]
    np.testing.assert_allclose(column("log_usual_gap", features), usual)


def test_a_window_does_not_hold_what_is_as_old_as_itself() -> None:
    assert column("log_visits:7d", visits(0, 7).features())[1] == 0.0
    assert column("log_visits:7d", visits(0, 6.9).features())[1] == np.log(2)


def test_features_know_nothing_of_later_visits_or_of_other_people() -> None:
    days = np.cumsum(np.random.default_rng(0).geometric(0.2, 30))
    alone = visits(*days).features()
    np.testing.assert_array_equal(visits(*days[:20]).features(), alone[:20])
    other = np.cumsum(np.random.default_rng(1).geometric(0.5, 40))
    people = np.concatenate([np.zeros(30, int), np.ones(40, int)])
    together = Visits.of(people, (np.concatenate([days, other]) * DAY_MS).astype(np.int64)).features()
    np.testing.assert_allclose(together[: len(alone)], alone)


def test_who_comes_often_is_told_from_who_comes_seldom() -> None:
    some = two_rhythms(400)
    features, returned = some.features(), some.returned(400 * DAY_MS)
    fit, held = some.person < 100, (some.person >= 100) & np.isfinite(returned)
    prob = fit_visits(features[fit], returned[fit]).probs(features[held])
    often = some.person[held] % 2 == 0
    assert prob[often].mean() == pytest.approx(1 - (1 - 1 / 3) ** 7, abs=0.03)
    assert prob[~often].mean() == pytest.approx(1 - (1 - 1 / 20) ** 7, abs=0.05)


def test_a_log_in_which_all_return_is_refused() -> None:
    some = visits(*range(40))
    with pytest.raises(DataError, match="give a longer log"):
        fit_visits(some.features(), some.returned(30 * DAY_MS))
