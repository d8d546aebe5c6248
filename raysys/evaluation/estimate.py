"""An estimate with its interval and the evidence behind it, resampled by cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from raysys.errors import DataError
from raysys.types import Floats, Ints

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A policy's value, or the difference of two, with its 95 % interval and the evidence behind it."""

    value: float
    low: float
    high: float
    effective_n: float
    """Rankings' worth of evidence after weighting (Kish); far below `n` means do not trust."""
    n: int
    mean_weight: float
    """Of the importance weights; 1 where the logging policy could do all that the target does."""

    def __str__(self) -> str:
        evidence = f"effective n {self.effective_n:,.0f} of {self.n:,}, mean weight {self.mean_weight:.3f}"
        return f"{self.value:+.4f} [{self.low:+.4f}, {self.high:+.4f}], {evidence}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """The sum of `over` (N,) by the sum of `under` (N,): one term of an estimate."""

    over: Floats
    under: Floats
    sign: float = 1.0

    @classmethod
    def mean(cls, values: Floats) -> "Ratio":
        """The mean of (N,) values."""
        return cls(values, np.ones(len(values)))


def effective_size(weights: Floats) -> float:
    """How many equal weights would say as much as these (N,) (Kish 1965, Survey Sampling)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def estimate(
    terms: Sequence[Ratio],
    weights: Floats,
    clusters: Ints | None = None,
    *,
    draws: int = 0,
    seed: int = 0,
) -> Estimate:
    """The sum of `terms`, each with its sign; a paired difference is two terms over the same rows.

    Args:
        weights: (N,) importance weights, for the evidence.
        clusters: (N,) whose each row is: rows of one user are resampled together.
        draws: of a percentile bootstrap, which holds for rare and skewed outcomes;
            0 is the normal interval of the linearized terms.

    Raises:
        DataError: fewer than two clusters, or terms that do not have one row for each weight.
    """
    _check(terms, weights, clusters)
    sums = _by_cluster(terms, clusters)
    if len(sums) < 2:
        raise DataError(f"found {len(sums)} clusters, an interval needs two or more; log more users")
    signs = np.array([term.sign for term in terms])
    value = float(_values(sums.sum(axis=0), signs))
    if draws:
        low, high = _percentiles(sums, signs, draws, seed)
    else:
        half = NormalDist().inv_cdf(0.5 + LEVEL / 2) * _error(sums, signs)
        low, high = value - half, value + half
    return Estimate(
        value=value,
        low=min(low, value),
        high=max(high, value),
        effective_n=effective_size(weights),
        n=len(weights),
        mean_weight=float(weights.mean()),
    )


def _check(terms: Sequence[Ratio], weights: Floats, clusters: Ints | None) -> None:
    for name, column in (
        *(("over", term.over) for term in terms),
        *(("under", term.under) for term in terms),
        *([] if clusters is None else [("clusters", clusters)]),
    ):
        if column.shape != weights.shape:
            raise DataError(f"{name} is {column.shape}, expected one entry for each weight {weights.shape}")
    for term in terms:
        if not np.isfinite(term.over).all() or not term.under.sum() > 0:
            raise DataError("found a term that is not finite or has no weight; mend rewards and propensities")


def _by_cluster(terms: Sequence[Ratio], clusters: Ints | None) -> Floats:
    """Sums (G, J, 2) of every term's two columns over each cluster."""
    columns = np.stack([np.stack([term.over, term.under], axis=-1) for term in terms], axis=1)
    if clusters is None:
        return columns.astype(np.float64)
    _, group = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(group.max(initial=-1)) + 1, *columns.shape[1:]))
    np.add.at(sums, group, columns)
    return sums


def _values(totals: Floats, signs: Floats) -> Floats:
    """Value (...) of totals (..., J, 2)."""
    return np.asarray((signs * totals[..., 0] / totals[..., 1]).sum(axis=-1))


def _error(sums: Floats, signs: Floats) -> float:
    """Standard error by the delta method, between clusters."""
    count = len(sums)
    means = sums.mean(axis=0)
    off = (sums[..., 0] - means[:, 0] / means[:, 1] * sums[..., 1]) / means[:, 1]
    spread = (off * signs).sum(axis=1)
    return float(np.sqrt(np.square(spread).sum() / (count - 1) / count))


def _percentiles(sums: Floats, signs: Floats, draws: int, seed: int) -> tuple[float, float]:
    """The interval of resampled clusters (Efron and Tibshirani 1993, section 13.3)."""
    rng, count = np.random.default_rng(seed), len(sums)
    flat = sums.reshape(count, -1)
    values = np.empty(draws)
    for number in range(draws):
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        values[number] = _values((times @ flat).reshape(sums.shape[1:]), signs)
    low, high = np.quantile(values[np.isfinite(values)], [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return float(low), float(high)
