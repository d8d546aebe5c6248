"""The fidelity report passes people who are as fitted, and fails each kind of difference by name."""

from dataclasses import replace

import numpy as np
import pytest

from raysys.behavior.choice import fit_choice
from raysys.behavior.fidelity import HEAD, Check, fidelity, passed, replayed, visit_checks
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.situations import Situations
from raysys.errors import DataError
from raysys.types import DAY_MS
from tests.behavior.people import situations
from tests.behavior.test_visits import two_rhythms


@pytest.fixture(scope="module")
def people() -> tuple[Situations, Situations]:
    return situations(3000, seed=0), situations(3000, seed=1)


@pytest.fixture(scope="module")
def behavior(people: tuple[Situations, Situations]) -> Behavior:
    return Behavior.compares(fit_choice(people[0]), Leave.fit(people[0].lengths))


def failed(checks: list[Check]) -> set[str]:
    return {check.what for check in checks if check.passed is False}


def test_people_of_the_same_kind_pass(people: tuple[Situations, Situations], behavior: Behavior) -> None:
    checks = fidelity(behavior, *people)
    assert failed(checks) == set()
    assert passed(checks)
    assert all(len(check.row()) == len(HEAD) for check in checks)


def test_people_who_choose_at_random_fail(people: tuple[Situations, Situations], behavior: Behavior) -> None:
    odd = situations(3000, weights=(0.0, 0.0, 0.0), seed=1)
    found = failed(fidelity(behavior, people[0], odd))
    assert {f"{name}: loss of a choice, uniform and model" for name in ("search", "ads", "feed")} <= found


def test_a_model_that_tells_no_more_than_chance_fails() -> None:
    some, others = (situations(1000, weights=(0.0, 0.0, 0.0), seed=seed) for seed in (0, 1))
    behavior = Behavior.compares(fit_choice(some), Leave.fit(some.lengths))
    found = failed(fidelity(behavior, some, others))
    assert {f"{name}: loss of a choice, uniform and model" for name in ("search", "ads", "feed")} <= found


def test_people_who_buy_less_fail(people: tuple[Situations, Situations], behavior: Behavior) -> None:
    found = failed(fidelity(behavior, people[0], situations(3000, outside=3.0, seed=1)))
    assert "feed: pages with a purchase" in found
    assert "feed: purchases a page" in found


def test_people_who_stay_longer_fail(people: tuple[Situations, Situations], behavior: Behavior) -> None:
    found = failed(fidelity(behavior, people[0], situations(2000, longest=9, seed=1)))
    assert "session length: mean, and distance (KS)" in found


def test_people_who_repeat_more_fail(people: tuple[Situations, Situations], behavior: Behavior) -> None:
    found = failed(fidelity(behavior, people[0], situations(3000, weights=(0.5, 4.0, -1.0), seed=1)))
    assert "search: share of repeats" in found


def test_replayed_purchases_are_among_the_candidates(behavior: Behavior) -> None:
    some = situations(200, seed=4)
    bought = replayed(behavior, some, 0)
    assert not np.any(bought & ~some.present)
    assert bought.any()
    np.testing.assert_array_equal(bought, replayed(behavior, some, 0))


def test_a_model_is_recovered_from_what_its_people_buy() -> None:
    some = situations(4000, candidates=12)
    choice = replace(fit_choice(some), again=np.array([0.2, 0.0, 0.4]), outside=np.array([0.5, 1.0, 1.5]))
    behavior = Behavior(choice=choice, leave=Leave(np.zeros(1)))
    found = fit_choice(replace(some, bought=replayed(behavior, some, 0)))
    np.testing.assert_allclose(found.weights[1], choice.weights[1], atol=0.12)
    np.testing.assert_allclose(found.outside, choice.outside, atol=0.15)
    np.testing.assert_allclose(found.again, choice.again, atol=0.05)


def test_a_report_needs_the_features_that_it_reads_by_name(
    people: tuple[Situations, Situations], behavior: Behavior
) -> None:
    nameless = replace(people[1], wish_names=("a", "b", "c"))
    other = replace(behavior, choice=replace(behavior.choice, names=("a", "b", "c")))
    with pytest.raises(DataError, match="no feature 'popularity'"):
        fidelity(other, nameless, nameless)


def test_visits_at_two_rhythms_are_told_apart_and_a_change_of_rhythm_fails() -> None:
    some = two_rhythms(300)
    checks = visit_checks(some, 200 * DAY_MS, 300 * DAY_MS)
    assert failed(checks) == set()
    cut = 200 * DAY_MS
    slower = np.where(some.time_ms > cut, cut + (some.time_ms - cut) * 4, some.time_ms)
    late = visit_checks(replace(some, time_ms=slower), cut, 500 * DAY_MS)
    assert "visit within 7 days: share" in failed(late)
