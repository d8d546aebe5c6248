"""Sessions under way: where each stands, and what has happened in it."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from raysys.behavior.response import Deeds
from raysys.behavior.situations import Situations
from raysys.state.protocol import HISTORY
from raysys.types import Bools, Floats, Ints

TIRING = 16
"""The latest purchases of a session that tire."""


@dataclass(slots=True)
class Walk:
    """B sessions under way; `Simulator.step` moves them on."""

    row: Ints
    """(B,) the situation each stands in."""
    first: Ints
    """(B,) the first situation of its session."""
    seed: Ints
    """(B,)"""
    deeds: Ints
    """(B,) clicks and purchases so far."""
    tired: Ints
    """(B, TIRING) groups of the latest purchases, -1 for none."""

    @classmethod
    def at(cls, rows: Ints, seeds: Ints) -> Self:
        """New sessions, which begin at `rows` (B,), each with the chance of its own seed (B,)."""
        size = len(rows)
        tired = np.full((size, TIRING), -1)
        return cls(rows.copy(), rows.copy(), np.array(seeds), np.zeros(size, np.int64), tired)

    def begin(self, at: Bools, rows: Ints, seeds: Ints) -> None:
        """Put new sessions, which begin at `rows` (n,), in the places `at` (B,)."""
        self.row[at] = self.first[at] = rows
        self.seed[at], self.deeds[at], self.tired[at] = seeds, 0, -1

    def only(self, keep: Bools) -> "Walk":
        """The sessions that `keep` (B,) says."""
        return Walk(*(getattr(self, field.name)[keep] for field in fields(self)))

    def had(self, group: Ints) -> Ints:
        """How many of the latest purchases were of each `group` (B, K); 0 for -1."""
        same = (group[:, :, None] == self.tired[:, None, :]) & (group >= 0)[:, :, None]
        return np.asarray(same.sum(axis=2))

    def remember(self, deeds: Deeds, group: Ints) -> None:
        """Count what was done with pages whose candidates have `group` (B, K)."""
        self.deeds = self.deeds + deeds.clicked.sum(axis=1) + deeds.bought.sum(axis=1)
        where = np.flatnonzero(deeds.bought.any(axis=1))
        new = np.where(deeds.bought[where], group[where], -1)
        both = np.concatenate([self.tired[where], new], axis=1)
        latest = np.argsort(both >= 0, axis=1, kind="stable")[:, -TIRING:]
        self.tired[where] = np.take_along_axis(both, latest, 1)

    def contexts(self, situations: Situations) -> Floats:
        """What the policy sees (B, F) float32: as logged, renewed by the session as serving would."""
        context = situations.context[self.row].astype(np.float32)
        onward = np.flatnonzero(self.row > self.first)
        steps, deeds = (self.row - self.first)[onward], self.deeds[onward]
        for at, name in enumerate(situations.context_names):
            before = situations.context[self.first[onward], at]
            if (renewed := _renewed(name, before, steps, deeds)) is not None:
                context[onward, at] = renewed
        return context


def _renewed(name: str, before: Floats, steps: Ints, deeds: Ints) -> Floats | None:
    """A feature (b,) after `steps` pages and `deeds` of a session; None for one that stays as logged."""
    match name:
        case "known":
            return np.ones(len(before))
        case "idle_weeks":
            return np.zeros(len(before))
        case "log_step":
            return np.asarray(np.log1p(steps) / 3.0)
        case "log_history":
            return np.asarray(np.log1p(np.minimum(np.expm1(4.0 * before) + deeds, HISTORY)) / 4.0)
        case "log_days":
            return np.asarray(np.log1p(np.expm1(4.0 * before) + (deeds > 0)) / 4.0)
    return None
