"""Random numbers with an address: they belong to (seed, session, step, candidate) and to no policy.

Two policies that are compared on the same sessions meet the same chance (common random
numbers), and neither the batch nor its order changes a number.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from raysys.types import Floats, Ints

Words = npt.NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SINGLES = 4
_STREAMS = 3


@dataclass(frozen=True, slots=True)
class Noise:
    """All the chance of one step of B sessions with C candidates; every number is independent."""

    depth: Floats
    """(B,) in (0, 1): how far down this person looks."""
    more: Floats
    """(B,) in (0, 1): how many things are bought."""
    stay: Floats
    """(B,) in (0, 1): whether a bad page ends the session."""
    outside: Floats
    """(B,) Gumbel, for buying nothing."""
    draw: Floats
    """(B, C) Gumbel, for the ranking."""
    wish: Floats
    """(B, C) Gumbel, for what is wanted at this moment."""
    click: Floats
    """(B, C) in (0, 1): whether a look becomes a click."""

    @classmethod
    def of(cls, seed: Ints, session: Ints, step: Ints, candidates: int) -> Self:
        """The noise of B steps, from `seed`, `session` and `step` (B,)."""
        key = np.zeros(len(seed), np.uint64)
        for part in (seed, session, step):
            key = _mixed(key ^ (part.astype(np.uint64) * _GOLDEN))
        count = np.arange(1, 1 + _SINGLES + _STREAMS * candidates, dtype=np.uint64)
        bits = _mixed(key[:, None] + count * _GOLDEN)
        uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        single, each = uniform[:, :_SINGLES], uniform[:, _SINGLES:].reshape(len(seed), candidates, _STREAMS)
        return cls(
            depth=single[:, 0],
            more=single[:, 1],
            stay=single[:, 2],
            outside=_gumbel(single[:, 3]),
            draw=_gumbel(each[:, :, 0]),
            wish=_gumbel(each[:, :, 1]),
            click=each[:, :, 2],
        )


def _mixed(state: Words) -> Words:
    """The finalizer of splitmix64 (Steele et al. 2014): every input bit changes half of the output bits."""
    mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _gumbel(uniform: Floats) -> Floats:
    return np.asarray(-np.log(-np.log(uniform)))
