"""What a person does with a page, by hand: looking, leaving, comparing and taking the first good one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.behavior.choice import fit_choice
from raysys.behavior.examination import LOG2, NONE, STEEP, SWEEP, Examination
from raysys.behavior.leave import STEPS, Leave
from raysys.behavior.response import Behavior, how_many, read_page
from raysys.errors import ConfigError, DataError
from tests.behavior.people import situations

YES, NO = np.ones((1, 4), bool), np.zeros((1, 4), bool)
ONE = np.ones(1, np.int64)


def test_examination_at_each_position_by_hand() -> None:
    np.testing.assert_allclose(NONE.probs(3), [1.0, 1.0, 1.0])
    np.testing.assert_allclose(LOG2.probs(7)[[0, 2, 6]], [1.0, 1 / 2, 1 / 3])
    np.testing.assert_allclose(STEEP.probs(3), [1.0, 0.7, 0.49])


@pytest.mark.parametrize("examination", SWEEP)
def test_positions_are_looked_at_as_often_as_said(examination: Examination) -> None:
    depth = examination.depth((np.arange(10_000) + 0.5) / 10_000, 10)
    looked = (np.arange(10) < depth[:, None]).mean(axis=0)
    np.testing.assert_allclose(looked, examination.probs(10), atol=1e-3)


def test_the_hazard_is_the_share_that_ends_of_those_that_come_so_far() -> None:
    leave = Leave.fit(np.array([1, 2, 2, 4]), raised=2.0)
    np.testing.assert_allclose(leave.base, [1 / 4, 2 / 3, 0.0, 1.0])
    np.testing.assert_allclose(leave.reaching(5), [1.0, 3 / 4, 1 / 4, 1 / 4, 0.0])
    steps = np.arange(4)
    np.testing.assert_allclose(leave.hazard(steps, np.zeros(4, bool)), [1 / 2, 1.0, 0.0, 1.0])


def test_a_hazard_of_0_never_ends_a_session_and_one_of_1_always() -> None:
    steps, bad = np.arange(3), np.zeros(3, bool)
    np.testing.assert_array_equal(Leave(np.zeros(3), 9.0).too_early(steps, bad), 0.0)
    np.testing.assert_array_equal(Leave(np.full(3, 0.5), 2.0).too_early(steps, bad), 1.0)


@given(base=st.floats(0.0, 0.99), raised=st.floats(1.0, 50.0))
def test_the_logged_end_and_leaving_early_together_are_the_hazard(base: float, raised: float) -> None:
    leave, step = Leave(np.array([base]), raised), np.zeros(1, np.int64)
    for useful in (True, False):
        early = leave.too_early(step, np.array([useful]))
        np.testing.assert_allclose(
            base + (1 - base) * early, leave.hazard(step, np.array([useful])), atol=1e-9
        )
    assert leave.too_early(step, np.ones(1, bool)) == 0.0


def test_long_sessions_end_at_a_constant_rate() -> None:
    """Sessions that go on with 0.9 from the last hazard on."""
    rng = np.random.default_rng(0)
    leave = Leave.fit(STEPS - 1 + rng.geometric(0.1, 20_000))
    assert len(leave.base) == STEPS
    assert leave.base[-1] == pytest.approx(0.1, abs=0.003)


def test_lengths_and_hazards_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="1 or more"):
        Leave.fit(np.array([0, 1]))
    with pytest.raises(ConfigError, match="raised is"):
        Leave(np.zeros(1), 0.5)
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Leave(np.array([1.5]))


def test_who_compares_takes_the_best_that_was_looked_at() -> None:
    wanted, looked = np.array([[1.0, 2.0, 3.0, 9.0]]), np.array([[True, True, True, False]])
    deeds = read_page(wanted, np.array([0.0]), looked, NO, ONE, satisfices=False)
    np.testing.assert_array_equal(deeds.bought, [[False, False, True, False]])
    np.testing.assert_array_equal(deeds.clicked, deeds.bought)  # there is no purchase without a click


def test_who_satisfices_takes_the_first_good_one_and_looks_no_further() -> None:
    wanted = np.array([[-1.0, 2.0, 3.0, 9.0]])
    deeds = read_page(wanted, np.array([0.0]), YES, YES, ONE, satisfices=True)
    np.testing.assert_array_equal(deeds.bought, [[False, True, False, False]])
    np.testing.assert_array_equal(deeds.looked, [[True, True, False, False]])
    np.testing.assert_array_equal(deeds.clicked, [[True, True, False, False]])


@pytest.mark.parametrize("satisfices", [False, True])
def test_nothing_is_bought_that_nothing_at_all_is_better_than(satisfices: bool) -> None:
    deeds = read_page(np.zeros((1, 4)), np.array([1.0]), YES, NO, ONE, satisfices=satisfices)
    assert not deeds.bought.any()
    assert not deeds.clicked.any()
    assert deeds.looked.all()


@given(
    wanted=st.lists(st.floats(-5, 5), min_size=4, max_size=4),
    depth=st.integers(0, 4),
    many=st.integers(1, 5),
    satisfices=st.booleans(),
)
def test_what_is_bought_was_clicked_and_what_was_clicked_was_looked_at(
    wanted: list[float], depth: int, many: int, satisfices: bool
) -> None:
    looked = (np.arange(4) < depth)[None]
    deeds = read_page(np.array([wanted]), np.zeros(1), looked, YES, np.array([many]), satisfices=satisfices)
    assert np.all(deeds.bought <= deeds.clicked)
    assert np.all(deeds.clicked <= deeds.looked)
    assert np.all(deeds.looked <= looked)
    assert deeds.bought.sum() <= many


def test_the_number_of_things_bought_is_geometric() -> None:
    uniform = (np.arange(100_000) + 0.5) / 100_000
    counts = how_many(np.full(100_000, 0.6), uniform)
    assert counts.min() == 1
    assert counts.mean() == pytest.approx(1 / 0.4, rel=0.01)
    np.testing.assert_array_equal(how_many(np.zeros(5), uniform[:5]), 1)


def test_every_assumption_is_told_and_swept() -> None:
    people = situations()
    behavior = Behavior.compares(fit_choice(people), Leave.fit(people.lengths))
    told = behavior.assumptions()
    for changed in behavior.swept():
        others = changed.assumptions()
        assert sum(one != other for one, other in zip(told, others, strict=True)) == 1
    swept = {n for changed in behavior.swept() for n in range(6) if changed.assumptions()[n] != told[n]}
    assert swept == set(range(len(told)))


def test_settings_out_of_range_are_refused() -> None:
    people = situations()
    choice, leave = fit_choice(people), Leave.fit(people.lengths)
    for change in ({"click_given_look": 1.5}, {"found": 1.0}, {"satiation": -1.0}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            Behavior(choice=choice, leave=leave, **change)  # type: ignore[arg-type]
