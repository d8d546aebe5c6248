"""Combinations that are weighted sums of features, fitted by outcome or by page."""

from dataclasses import replace

import numpy as np

from raysys.interest.combination import Logistic
from raysys.interest.examples import Examples
from raysys.interest.lines import line_through
from raysys.types import Bools, Floats

RARE = 0.25
"""Least scale of a feature: all are of the order of 1, and what hardly varied must not count for much."""
ENOUGH = 150_000
"""Examples that the logistic regression is fitted on, at most about."""
ENOUGH_LISTED = 600_000
"""Examples that the listwise sum is fitted on, at most about."""


def logistic(fit: Examples, done: Bools, strength: float) -> Logistic:
    """Examples weigh what they count for in rankings: what probabilities mean is for `lined` to say."""
    from sklearn.linear_model import LogisticRegression

    center = fit.seen.mean(0, dtype=np.float64)
    scale = np.maximum(fit.seen.std(0, dtype=np.float64), RARE)
    if done.min() == done.max():
        odds = np.log(0.5 / (len(done) + 0.5)) if not done.any() else 10.0
        return Logistic(center=center, scale=scale, weights=np.append(np.zeros(len(center)), odds))
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-8)
    some = np.arange(0, len(done), max(len(done) // ENOUGH, 1))  # its 40 weights need no more
    if done[some].min() == done[some].max():
        some = np.arange(len(done))
    unit, weight = (fit.seen[some] - center) / scale, fit.weight[some]
    model.fit(unit, done[some], sample_weight=weight / weight.mean())
    weights = np.append(model.coef_[0], model.intercept_[0])
    return Logistic(center=center, scale=scale, weights=weights)


def listwise(fit: Examples, check: Examples, number: int, strength: float) -> Logistic:
    """A sum of features whose softmax within a page tells what was done on it (McFadden 1974).

    It needs far fewer examples than trees. An item that stands for several counts as so many of
    its like; a line through the outcomes of people held out makes log odds of the sum.
    """
    from scipy.optimize import minimize

    done = fit.done[:, number]
    pages = np.unique(fit.page[done])
    most = max(int(ENOUGH_LISTED * len(pages) / max(np.isin(fit.page, pages).sum(), 1)), 1)
    some = fit.of(np.isin(fit.page, pages[:: max(-(-len(pages) // most), 1)]))
    done = some.done[:, number]
    center = some.seen.mean(0, dtype=np.float64)
    scale = np.maximum(some.seen.std(0, dtype=np.float64), 0.2 * RARE)
    unit = ((some.seen - center) / scale).astype(np.float32)
    starts = np.flatnonzero(np.diff(some.page, prepend=-1))
    place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(done))))
    share = done / np.bincount(place, done)[place]
    stands = np.log(some.stands)

    def lost(weights: Floats) -> tuple[float, Floats]:
        score = unit @ weights.astype(np.float32) + stands
        top = np.maximum.reduceat(score, starts)
        mass = np.exp(score - top[place])
        total = np.add.reduceat(mass, starts)
        told = float((share * (score - top[place])).sum() - np.log(total).sum())
        slope = (share - mass / total[place]).astype(np.float32) @ unit
        ridge = 1e-3 / strength
        return (
            -told / len(starts) + ridge * float(weights @ weights),
            -slope.astype(np.float64) / len(starts) + 2.0 * ridge * weights,
        )

    weights = minimize(lost, np.zeros(unit.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
    return lined(Logistic(center=center, scale=scale, weights=np.append(weights, 0.0)), check, number)


def lined(model: Logistic, check: Examples, number: int) -> Logistic:
    """The same sum on the line that makes log odds of it, by the outcomes of people held out (Platt 2000)."""
    slope, offset = line_through(model.log_odds(check.seen), check.done[:, number], check.weight)
    *weights, intercept = (slope * model.weights).tolist()
    return replace(model, weights=np.array([*weights, intercept + offset]))
