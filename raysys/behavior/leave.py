"""When people end a session: a hazard by step, fitted, and raised after a page of no use, assumed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.errors import ConfigError, DataError
from raysys.types import Bools, Floats, Ints

STEPS = 50
"""Hazards are fitted for so many steps; later ones have the last's."""


@dataclass(frozen=True, slots=True)
class Leave:
    """The chance of ending the session after the page of a step (discrete-time hazard)."""

    base: Floats
    """(T,) after a page that was of use, as in the log, where people stay as long as they find."""
    raised: float = 3.0
    """Assumed: how many times the base chance after a page on which nothing was clicked or bought."""

    def __post_init__(self) -> None:
        if not len(self.base) or np.any((self.base < 0) | (self.base > 1)):
            raise ConfigError("the base hazards must be one or more numbers from 0 to 1")
        if self.raised < 1.0:
            raise ConfigError(f"raised is {self.raised}, must be 1 or more")

    @classmethod
    def fit(cls, lengths: Ints, raised: float = 3.0) -> Self:
        """From the lengths (M,) of logged sessions: the share that ended, of those that came so far."""
        if not len(lengths) or lengths.min() < 1:
            raise DataError("session lengths must be 1 or more, and there must be one")
        ended = np.bincount(np.minimum(lengths, STEPS) - 1, minlength=STEPS).astype(np.float64)
        reached = ended[::-1].cumsum()[::-1]
        base = ended[reached > 0] / reached[reached > 0]
        late = lengths >= STEPS  # sessions of STEPS and more: a constant hazard from there on
        if late.any():
            base[-1] = 1.0 / (1.0 + float((lengths[late] - STEPS).mean()))
        return cls(base, raised)

    def hazard(self, step: Ints, useful: Bools) -> Floats:
        """Chance (B,) that the session ends after the page of `step` (B,), counted from 0."""
        base = self.base[np.minimum(step, len(self.base) - 1)]
        return np.where(useful, base, np.minimum(self.raised * base, 1.0))

    def too_early(self, step: Ints, useful: Bools) -> Floats:
        """Chance (B,) that somebody who would have stayed leaves all the same.

        A simulated person has the errands of a logged session, so its end is a draw from the
        base hazard already; together with this chance the whole is `hazard`.
        """
        base = self.hazard(step, np.ones(len(step), np.bool_))
        whole = self.hazard(step, useful)
        return np.where(base < 1.0, (whole - base) / np.maximum(1.0 - base, 1e-12), 0.0)

    def reaching(self, steps: int) -> Floats:
        """Share (steps,) of sessions that see step 0, 1, ..., every page being of use."""
        stays = 1.0 - self.hazard(np.arange(steps), np.ones(steps, np.bool_))
        return np.concatenate([[1.0], np.cumprod(stays)[:-1]])
