"""The policy draws a profile with the odds it states, and never one a surface may not use."""

from pathlib import Path

import numpy as np
import pytest

from raysys.errors import ConfigError
from raysys.policy.context import CONTEXT, context_vector
from raysys.policy.scorer import Policy
from raysys.state.protocol import State
from raysys.types import DAY_MS, SURFACES, Query, QueryId

SIGNALS = ("engine", "interest")
QUERY = Query(id=QueryId("q"), surface="search", time_ms=10 * DAY_MS, length=10, channel="app")


def learned(rng: np.random.Generator) -> Policy:
    width = len(CONTEXT)
    return Policy(
        signals=SIGNALS,
        weights=rng.normal(size=(3, 2)).astype(np.float32),
        temperature=0.1,
        allowed=np.array([[True, True, False], [True, True, True], [True, False, False]]),
        layers=(
            (rng.normal(size=(width, 8)).astype(np.float32), np.zeros(8, np.float32)),
            (rng.normal(size=(8, 3)).astype(np.float32), np.zeros(3, np.float32)),
        ),
    )


def test_profiles_are_drawn_as_often_as_their_probability_says() -> None:
    rng = np.random.default_rng(0)
    policy = learned(rng)
    context = context_vector(QUERY, None, "head")
    choices = [policy.choose(context, "ads", rng.gumbel(size=3)) for _ in range(5_000)]
    shares = np.bincount([c.profile for c in choices], minlength=3) / len(choices)
    for choice in choices[:100]:
        assert shares[choice.profile] == pytest.approx(choice.prob, abs=0.03)


def test_a_profile_that_a_surface_may_not_use_is_never_drawn() -> None:
    rng = np.random.default_rng(1)
    policy = learned(rng)
    context = context_vector(QUERY, None, "none")
    assert {policy.choose(context, "feed", rng.gumbel(size=3)).profile for _ in range(200)} == {0}
    assert policy.choose(context, "feed", rng.gumbel(size=3)).prob == 1.0


def test_a_saved_policy_is_the_same_policy(tmp_path: Path) -> None:
    policy = learned(np.random.default_rng(2))
    policy.save(tmp_path / "policy")
    again = Policy.load(tmp_path / "policy")
    assert again.id == policy.id
    context = context_vector(QUERY, State(days=3, last_ms=9 * DAY_MS), "tail")
    np.testing.assert_array_equal(again.logits(context), policy.logits(context))


def test_an_unknown_user_has_an_empty_summary_and_a_known_one_has_not() -> None:
    unknown = context_vector(QUERY, None, "none")
    known = context_vector(
        QUERY, State(days=3, own_items=("a",), own_bought=(2,), last_ms=3 * DAY_MS), "none"
    )
    names = dict(zip(CONTEXT, known.tolist(), strict=True))
    assert unknown.shape == known.shape == (len(CONTEXT),)
    assert unknown[-7:].tolist() == [0.0] * 7
    assert names["surface:search"] == names["channel:app"] == names["known"] == 1.0
    assert names["repeat_share"] == 0.5
    assert names["idle_weeks"] == pytest.approx(0.25)


def test_weights_that_do_not_fit_the_signals_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected \\(A, 2\\)"):
        Policy.constant(SIGNALS, np.ones(3), 0.0)


def test_the_odds_of_all_profiles_are_those_of_each_choice() -> None:
    rng = np.random.default_rng(4)
    policy = learned(rng)
    context = context_vector(QUERY, None, "head")
    for surface in SURFACES:
        probs = policy.probs(context, surface)
        assert probs.sum() == pytest.approx(1.0)
        for _ in range(20):
            choice = policy.choose(context, surface, rng.gumbel(size=3))
            assert probs[choice.profile] == choice.prob
