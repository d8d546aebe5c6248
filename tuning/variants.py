"""Forms of one model beside each other: which no other beats, which fits a budget, and why not the rest."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from raysys.errors import ConfigError
from raysys.evaluation.metrics import mean_error
from raysys.interest.compression import Form
from raysys.types import Floats

CANDIDATES = 100
"""Of a request that is timed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One form, and what was measured of it."""

    form: Form
    folder: Path
    """Where it is saved."""
    quality: Floats
    """(n,) of each person who judges."""
    size: int
    """Bytes on disk."""
    view_us: float = 0.0
    """Median CPU microseconds of a person's view, after something changed."""
    scoring_us: float = 0.0
    """Of the probabilities of CANDIDATES items then."""
    feed_us: float = 0.0
    """Of recall, and of ordering what was recalled."""

    @property
    def request_us(self) -> float:
        """What a budget is held against."""
        return self.view_us + self.scoring_us

    def gain(self, full: "Variant") -> tuple[float, float]:
        """The mean paired difference in quality, and its standard error."""
        return mean_error(self.quality - full.quality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """All variants, the full one first, and the one that is to be used."""

    variants: tuple[Variant, ...]
    chosen: Variant
    budget_us: float
    """0 for none."""

    @property
    def full(self) -> Variant:
        return self.variants[0]

    def offered(self) -> Variant:
        """The cheapest that loses no more than one standard error; the full one, if none is."""
        equal = [one for one in self.variants if self._loses_little(one)]
        return min([self.full, *equal], key=lambda one: one.request_us)

    def front(self, cost: str) -> list[str]:
        """Names of those that no other beats in quality and `cost`, the cheapest first."""
        found: list[Variant] = []
        for one in sorted(self.variants, key=lambda one: (getattr(one, cost), -one.quality.mean())):
            if not found or one.quality.mean() > found[-1].quality.mean():
                found.append(one)
        return [str(one.form) for one in found]

    def rows(self) -> list[dict[str, Any]]:
        """One for each variant, as plain values."""
        fronts = {cost: self.front(cost) for cost in ("request_us", "size")}
        found = []
        for one in self.variants:
            name, (gain, error), (mean, spread) = str(one.form), one.gain(self.full), mean_error(one.quality)
            measured = {
                "variant": name,
                "ndcg@10": mean,
                "ndcg@10_se": spread,
                "gain": gain,
                "gain_se": error,
                "request_us": one.request_us,
                "ratio": one.request_us / self.full.request_us,
                "scoring_us": one.scoring_us,
                "feed_us": one.feed_us,
                "bytes": one.size,
                "front": [cost for cost, names in fronts.items() if name in names],
                "verdict": self._verdict(one),
            }
            found.append(measured)
        return found

    def plain(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "budget_us": self.budget_us,
            "chosen": str(self.chosen.form),
            "offered": str(self.offered().form),
            "form": asdict(self.chosen.form),
            "people": len(self.full.quality),
            "variants": self.rows(),
        }

    def _loses_little(self, one: Variant) -> bool:
        gain, error = one.gain(self.full)
        return gain >= -error

    def _verdict(self, one: Variant) -> str:
        """Why a variant is taken, or is not."""
        if one is self.chosen:
            return "taken"
        if self.budget_us and one.request_us > self.budget_us:
            return f"over the budget of {self.budget_us:.0f} µs"
        if not self.budget_us and one is self.offered():
            return "offered: within a standard error, and the cheapest of those"
        gain, error = one.gain(self.full)
        if not self._loses_little(one):
            return f"loses {-gain:.4f} ± {error:.4f}"
        if not self.budget_us:
            return f"within a standard error, but {self.offered().form} is cheaper"
        return f"fits, but {self.chosen.form} is better"


def choose(variants: Sequence[Variant], budget_us: float) -> Variant:
    """The best that takes no longer than the budget; the first, which is the full one, without any.

    Raises:
        ConfigError: none is fast enough.
    """
    if not budget_us:
        return variants[0]
    able = [one for one in variants if one.request_us <= budget_us]
    if not able:
        fastest = min(variants, key=lambda one: one.request_us)
        raise ConfigError(
            f"no variant fits into budget_us = {budget_us:.0f}: the fastest, '{fastest.form}', takes"
            f" {fastest.request_us:.0f} µs of CPU for a view and {CANDIDATES} candidates; raise the budget"
        )
    return max(able, key=lambda one: float(one.quality.mean()))
