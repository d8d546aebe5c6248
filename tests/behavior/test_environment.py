"""The environment keeps Gymnasium's contract and returns what the simulator returns."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from raysys.behavior.environment import RankingEnv
from raysys.policy.context import CONTEXT
from tests.behavior.people import always, simulator

BATCH = 6


class Single(gymnasium.Env[Any, Any]):
    """One session of the environment by itself, so that Gymnasium's checker can look at it."""

    def __init__(self) -> None:
        self.vector = RankingEnv(simulator(), 1)
        self.observation_space = self.vector.single_observation_space
        self.action_space = self.vector.single_action_space

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        observation, info = self.vector.reset(seed=seed, options=options)
        return observation[0], info

    def step(self, action: Any) -> Any:
        observation, reward, over, cut, info = self.vector.step(np.array([action]))
        return observation[0], float(reward[0]), bool(over[0]), bool(cut[0]), info


def test_gymnasium_finds_no_fault() -> None:
    check_env(Single(), skip_render_check=True)


def test_what_it_returns_lies_in_its_spaces() -> None:
    env = RankingEnv(simulator(), BATCH)
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space
    env.action_space.seed(0)
    for _ in range(20):
        observation, reward, over, cut, _ = env.step(env.action_space.sample())
        assert observation in env.observation_space
        assert reward.shape == over.shape == cut.shape == (BATCH,)
        assert over.dtype == cut.dtype == bool
        assert not cut.any()


def test_an_episode_returns_what_the_simulator_returns_under_a_constant_policy() -> None:
    sim = simulator()
    env = RankingEnv(sim, BATCH)
    for profile in (0, 1):
        _, info = env.reset(seed=7)
        told, total = [], np.zeros(BATCH)
        for _ in range(40):
            session, seed = info["session"], info["seed"]
            _, reward, over, _, info = env.step(np.full(BATCH, profile))
            total += reward
            for place in np.flatnonzero(over):
                told.append((session[place], seed[place], total[place]))
                total[place] = 0.0
        assert len(told) > 40
        for session, seed, value in told:
            np.testing.assert_allclose(sim.returns(always(profile), np.array([session]), int(seed)), value)


def test_an_episode_shows_the_contexts_that_the_simulator_shows() -> None:
    sim = simulator()
    env = RankingEnv(sim, BATCH)
    observation, info = env.reset(seed=2)
    shown: list[list[Any]] = [[] for _ in range(BATCH)]
    compared = 0
    for _ in range(40):
        for place in range(BATCH):
            shown[place].append(observation[place])
        before = info
        observation, _, over, _, info = env.step(np.zeros(BATCH, int))
        for place in np.flatnonzero(over):
            seen: list[Any] = []
            sim.returns(_noting(seen), before["session"][[place]], int(before["seed"][place]))
            begun = len(shown[place]) - len(seen)
            np.testing.assert_array_equal(shown[place][begun:], np.concatenate(seen))
            compared += len(seen) > 1
            shown[place] = []
    assert compared > 10


def _noting(seen: list[Any]) -> Any:
    """The policy that chooses profile 0 and keeps what it saw."""

    def choose(context: Any, surface: Any) -> Any:
        seen.append(context)
        return np.zeros(len(context), int)

    return choose


def test_the_step_after_an_end_begins_a_new_session_with_reward_0() -> None:
    assert RankingEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    env = RankingEnv(simulator(), BATCH)
    env.reset(seed=1)
    over, first = np.zeros(BATCH, bool), np.zeros(BATCH, bool)
    for turn in range(60):
        observation, reward, ended, _, info = env.step(np.full(BATCH, turn % 3))
        assert np.all(reward[over] == 0.0)
        assert not ended[over].any()
        begun = env._simulator.contexts(env._simulator.begin(info["session"], info["seed"]))
        np.testing.assert_array_equal(observation[over], begun[over])
        over, first = ended, first | over
    assert first.all()


def test_the_same_seed_gives_the_same_episodes() -> None:
    runs = []
    for _ in range(2):
        env = RankingEnv(simulator(), BATCH, seed=3)
        steps = [env.reset(seed=9)[0]]
        steps += [env.step(np.full(BATCH, turn % 3))[0] for turn in range(15)]
        runs.append(np.stack(steps))
    np.testing.assert_array_equal(*runs)


def test_flags_tell_which_profiles_a_surface_may_use() -> None:
    allowed = np.ones((3, 3), bool)
    allowed[1, 0] = False
    sim = simulator(allowed=allowed)
    env = RankingEnv(sim, BATCH)
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.single_observation_space.shape, (len(CONTEXT) + 3,))
    surface = sim.surfaces(env._walk)
    np.testing.assert_array_equal(observation[:, len(CONTEXT) :], allowed[surface])


def test_a_profile_that_is_not_allowed_counts_as_the_first_that_is() -> None:
    allowed = np.ones((3, 3), bool)
    allowed[:, 0] = False
    env, other = (RankingEnv(simulator(allowed=allowed), BATCH) for _ in range(2))
    env.reset(seed=0), other.reset(seed=0)
    for _ in range(10):
        np.testing.assert_array_equal(env.step(np.zeros(BATCH, int))[1], other.step(np.ones(BATCH, int))[1])


def test_gymnasiums_own_wrapper_counts_the_episodes() -> None:
    env = RecordEpisodeStatistics(RankingEnv(simulator(), BATCH))
    env.reset(seed=0)
    episodes = 0
    for _ in range(30):
        _, _, over, _, info = env.step(np.zeros(BATCH, int))
        episodes += int(over.sum())
        if over.any():
            assert np.all(info["episode"]["l"][over] <= 5)  # the longest session
    assert env.episode_count == episodes > 10
