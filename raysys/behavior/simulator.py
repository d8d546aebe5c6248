"""People in sessions, simulated: a policy chooses a profile a page; they look, click, buy, tire and leave."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np

from raysys.behavior.noise import Noise
from raysys.behavior.response import Behavior, Deeds, how_many, read_page
from raysys.behavior.reward import Reward
from raysys.behavior.situations import Situations
from raysys.behavior.walk import Walk
from raysys.errors import ConfigError, DataError
from raysys.types import SURFACES, Bools, Floats, Ints

Choose: TypeAlias = Callable[[Floats, Ints], Ints]
"""From contexts (B, F) and surfaces (B,) to profiles (B,)."""
COLDEST = 1e-6
"""Below this a temperature is 0, as in the draw that serves."""
TOGETHER = 4096
"""Sessions simulated at a time, for the sake of memory; it changes nothing else."""


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one page in each of B sessions."""

    reward: Floats
    """(B,)"""
    over: Bools
    """(B,) whether the session ended with it."""
    early: Bools
    """(B,) whether it ended before the person was done."""
    clicks: Ints
    purchases: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of n sessions, (n,) each."""

    value: Floats
    """Sum of the rewards."""
    pages: Ints
    clicks: Ints
    purchases: Ints
    early: Bools
    """Left before they were done."""


class Simulator:
    """Sessions of logged situations in which people behave as fitted and assumed.

    A person comes with the errands of a logged session, in order, and leaves when they are
    done, or earlier when a page was of no use. The chance in it belongs to (seed, session,
    step, candidate), so policies are compared under common random numbers.

    Serving would see the session go on, so from its second page on these context features
    follow the simulation: `known`, `log_step`, `idle_weeks`, `log_history` and `log_days`.
    All others, `repeat_share` and `log_own_items` too, stay as logged; so do the signals.
    """

    def __init__(
        self,
        situations: Situations,
        behavior: Behavior,
        reward: Reward,
        weights: Floats,
        temperature: float,
        allowed: Bools,
        page: int = 10,
    ) -> None:
        """Make ready to simulate.

        Args:
            weights: (A, S) a row for each profile.
            temperature: of the Plackett-Luce draw.
            allowed: (3, A) which profiles a surface may use, in the order of SURFACES.
            page: K, how many candidates are shown.
        """
        self.situations, self.behavior, self.reward = situations, behavior, reward
        self.weights, self.allowed = np.asarray(weights, np.float32), np.asarray(allowed, np.bool_)
        self.temperature, self.page = temperature, min(page, situations.present.shape[1])
        self._check()
        self.starts = situations.starts
        self.sessions = situations.session[self.starts]
        self._last = np.append(np.diff(situations.session) != 0, True)
        appeal = behavior.choice.appeal(situations)
        self._outside = behavior.outside(situations, appeal)
        self._appeal = appeal.astype(np.float32)
        self._most = np.where(situations.present, appeal, -np.inf).max(axis=1)

    def returns(self, choose: Choose, sessions: Ints, seed: int) -> Floats:
        """The return (n,) of each of `sessions` (n,) under a policy."""
        return self.play(choose, sessions, seed).value

    def play(self, choose: Choose, sessions: Ints, seed: int) -> Outcome:
        """What becomes of `sessions` (n,), ids of `Situations.session`, under a policy."""
        parts = [
            self._play(choose, sessions[low : low + TOGETHER], seed)
            for low in range(0, max(len(sessions), 1), TOGETHER)
        ]
        columns = {field.name: [getattr(part, field.name) for part in parts] for field in fields(Outcome)}
        return Outcome(**{name: np.concatenate(column) for name, column in columns.items()})

    def rows_of(self, sessions: Ints) -> Ints:
        """Where `sessions` (n,) begin among the situations."""
        place = np.searchsorted(self.sessions, sessions)
        found = self.sessions[np.minimum(place, len(self.sessions) - 1)] == sessions
        if not np.all(found):
            raise DataError(f"there is no session {sessions[~found][0]} among the situations")
        return np.asarray(self.starts[place])

    def begin(self, sessions: Ints, seeds: Ints) -> Walk:
        """`sessions` (B,) at their first page, each with the chance of its own seed (B,)."""
        return Walk.at(self.rows_of(sessions), seeds)

    def contexts(self, walk: Walk) -> Floats:
        """What the policy sees (B, F) float32 at the pages of `walk`."""
        return walk.contexts(self.situations)

    def surfaces(self, walk: Walk) -> Ints:
        """Index into SURFACES (B,) of the pages of `walk`."""
        return np.asarray(self.situations.surface[walk.row])

    def step(self, walk: Walk, profiles: Ints) -> Step:
        """Show every session of `walk` a page ranked by its profile (B,), and move them on."""
        here, rows, step = self.situations, walk.row, walk.row - walk.first
        noise = Noise.of(walk.seed, here.session[rows], step, here.present.shape[1])
        shown = self._rank(rows, profiles, noise.draw)
        deeds = self._read(walk, shown, noise)
        useful = np.asarray(deeds.clicked.any(axis=1))
        last = self._last[rows]
        early = ~last & (noise.stay < self.behavior.leave.too_early(step, useful))
        margin, bid = (np.take_along_axis(money[rows], shown, 1) for money in (here.margin, here.bid))
        reward = self.reward.of(deeds, margin, bid, early)
        over = np.asarray(last | early)
        walk.remember(deeds, np.take_along_axis(here.group[rows], shown, 1))
        walk.row = np.where(over, rows, rows + 1)
        return Step(reward, over, early, deeds.clicked.sum(axis=1), deeds.bought.sum(axis=1))

    def _play(self, choose: Choose, sessions: Ints, seed: int) -> Outcome:
        walk = self.begin(sessions, np.full(len(sessions), seed))
        size, at = len(sessions), np.arange(len(sessions))
        value, early = np.zeros(size), np.zeros(size, np.bool_)
        pages, clicks, purchases = (np.zeros(size, np.int64) for _ in range(3))
        while len(at):
            surfaces = self.surfaces(walk)
            profiles = np.asarray(choose(self.contexts(walk), surfaces))
            self._permit(surfaces, profiles)
            step = self.step(walk, profiles)
            value[at] += step.reward
            pages[at] += 1
            clicks[at] += step.clicks
            purchases[at] += step.purchases
            early[at] = step.early
            at, walk = at[~step.over], walk.only(~step.over)
        return Outcome(value=value, pages=pages, clicks=clicks, purchases=purchases, early=early)

    def _rank(self, rows: Ints, profiles: Ints, noise: Floats) -> Ints:
        """The candidates (B, K) shown, best first; padding comes last."""
        utility = (self.situations.signals[rows] * self.weights[profiles][:, None, :]).sum(axis=-1)
        if self.temperature >= COLDEST:
            utility = utility / self.temperature + noise
        utility = np.where(self.situations.present[rows], utility, -np.inf)
        return np.asarray(np.argsort(-utility, axis=1, kind="stable")[:, : self.page])

    def _read(self, walk: Walk, shown: Ints, noise: Noise) -> Deeds:
        """What people do with the candidates shown (B, K)."""
        here, behavior, rows = self.situations, self.behavior, walk.row
        appeal = np.take_along_axis(self._appeal[rows], shown, 1).astype(np.float64)
        if behavior.satiation:
            appeal -= behavior.satiation * walk.had(np.take_along_axis(here.group[rows], shown, 1))
        depth = behavior.examination.depth(noise.depth, self.page)
        looked = np.take_along_axis(here.present[rows], shown, 1) & (np.arange(self.page) < depth[:, None])
        liking = behavior.click_given_look * np.exp(np.minimum(appeal - self._most[rows, None], 0.0))
        return read_page(
            appeal + np.take_along_axis(noise.wish, shown, 1),
            self._outside[rows] + noise.outside,
            looked,
            np.take_along_axis(noise.click, shown, 1) < liking,
            how_many(behavior.choice.again[here.surface[rows]], noise.more),
            satisfices=behavior.satisfices,
        )

    def _permit(self, surfaces: Ints, profiles: Ints) -> None:
        if profiles.shape != surfaces.shape:
            raise ConfigError(f"the policy chose {profiles.shape} profiles for {surfaces.shape} contexts")
        if np.any((profiles < 0) | (profiles >= len(self.weights))):
            raise ConfigError(f"the policy chose profiles outside [0, {len(self.weights)})")
        wrong = ~self.allowed[surfaces, profiles]
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ConfigError(
                f"profile {profiles[at]} is not allowed on {SURFACES[surfaces[at]]}; mask the policy's choice"
            )

    def _check(self) -> None:
        size, signals = len(self.weights), self.situations.signals.shape[2]
        if self.weights.shape != (size, signals):
            raise ConfigError(f"weights are {self.weights.shape}, expected (A, {signals})")
        if self.allowed.shape != (len(SURFACES), size) or not self.allowed.any(axis=1).all():
            raise ConfigError(f"allowed is {self.allowed.shape}, expected (3, {size}), one or more a surface")
        if not 0.0 <= self.temperature < np.inf or self.page < 1:
            raise ConfigError("temperature must be 0 or more, and page at least 1")
        if self.behavior.choice.names != self.situations.wish_names:
            raise DataError(
                f"the choice model sees {self.behavior.choice.names}, the situations have"
                f" {self.situations.wish_names}; fit it on situations of the same kind"
            )
