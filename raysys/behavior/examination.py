"""How far down a page people look: assumptions, for a log without positions cannot tell."""

from dataclasses import dataclass

import numpy as np

from raysys.errors import ConfigError
from raysys.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class Examination:
    """Chance that a position is looked at, in the position-based model (Craswell et al. 2008).

    A person looks down to some depth and not below: one number from [0, 1) decides it, and
    every position whose chance is above that number is looked at.
    """

    name: str
    kind: str
    """`none`: everything is looked at; `log`: 1 / log2(2 + k); `power`: `base` ** k."""
    base: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("none", "log", "power"):
            raise ConfigError(f"examination is of kind {self.kind!r}, expected none, log or power")
        if not 0.0 <= self.base <= 1.0:
            raise ConfigError(f"base of the examination is {self.base}, must be from 0 to 1")

    def probs(self, length: int) -> Floats:
        """(K,) chance of a look at each position, never rising."""
        position = np.arange(length)
        if self.kind == "log":
            return np.asarray(1.0 / np.log2(2.0 + position))
        return np.asarray(self.base**position if self.kind == "power" else np.ones(length))

    def depth(self, uniform: Floats, length: int) -> Ints:
        """How many positions (B,) are looked at, for `uniform` (B,) in [0, 1)."""
        return np.asarray((uniform[:, None] < self.probs(length)).sum(axis=1))


NONE = Examination("none", "none")
"""Everything on the page is looked at."""
LOG2 = Examination("1/log2(2+k)", "log")
"""The discount of DCG: half of the people reach position 2, a third position 6."""
STEEP = Examination("0.7^k", "power", 0.7)
"""A third of the people reach position 3."""
SWEEP = (NONE, LOG2, STEEP)
"""The assumptions that every claim is to be held against."""
