"""Simulated sessions: chance that belongs to no policy, known answers, and people as they are described."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.behavior import simulator as module
from raysys.behavior.choice import fit_choice
from raysys.behavior.examination import NONE, Examination
from raysys.behavior.leave import Leave
from raysys.behavior.noise import Noise
from raysys.behavior.response import Behavior
from raysys.behavior.reward import Reward
from raysys.behavior.walk import TIRING
from raysys.errors import ConfigError, DataError
from raysys.policy.context import CONTEXT, context_vector
from raysys.state.protocol import State
from raysys.types import Query, QueryId
from tests.behavior.people import always, one_page, simulator, situations


def test_two_policies_that_choose_alike_return_the_same() -> None:
    sim = simulator()
    twin = simulator(weights=np.array([[0.5, 1.5, -1.0], [0.5, 1.5, -1.0], [1.0, 0.0, 0.0]]))
    one, other = (twin.returns(always(profile), twin.sessions, 5) for profile in (0, 1))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, sim.returns(always(0), sim.sessions, 5))
    assert not np.array_equal(one, sim.returns(always(0), sim.sessions, 6))


@settings(max_examples=20)
@given(order=st.permutations(range(12)), together=st.integers(1, 12))
def test_neither_order_nor_batch_changes_a_return(order: list[int], together: int) -> None:
    sim = simulator()
    sessions = sim.sessions[:12]
    whole = sim.returns(always(2), sessions, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOGETHER", together)
        np.testing.assert_array_equal(sim.returns(always(2), sessions[order], 1), whole[order])


def test_a_session_returns_the_same_among_other_people() -> None:
    people = situations()
    behavior = Behavior.compares(fit_choice(people), Leave.fit(people.lengths))
    some = np.unique(people.session)[10:20]
    whole, part = simulator(people, behavior), simulator(people.take(some), behavior)
    np.testing.assert_array_equal(whole.returns(always(0), some, 3), part.returns(always(0), some, 3))


def test_noise_has_an_address_and_its_distribution() -> None:
    address = [np.arange(20_000) % 7, np.arange(20_000), np.arange(20_000) % 3]
    noise, wider = Noise.of(*address, 5), Noise.of(*address, 9)
    np.testing.assert_array_equal(noise.wish, wider.wish[:, :5])
    for uniform in (noise.depth, noise.more, noise.stay, noise.click):
        np.testing.assert_allclose(np.quantile(uniform, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.015)
    for gumbel in (noise.outside, noise.draw, noise.wish):
        assert gumbel.mean() == pytest.approx(np.euler_gamma, abs=0.03)
        assert gumbel.var() == pytest.approx(np.pi**2 / 6, rel=0.05)
    columns = np.column_stack([noise.depth, noise.more, noise.stay, noise.outside, noise.draw, noise.wish])
    off = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(off).max() < 0.03


def test_the_profile_that_ranks_as_people_wish_returns_more() -> None:
    sim = simulator(situations(400))
    gain = sim.returns(always(0), sim.sessions, 0) - sim.returns(always(1), sim.sessions, 0)
    assert gain.mean() > 5 * gain.std() / np.sqrt(len(gain))


@pytest.mark.parametrize("style", [Behavior.compares, Behavior.cascades])
def test_a_ranking_matters_more_where_people_look_less(style: object) -> None:
    people = situations(400)
    behavior = style(fit_choice(people), Leave.fit(people.lengths))  # type: ignore[operator]
    gains = []
    for examination in (NONE, Examination("steep", "power", 0.4)):
        sim = simulator(people, replace(behavior, examination=examination), page=8)
        better, worse = (sim.returns(always(p), sim.sessions, 0).mean() for p in (0, 1))
        gains.append(better - worse)
    assert gains[1] > gains[0] + 0.05


def test_purchases_are_as_frequent_as_the_logit_says() -> None:
    """Utilities log 1, log 2, log 3, and log 4 for nothing: six pages in ten sell."""
    sim = one_page(np.log([[1.0], [2.0], [3.0]]), outside=np.log(4.0))
    walk = sim.begin(np.zeros(20_000, np.int64), np.arange(20_000))
    step = sim.step(walk, np.zeros(20_000, np.int64))
    assert step.purchases.mean() == pytest.approx(0.6, abs=0.012)
    np.testing.assert_array_equal(step.reward, step.purchases)  # margins are 1, clicks are worth nothing


def test_only_what_is_on_the_page_can_be_bought() -> None:
    """A page of one: log 3 against log 4 for nothing sells in three sevenths."""
    sim = one_page(np.log([[1.0], [2.0], [3.0]]), outside=np.log(4.0), page=1)
    walk = sim.begin(np.zeros(20_000, np.int64), np.arange(20_000))
    assert sim.step(walk, np.zeros(20_000, np.int64)).purchases.mean() == pytest.approx(3 / 7, abs=0.012)


def test_where_everybody_bought_everything_in_sight_sells_as_assumed() -> None:
    sim = one_page(np.log([[1.0], [2.0], [3.0]]), outside=np.nan, found=0.75)
    walk = sim.begin(np.zeros(20_000, np.int64), np.arange(20_000))
    assert sim.step(walk, np.zeros(20_000, np.int64)).purchases.mean() == pytest.approx(0.75, abs=0.012)


def test_clicks_without_wishes_come_as_assumed() -> None:
    """Nothing is ever bought; looks at the best (weight 3) click with 0.3, at the others in proportion."""
    sim = one_page(np.log([[1.0], [2.0], [3.0]]), outside=1e9, click_given_look=0.3)
    walk = sim.begin(np.zeros(20_000, np.int64), np.arange(20_000))
    assert sim.step(walk, np.zeros(20_000, np.int64)).clicks.mean() == pytest.approx(0.6, abs=0.015)


def test_a_click_on_a_promoted_candidate_pays_its_bid() -> None:
    sim = one_page(np.zeros((3, 1)), outside=1e9, click_given_look=0.5)
    sim = replaced(sim, bid=np.array([[0.0, 0.25, 0.0]]))
    step = sim.step(sim.begin(np.zeros(20_000, np.int64), np.arange(20_000)), np.zeros(20_000, np.int64))
    assert step.purchases.sum() == 0
    assert set(np.unique(step.reward)) == {0.0, 0.25}
    assert step.reward.mean() == pytest.approx(0.125, abs=0.003)


def test_the_draw_is_plackett_luces_at_its_temperature() -> None:
    """Signals log 1, log 2, log 3 at temperature 1/2 come first with 1/14, 4/14 and 9/14."""
    sim = one_page(np.log([[1.0], [2.0], [3.0]]), outside=-1e9, page=1)
    sim = replaced(sim, temperature=0.5, margin=np.array([[1.0, 10.0, 100.0]]))
    step = sim.step(sim.begin(np.zeros(40_000, np.int64), np.arange(40_000)), np.zeros(40_000, np.int64))
    first = [(step.reward == margin).mean() for margin in (1.0, 10.0, 100.0)]
    np.testing.assert_allclose(first, [1 / 14, 4 / 14, 9 / 14], atol=0.012)


def test_who_sees_everything_wants_the_same_in_whatever_order_it_stands() -> None:
    people = situations(100)
    behavior = Behavior(choice=fit_choice(people), leave=Leave(np.zeros(1)), examination=NONE)
    sim = simulator(people, behavior, page=8)
    one, other = (sim.returns(always(profile), sim.sessions, 0) for profile in (0, 1))
    np.testing.assert_allclose(one, other)


def test_padding_is_neither_shown_nor_wanted() -> None:
    people = situations()
    behavior = Behavior.compares(fit_choice(people), Leave.fit(people.lengths))
    wild = {name: getattr(people, name).copy() for name in ("signals", "wish", "margin", "bid")}
    for values in wild.values():
        values[~people.present] = 1e4
    for page in (4, 8):
        one, other = (simulator(s, behavior, page=page) for s in (people, replace(people, **wild)))
        np.testing.assert_array_equal(
            one.returns(always(0), one.sessions, 0), other.returns(always(0), one.sessions, 0)
        )


def replaced(sim: module.Simulator, *, temperature: float = 0.0, **columns: np.ndarray) -> module.Simulator:
    """The same simulator with other columns of its situations."""
    people = replace(sim.situations, **columns)
    return module.Simulator(people, sim.behavior, sim.reward, sim.weights, temperature, sim.allowed, sim.page)


def test_a_group_that_was_bought_is_less_wished_for_then() -> None:
    """Two pages of one candidate each, of one group; the wish is 0 and so is the outside option."""
    page = one_page(np.zeros((1, 1)), outside=0.0, satiation=np.log(4.0))
    twice = replace(page.situations.where(np.array([0, 0])), group=np.zeros((2, 1), np.int64))
    sim = module.Simulator(twice, page.behavior, page.reward, page.weights, 0.0, page.allowed)
    walk = sim.begin(np.zeros(40_000, np.int64), np.arange(40_000))
    first = sim.step(walk, np.zeros(40_000, np.int64))
    second = sim.step(walk, np.zeros(40_000, np.int64))
    had = first.purchases > 0
    assert had.mean() == pytest.approx(1 / 2, abs=0.01)
    assert second.purchases[~had].mean() == pytest.approx(1 / 2, abs=0.01)
    assert second.purchases[had].mean() == pytest.approx(1 / 5, abs=0.01)  # 1/4 against 1
    assert walk.tired.shape[1] == TIRING


def test_nobody_leaves_early_where_a_bad_page_does_not_matter() -> None:
    people = situations(200)
    choice = fit_choice(people)
    outcomes = {}
    for raised in (1.0, 1e9):
        sim = simulator(people, Behavior(choice=choice, leave=Leave.fit(people.lengths, raised)))
        outcomes[raised] = sim.play(always(1), sim.sessions, 0)
    np.testing.assert_array_equal(outcomes[1.0].pages, people.lengths)
    assert not outcomes[1.0].early.any()
    early = outcomes[1e9]
    np.testing.assert_array_equal(early.pages < people.lengths, early.early)
    assert early.early.mean() > 0.2


def test_the_reward_is_the_sum_of_its_parts() -> None:
    sim, sessions = simulator(), simulator().sessions
    parts = {"click": 0.0, "purchase": 0.0, "bid": 0.0, "leave": 0.0}
    whole = simulator(reward=Reward(click=0.1, purchase=2.0, bid=3.0, leave=0.5)).returns(
        always(0), sessions, 0
    )
    summed = sum(
        simulator(reward=Reward(**parts | {name: value})).returns(always(0), sessions, 0)
        for name, value in {"click": 0.1, "purchase": 2.0, "bid": 3.0, "leave": 0.5}.items()
    )
    np.testing.assert_allclose(summed, whole)
    outcome = sim.play(always(0), sessions, 0)
    clicks = simulator(reward=Reward(**parts | {"click": 1.0})).returns(always(0), sessions, 0)
    np.testing.assert_array_equal(clicks, outcome.clicks)
    left = simulator(reward=Reward(**parts | {"leave": 1.0})).returns(always(0), sessions, 0)
    np.testing.assert_array_equal(left, -1.0 * outcome.early)


def test_the_context_of_later_pages_is_what_serving_would_see() -> None:
    """A person whose state says 3 interactions on 2 days looks at a page, clicks two things, buys one."""
    state = State(
        first_ms=1, last_ms=1, days=2, steps=4, history_items=("a",) * 3, own_items=("a",), own_bought=(2,)
    )
    later = State(
        first_ms=1, last_ms=1, days=3, steps=1, history_items=("a",) * 6, own_items=("a",), own_bought=(2,)
    )
    query = Query(id=QueryId("q"), surface="feed", time_ms=1, length=5)
    people = situations(20)
    people = replace(people, context=np.tile(context_vector(query, state, "none"), (len(people), 1)))
    sim = simulator(people)
    long = people.session[people.starts[people.lengths > 1]][:1]
    walk = sim.begin(long, np.zeros(1, np.int64))
    np.testing.assert_allclose(sim.contexts(walk)[0], context_vector(query, state, "none"), rtol=1e-6)
    walk.row, walk.deeds = walk.row + 1, np.array([3])
    np.testing.assert_allclose(sim.contexts(walk)[0], context_vector(query, later, "none"), rtol=1e-5)


def test_the_policy_sees_every_page_once_with_its_surface() -> None:
    sim = simulator()
    seen: list[tuple[int, int]] = []

    def choose(context: np.ndarray, surface: np.ndarray) -> np.ndarray:
        assert context.shape == (len(surface), len(CONTEXT))
        assert context.dtype == np.float32
        seen.append((len(surface), int(surface.sum())))
        return surface % 2

    outcome = sim.play(choose, sim.sessions, 0)
    assert sum(size for size, _ in seen) == outcome.pages.sum()


def test_what_a_surface_may_not_use_is_refused_by_name() -> None:
    allowed = np.ones((3, 3), bool)
    allowed[1, 2] = False
    sim = simulator(allowed=allowed)
    with pytest.raises(ConfigError, match="profile 2 is not allowed on ads"):
        sim.returns(always(2), sim.sessions, 0)
    assert len(sim.returns(always(1), sim.sessions, 0)) == len(sim.sessions)


def test_profiles_that_do_not_exist_are_refused() -> None:
    sim = simulator()
    for profile in (-1, 3):
        with pytest.raises(ConfigError, match="outside"):
            sim.returns(always(profile), sim.sessions, 0)
    with pytest.raises(ConfigError, match="the policy chose"):
        sim.returns(lambda context, surface: np.zeros(1, int), sim.sessions, 0)


def test_no_sessions_return_nothing() -> None:
    assert simulator().returns(always(0), np.zeros(0, np.int64), 0).shape == (0,)


def test_settings_that_do_not_fit_are_refused() -> None:
    people = situations()
    for change, message in (
        ({"weights": np.ones((3, 2))}, "weights are"),
        ({"allowed": np.zeros((3, 3), bool)}, "allowed is"),
        ({"temperature": -1.0}, "temperature"),
    ):
        with pytest.raises(ConfigError, match=message):
            simulator(people, **change)
    with pytest.raises(DataError, match="the choice model sees"):
        simulator(replace(people, wish_names=("a", "b", "c")), simulator().behavior)
    with pytest.raises(DataError, match="there is no session 999999"):
        simulator(people).returns(always(0), np.array([999_999]), 0)
    with pytest.raises(ConfigError, match="reward click"):
        Reward(click=-1.0)
