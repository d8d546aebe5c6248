"""The line that makes log odds of a score, by the outcomes of people held out (Platt 2000)."""

import numpy as np

from raysys.types import Bools, Floats

FLAT = 1e-3
"""Least slope of a line."""


def line_through(raw: Floats, done: Bools, weight: Floats) -> tuple[float, float]:
    """Slope, above 0, and offset that make log odds of a score, by the outcomes of people held out.

    To the end: the usual tolerance is far above the gradient where one of 100,000 comes true.
    """
    from sklearn.linear_model import LogisticRegression

    if done.all() or not done.any():  # nothing says what a higher score is worth
        return FLAT, log_odds_of(float(done.mean())) - FLAT * float(raw.mean())
    center, scale = float(raw.mean()), max(float(raw.std()), 1e-9)
    model = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-12)
    model.fit((raw[:, None] - center) / scale, done, sample_weight=weight)
    slope, offset = float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
    if slope < FLAT:  # no order is better than a wrong one
        slope, offset = FLAT, log_odds_of(float(np.average(done, weights=weight)))
    return slope, offset - slope * center


def log_odds_of(prob: float) -> float:
    """Finite at 0 and 1 too."""
    safe = min(max(prob, 1e-9), 1 - 1e-9)
    return float(np.log(safe / (1.0 - safe)))
