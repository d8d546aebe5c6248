"""The simulator as an environment for reinforcement learning: many sessions side by side (Gymnasium)."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from raysys.behavior.simulator import Simulator
from raysys.errors import ConfigError
from raysys.types import Bools, Floats, Ints

Info = dict[str, Any]


class RankingEnv(VectorEnv):  # type: ignore[misc]  # gymnasium is not typed here
    """B sessions at a time; the agent chooses the profile that ranks the next page of each.

    Observation: the context (F,) float32 that serving also has; where some surface may not
    use every profile it is followed by A flags, 1 for those that this surface may use.
    Action: a profile, an integer in [0, A). One that the surface may not use counts as the
    first that it may: an agent that explores without the flags does not fail, it learns nothing.
    Reward: of the page, by the simulator's `Reward`.
    Episode: a random session of the simulator, over when the person is done or leaves.
    Autoreset: NEXT_STEP: the step after an end ignores the action and returns the first
    observation of a new session with reward 0.
    Info: `session` and `seed` (B,): `Simulator.returns` of them under the same choices is the
    return of the episode.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012  # as in gymnasium

    def __init__(self, simulator: Simulator, num_envs: int, seed: int = 0) -> None:
        """Make ready `num_envs` (B) sessions; `seed` is what `reset` without a seed begins with."""
        if num_envs < 1:
            raise ConfigError(f"num_envs is {num_envs}, must be at least 1")
        super().__init__()
        self.num_envs = num_envs
        self._simulator = simulator
        self._flags = simulator.allowed.astype(np.float32)
        self._first = simulator.allowed.argmax(axis=1)
        self._masked = not simulator.allowed.all()
        actions = simulator.allowed.shape[1]
        width = simulator.situations.context.shape[1] + (actions if self._masked else 0)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (width,), np.float32)
        self.single_action_space = gymnasium.spaces.Discrete(actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._random = np.random.default_rng(seed)
        self._over = np.zeros(num_envs, np.bool_)

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Floats, Info]:
        """Begin B new sessions; the same `seed` begins the same ones, and all that follow them."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        sessions, seeds = self._drawn(self.num_envs)
        self._walk = self._simulator.begin(sessions, seeds)
        self._over = np.zeros(self.num_envs, np.bool_)
        return self._observation(), self._info()

    def step(self, actions: Ints) -> tuple[Floats, Floats, Bools, Bools, Info]:
        """One page more in every session, or a new session where one was over."""
        ended = self._over
        page = self._simulator.step(self._walk, self._permitted(np.asarray(actions)))
        reward, self._over = np.where(ended, 0.0, page.reward), page.over & ~ended
        if ended.any():
            sessions, seeds = self._drawn(int(ended.sum()))
            self._walk.begin(ended, self._simulator.rows_of(sessions), seeds)
        never = np.zeros(self.num_envs, np.bool_)
        return self._observation(), reward, self._over.copy(), never, self._info()

    def _drawn(self, count: int) -> tuple[Ints, Ints]:
        """Sessions and seeds (count,) of new episodes."""
        sessions = self._simulator.sessions
        chosen = sessions[self._random.integers(0, len(sessions), count)]
        return chosen, self._random.integers(0, 2**31, count)

    def _permitted(self, actions: Ints) -> Ints:
        surfaces = self._simulator.surfaces(self._walk)
        return np.where(self._simulator.allowed[surfaces, actions], actions, self._first[surfaces])

    def _observation(self) -> Floats:
        context = self._simulator.contexts(self._walk)
        if not self._masked:
            return context
        return np.concatenate([context, self._flags[self._simulator.surfaces(self._walk)]], axis=1)

    def _info(self) -> Info:
        walk, here = self._walk, self._simulator.situations
        return {"session": here.session[walk.first], "seed": walk.seed.copy()}
