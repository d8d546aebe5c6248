"""Learning a policy: the shadow's arithmetic, PPO finding what is there to find, and an honest verdict."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.errors import ConfigError
from raysys.policy.context import CONTEXT
from raysys.policy.export import learned_policy
from raysys.policy.learn import as_served, constant, returns_of
from raysys.policy.scorer import Policy
from raysys.signals import SIGNALS
from raysys.types import Floats
from tests.tuning.market import market, simulator
from tuning.judging import judge
from tuning.learning import LearningConfig, learn
from tuning.policy import PolicySettings, tune_policy
from tuning.profiles import ProfileSettings
from tuning.shadow import AgainstIncumbent
from tuning.trials import start_ray

BANK = np.zeros((2, len(SIGNALS)))
BANK[0, SIGNALS.index("popularity")] = BANK[1, SIGNALS.index("interest")] = 1.0


def test_an_episodes_return_is_the_gain_over_the_incumbent_by_the_same_chance() -> None:
    bank = simulator(market(), BANK)
    env = AgainstIncumbent(bank, 16)
    _, info = env.reset(seed=5)
    total, over, compared = np.zeros(16), np.zeros(16, np.bool_), 0
    for _ in range(20):
        began, seeds = info["session"].copy(), info["seed"].copy()
        before = over
        _, reward, over, _, info = env.step(np.ones(16, np.int64))
        total = np.where(before, 0.0, total + reward)
        for place in np.flatnonzero(over):
            session, seed = began[place : place + 1], int(seeds[place])
            mine, base = (bank.returns(constant(profile), session, seed)[0] for profile in (1, 0))
            assert total[place] == pytest.approx(mine - base, abs=1e-9)
            compared += 1
    assert compared > 50


@pytest.mark.parametrize("draws", [1, 4])
def test_the_incumbent_gains_nothing_over_itself(draws: int) -> None:
    env = AgainstIncumbent(simulator(market(), BANK), 16, draws=draws)
    env.reset(seed=1)
    for _ in range(10):
        assert not env.step(np.zeros(16, np.int64))[1].any()


def test_more_draws_keep_the_mean_and_lose_variance() -> None:
    def rewards(draws: int) -> Floats:
        env = AgainstIncumbent(simulator(market(sessions=400), BANK), 400, draws=draws)
        env.reset(seed=2)
        return np.concatenate([env.step(np.ones(400, np.int64))[1] for _ in range(12)])

    one, many = rewards(1), rewards(8)
    error = np.hypot(one.std(), many.std()) / np.sqrt(len(one))
    assert many.mean() == pytest.approx(one.mean(), abs=4 * error)
    assert many.var() < 0.9 * one.var()


def small(**changes: object) -> PolicySettings:
    settings = PolicySettings(
        page=4,
        held_out=0.5,
        profiles=ProfileSettings(
            generations=4,
            population=12,
            elites=3,
            spread=1.0,
            restarts=1,
            sessions=200,
            profiles=10,
            least=20,
        ),
        learning=LearningConfig(env_steps=2_000, envs=32, batch=500, minibatch=128, epochs=8, rate=0.02),
    )
    return replace(settings, **changes)


def test_a_policy_is_found_where_one_is_to_be_found(ray_here: None, tmp_path: Path) -> None:
    """Strangers need another profile than people who are known, so no constant one is best."""
    situations = market(sessions=600)
    tuned = tune_policy(situations, small(), tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["head_room"]["low"] > 0
    assert report["judged"][0]["name"] == "as learned"
    assert len(report["curve"]) >= 4
    assert report["better"] == (report["judged"][0]["low"] > 0)
    assert report["released"] == ("learned" if report["better"] else "constant")
    assert report["better"], report["judged"][0]
    saved = Policy.load(tmp_path / "out" / "policy")
    assert saved.id == tuned.policy.id == report["policy_id"]
    assert len(saved.weights) == len(report["bank"]) == len(report["spread"])
    with pytest.raises(ConfigError, match="holds a policy already"):
        tune_policy(situations, small(), tmp_path / "out")


def test_dqn_learns_values_whose_softmax_serves(ray_here: None) -> None:
    """Profile 0 suits strangers, 1 those who are known: three in ten against seven in ten."""
    bank = simulator(market(sessions=300), BANK)
    config = LearningConfig(
        algorithm="dqn", env_steps=1_500, envs=16, batch=500, rate=5e-3, value_temperature=0.05
    )
    start_ray(2)
    *_, last = learn(bank, config, seed=0)
    policy = learned_policy(SIGNALS, BANK, bank.allowed, 0.05, last.layers)
    mine, base = (returns_of(bank, choose, [7]).mean() for choose in (as_served(policy, 0), constant(0)))
    assert mine > 1.2 * base
    assert 0.0 < policy.probs(bank.situations.context[0], "feed").min() < 1.0  # every profile has a chance


def test_a_policy_is_judged_in_other_worlds_and_against_hindsight() -> None:
    """A policy that knows strangers beats both constants; the better of them is the one for the known."""
    layer = np.zeros((len(CONTEXT), 2), np.float32)
    layer[CONTEXT.index("log_own_items")] = [-100.0, 100.0]
    layers = ((layer, np.array([20.0, -20.0], np.float32)),)
    policy = learned_policy(SIGNALS, BANK, np.ones((3, 2), np.bool_), 0.05, layers)
    judged = judge(policy, simulator(market(sessions=300), BANK), 0, [3, 4])
    by_name = {row.name: row.comparison for row in judged}
    assert len(by_name) == len(judged)
    assert judged[0].name == "as learned"
    assert all(comparison.gain.low > 0 for comparison in by_name.values())
    hindsight = by_name["against the constant profile that is best in hindsight"]
    assert hindsight.value == judged[0].comparison.value
    assert hindsight.base > judged[0].comparison.base


def test_settings_are_read_with_their_parts_and_a_misspelt_key_is_an_error(tmp_path: Path) -> None:
    read = PolicySettings.read()
    assert read.learning.algorithm == "ppo"
    assert read.margins.private_label == 0.35
    path = tmp_path / "settings.toml"
    path.write_text("[policy.learning]\nalgoritm = 'dqn'\n")
    with pytest.raises(ConfigError, match="algoritm"):
        PolicySettings.read(path)
    with pytest.raises(ConfigError, match="expected ppo or dqn"):
        LearningConfig(algorithm="sac")  # type: ignore[arg-type]
