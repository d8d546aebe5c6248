"""What a combination is fitted on: pairs of person and item, and what was done."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """N pairs of person and item, as of one moment."""

    seen: Floats
    """(N, Fi) float32 features."""
    done: Bools
    """(N, E) what was done within the horizon."""
    weight: Floats
    """(N,) in fitting, comparing and calibrating: what counts is where people look."""
    stands: Floats
    """(N,) for how many pairs of the whole catalog each stands."""
    person: Ints
    """(N,) user codes."""
    page: Ints
    """(N,) rising: those of one person as of one moment have the same number."""

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        """All of them, in order, each part a page of its own."""
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__}
        columns["page"] = np.repeat(np.arange(len(parts)), [len(part.person) for part in parts])
        return cls(**columns)

    def of(self, keep: Bools | Ints) -> "Examples":
        """Those that `keep` (N,) says, or those at the places of it, in that order."""
        return Examples(**{name: getattr(self, name)[keep] for name in self.__slots__})
