"""The last step for items that nobody had taken when the model was fitted.

Partners say nothing of them, and nothing was counted. Those who learned what zero counts mean from
items that are known would put them last; so they have combinations of their own, which learned from
items made new (`raysys.interest.newness`), and whose probabilities are of the same scale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from raysys.interest.combination import Combination, load_combination
from raysys.interest.features import UserView
from raysys.types import Bools, Ints

NAMES = ("untaken", "untaken.answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Untaken:
    """Combinations for items that are new to everybody."""

    combinations: tuple[Combination, ...]
    """(E,) for items that are offered."""
    answers: tuple[Combination, ...]
    """(E,) for items that answer a question; `combinations` itself where nobody was asked."""

    @property
    def sets(self) -> int:
        """How many sets of combinations are kept."""
        return 1 if self.answers is self.combinations else 2

    def save(self, folder: Path, kinds: Sequence[str]) -> None:
        """Write into `folder`, which is there."""
        for name, combinations in zip(NAMES[: self.sets], (self.combinations, self.answers), strict=False):
            for kind, combination in zip(kinds, combinations, strict=True):
                combination.save(folder, f"{kind}.{name}")

    @classmethod
    def load(cls, folder: Path, kinds: Sequence[str], sets: int) -> Self:
        """What `save` wrote."""
        found = [tuple(load_combination(folder, f"{kind}.{name}") for kind in kinds) for name in NAMES[:sets]]
        return cls(combinations=found[0], answers=found[-1])


def untaken(view: UserView, rows: Ints) -> Bools:
    """(C,) which rows are new to everybody, this person included: what is one's own is known by that."""
    return np.asarray(view.shelf.untaken[rows] & (view.place[rows] == len(view.own) - 1))
