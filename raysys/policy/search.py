"""Which constant profile pays off best? A search by the cross-entropy method.

Source: Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization" (1999).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from raysys.errors import ConfigError
from raysys.types import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """How long and how widely weights are searched."""

    generations: int = 10
    population: int = 20
    elites: int = 5
    """So many of the best of each generation shape the next."""
    spread: float = 0.5
    """Standard deviation of each weight at the start."""
    floor: float = 0.02
    """Below this the deviation does not fall: a search that has settled still looks around."""

    def __post_init__(self) -> None:
        if not 0 < self.elites < self.population:
            raise ConfigError(
                f"elites is {self.elites}, expected 1 to population - 1 ({self.population - 1})"
            )
        if self.generations < 1:
            raise ConfigError(f"generations is {self.generations}, expected at least 1")
        if not 0.0 < self.floor <= self.spread:
            raise ConfigError(f"floor is {self.floor}, expected above 0 and at most spread ({self.spread})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Where a search stands after one generation."""

    number: int
    weights: Floats
    """(S,) the best found so far."""
    value: float
    """What they are worth; it never falls."""
    mean: Floats
    """(S,) the middle of the elites."""
    spread: Floats
    """(S,) the deviation that the next generation is drawn with."""


def search_weights(
    values: Callable[[Floats], Floats], start: Floats, free: Bools, config: SearchConfig, seed: int
) -> Iterator[Generation]:
    """Search weights (S,), yielding after every generation so that the caller may stop.

    The first row of the first generation is `start` itself, so the result is never worth less.

    Args:
        values: what each row of weights (P, S) is worth (P,); equal weights must give equal values,
            which common random numbers see to.
        start: (S,) weights to start from.
        free: (S,) which weights may change.
    """
    rng = np.random.default_rng(seed)
    mean = np.asarray(start, np.float64).copy()
    spread = np.where(free, config.spread, 0.0)
    best, best_value = mean, -np.inf
    for number in range(config.generations):
        rows = mean + spread * rng.standard_normal((config.population, len(mean)))
        rows[0] = mean
        found = np.asarray(values(rows), np.float64)
        order = np.argsort(-found, kind="stable")
        if found[order[0]] > best_value:
            best, best_value = rows[order[0]].copy(), float(found[order[0]])
        elites = rows[order[: config.elites]]
        mean = elites.mean(0)
        spread = np.where(free, np.maximum(elites.std(0), config.floor), 0.0)
        yield Generation(number=number, weights=best, value=best_value, mean=mean, spread=spread)
