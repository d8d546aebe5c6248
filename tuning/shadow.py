"""The environment that a policy is learned in: rewards are gains over the incumbent, by the same chance."""

import numpy as np

from raysys.behavior.environment import Info, RankingEnv
from raysys.behavior.simulator import Simulator
from raysys.behavior.walk import Walk
from raysys.types import Bools, Floats, Ints

FAR = 2**31
"""Further apart than the environment's seeds: chance that no episode ever meets."""


class AgainstIncumbent(RankingEnv):
    """The environment with what the incumbent would have earned, by the same chance, taken off.

    An incumbent's shadow goes through the same session under the same random numbers, so an
    episode's return is the gain over it. What is taken off does not depend on the actions: the
    policy gradient keeps its expectation and loses most of its variance (input-driven
    baselines, Mao et al. 2018). For the same end a page's reward is a mean over `draws` of the
    chance at that page; the session goes on by the first of them.
    """

    def __init__(self, simulator: Simulator, num_envs: int, seed: int = 0, draws: int = 1) -> None:
        super().__init__(simulator, num_envs, seed)
        self._draws = draws

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Floats, Info]:
        observation, info = super().reset(seed=seed, options=options)
        self._shadow = self._walk.only(np.ones(self.num_envs, np.bool_))
        self._gone = np.zeros(self.num_envs, np.bool_)
        return observation, info

    def step(self, actions: Ints) -> tuple[Floats, Floats, Bools, Bools, Info]:
        begun = self._over.copy()
        more = self._again(self._walk, self._permitted(np.asarray(actions)))
        taken = self._as_incumbent(begun)
        observation, reward, over, never, info = super().step(actions)
        reward = np.where(begun, 0.0, (reward + more) / self._draws)
        behind = over & ~self._gone
        taken[behind] += self._rest(self._shadow.only(behind))
        self._shadow.begin(begun, self._walk.row[begun], self._walk.seed[begun])
        self._gone[begun] = False
        return observation, reward - taken, over, never, info

    def _as_incumbent(self, begun: Bools) -> Floats:
        """What the shadows earn (B,) on their next page, 0 where there is none."""
        profiles = self._incumbent(self._shadow)
        more = self._again(self._shadow, profiles)
        page = self._simulator.step(self._shadow, profiles)
        earned = np.where(begun | self._gone, 0.0, (page.reward + more) / self._draws)
        self._gone |= page.over
        return earned

    def _again(self, walk: Walk, profiles: Ints) -> Floats:
        """The sum of rewards (B,) of the next page of `walk` over all draws but the first."""
        others, size = self._draws - 1, len(walk.row)
        if not others:
            return np.zeros(size)
        many = walk.only(np.tile(np.arange(size), others))
        many.seed = many.seed + FAR * np.repeat(np.arange(1, others + 1), size)
        page = self._simulator.step(many, np.tile(profiles, others))
        return np.asarray(page.reward.reshape(others, size).sum(axis=0))

    def _incumbent(self, walk: Walk) -> Ints:
        return np.asarray(self._first[self._simulator.surfaces(walk)])

    def _rest(self, walk: Walk) -> Floats:
        """What the incumbent earns (B,) from here to the end of each session."""
        earned, left = np.zeros(len(walk.row)), np.arange(len(walk.row))
        while len(left):
            page = self._simulator.step(walk, self._incumbent(walk))
            earned[left] += page.reward
            left, walk = left[~page.over], walk.only(~page.over)
        return earned
