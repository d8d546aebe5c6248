"""Whether probabilities mean what they say: predicted against observed shares, and how far apart they are."""

from dataclasses import dataclass

import numpy as np

from raysys.errors import DataError
from raysys.types import Bools, Floats

BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Cases in b bins of rising probability: the points of a reliability diagram."""

    predicted: Floats
    """(b,) mean probability of a bin's cases."""
    observed: Floats
    """(b,) share of them that came true."""
    share: Floats
    """(b,) of all cases; adds up to 1."""
    cases: Floats
    """(b,) cases, of weighted ones as many as tell equally much (Kish)."""

    @property
    def ece(self) -> float:
        """Expected calibration error, the mean distance of predicted and observed (Naeini et al. 2015)."""
        return float(self.share @ np.abs(self.predicted - self.observed))

    @property
    def ece_if_true(self) -> float:
        """What the error would be on average if every probability were true: so many cases tell no less.

        The binned error is biased upwards (Broecker 2012); the normal approximation of a bin's share.
        """
        spread = np.sqrt(self.predicted * (1.0 - self.predicted) / np.maximum(self.cases, 1.0))
        return float(np.sqrt(2.0 / np.pi) * (self.share @ spread))

    @property
    def ratio(self) -> float:
        """How many times as much was expected as came true; NaN where nothing did."""
        true = float(self.share @ self.observed)
        return float(self.share @ self.predicted) / true if true > 0 else float("nan")


def reliability(prob: Floats, done: Bools, weight: Floats | None = None, *, bins: int = BINS) -> Reliability:
    """Predicted and observed shares in at most `bins` bins of equal mass (Nguyen and O'Connor 2015).

    Cases of one probability share a bin, so that the order of the cases says nothing.

    Args:
        prob: (N,) in [0, 1].
        done: (N,) whether it came true.
        weight: (N,) for how many cases each stands.

    Raises:
        DataError: the shapes differ, or a probability is none.
    """
    weight = np.ones(len(prob)) if weight is None else weight
    if not prob.shape == done.shape == weight.shape:
        raise DataError(
            f"prob has shape {prob.shape}, done {done.shape} and weight {weight.shape}, expected one shape"
        )
    if not ((prob >= 0) & (prob <= 1)).all():
        raise DataError(f"probabilities reach from {prob.min()} to {prob.max()}, expected [0, 1] and no NaN")
    values, place = np.unique(prob.astype(np.float64), return_inverse=True)
    mass = np.bincount(place, weight, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2.0) / max(float(mass.sum()), 1e-300)
    number = np.minimum((middle * bins).astype(np.int64), bins - 1)[place]
    total, squares, expected, true = (
        np.bincount(number, column, minlength=bins)
        for column in (weight, weight**2, weight * prob, weight * done)
    )
    total, squares, expected, true = (column[total > 0] for column in (total, squares, expected, true))
    return Reliability(
        predicted=expected / total,
        observed=true / total,
        share=total / max(float(total.sum()), 1e-300),
        cases=total**2 / np.maximum(squares, 1e-300),
    )
