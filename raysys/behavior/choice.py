"""What people buy of what is before them: a conditional logit (McFadden 1974), fitted on purchases."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from raysys.behavior.situations import Situations
from raysys.errors import DataError
from raysys.types import SURFACES, Floats, Ints

PRIOR = 1.0
"""Precision of the normal prior of each weight: around 0 for all surfaces together, and around that
fit for each surface. It keeps a weight finite where a feature separates perfectly."""
BLOCK = 8192
"""Situations that are looked at together, for the sake of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceModel:
    """The chance that a candidate is bought is its share of exp(wish @ weights), with an outside option."""

    names: tuple[str, ...]
    weights: Floats
    """(3, W) by surface: what matters in a search for milk is not what matters in a feed of everything."""
    outside: Floats
    """(3,) utility of buying nothing, by surface; NaN where the log has no situation without a purchase."""
    again: Floats
    """(3,) chance of one thing more after each purchase, by surface."""

    def appeal(self, situations: Situations) -> Floats:
        """Utility (N, C) of every candidate."""
        return utilities(situations, self.weights)

    def probs(self, wish: Floats, surface: int) -> Floats:
        """Chance (C,) that each candidate with `wish` (C, W) is the one bought, all looked at."""
        every = wish @ self.weights[surface]
        if np.isfinite(self.outside[surface]):
            every = np.append(every, self.outside[surface])
        shares = np.exp(every - every.max())
        return np.asarray((shares / shares.sum())[: len(wish)])


def fit_choice(situations: Situations) -> ChoiceModel:
    """Fit weights, outside option and repeats by maximum likelihood (weights: a posteriori).

    Every purchase is one choice among the candidates present. Buying nothing against buying
    something is fitted second, given the weights: the two factors of the likelihood are
    separate because the logit is independent of irrelevant alternatives.
    """
    if not situations.bought.any():
        raise DataError("no situation has a purchase; a choice model cannot be fitted", field="bought")
    chosen = situations.where(np.asarray(situations.bought.any(axis=1)))
    pooled = _fitted(chosen, np.zeros(len(situations.wish_names)))
    surfaces = range(len(SURFACES))
    weights = np.stack([_fitted(chosen.where(chosen.surface == surface), pooled) for surface in surfaces])
    worth = inclusive_value(utilities(situations, weights), situations)
    return ChoiceModel(
        names=situations.wish_names,
        weights=weights,
        outside=np.array([_outside(situations, worth, surface) for surface in surfaces]),
        again=np.array([_again(situations, surface) for surface in surfaces]),
    )


def utilities(situations: Situations, weights: Floats) -> Floats:
    """Utility (N, C) of every candidate, for weights (3, W) by surface."""
    appeal = np.empty(situations.present.shape)
    for surface, row in enumerate(weights):
        here = situations.surface == surface
        appeal[here] = situations.wish[here] @ row
    return appeal


def inclusive_value(utility: Floats, situations: Situations) -> Floats:
    """log sum exp (N,) of the utilities (N, C) of the candidates present."""
    masked = np.where(situations.present, utility, -np.inf)
    top = masked.max(axis=1)
    return np.asarray(top + np.log(np.exp(masked - top[:, None]).sum(axis=1)))


def choice_loss(utility: Floats, situations: Situations) -> Floats:
    """Negative log likelihood (N,) of the purchases, a mean over those of a situation; NaN without one."""
    count = situations.bought.sum(axis=1)
    picked = np.where(situations.bought, utility, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where(count > 0, inclusive_value(utility, situations) - picked, np.nan)


def _fitted(chosen: Situations, prior: Floats) -> Floats:
    """The likeliest weights (W,) for situations with a purchase, around those of `prior` (W,)."""
    if not len(chosen):
        return prior
    from scipy.optimize import minimize

    found = minimize(
        lambda weights: _loss(chosen, weights, prior),
        prior,
        jac=True,
        hess=lambda weights: _curvature(chosen, weights),
        method="trust-exact",
        options={"gtol": 1e-6},
    )
    return np.asarray(found.x)


def _blocks(situations: Situations) -> list[slice]:
    return [slice(low, low + BLOCK) for low in range(0, len(situations), BLOCK)]


def _shares(situations: Situations, weights: Floats, part: slice) -> tuple[Floats, Floats]:
    """Shares (n, C) of the candidates of a block, and log sum exp (n,)."""
    utility = np.where(situations.present[part], situations.wish[part] @ weights, -np.inf)
    top = utility.max(axis=1, keepdims=True)
    shares = np.exp(utility - top)
    total = shares.sum(axis=1, keepdims=True)
    return shares / total, (top + np.log(total))[:, 0]


def _loss(situations: Situations, weights: Floats, prior: Floats) -> tuple[float, Floats]:
    """Mean negative log likelihood of a purchase, and its gradient (W,)."""
    loss, gradient = 0.0, np.zeros(len(weights))
    for part in _blocks(situations):
        bought = situations.bought[part].astype(np.float64)
        count = bought.sum(axis=1)
        shares, worth = _shares(situations, weights, part)
        taken = _summed(bought, situations.wish[part])
        loss += float((worth * count).sum() - taken @ weights)
        gradient += _summed(shares * count[:, None], situations.wish[part]) - taken
    off, total = weights - prior, situations.bought.sum()
    return (loss + PRIOR / 2 * float(off @ off)) / total, (gradient + PRIOR * off) / total


def _summed(by: Floats, wish: Floats) -> Floats:
    """Sum (W,) of wishes (n, C, W), each times `by` (n, C)."""
    return np.asarray(by.reshape(-1) @ wish.reshape(-1, wish.shape[-1]).astype(np.float64))


def _curvature(situations: Situations, weights: Floats) -> Floats:
    """Second derivative (W, W) of the mean loss: the covariance of the wishes under the shares."""
    curvature: Any = np.zeros((len(weights), len(weights)))
    for part in _blocks(situations):
        shares, _ = _shares(situations, weights, part)
        wish = situations.wish[part].astype(np.float64)
        mean = np.einsum("nc,ncw->nw", shares, wish)
        count = situations.bought[part].sum(axis=1, keepdims=True)
        flat, by = wish.reshape(-1, len(weights)), (shares * count).reshape(-1, 1)
        curvature += flat.T @ (flat * by) - mean.T @ (mean * count)
    return np.asarray((curvature + PRIOR * np.eye(len(weights))) / situations.bought.sum())


def _outside(situations: Situations, worth: Floats, surface: int) -> float:
    """The utility under which as many buy nothing as did; NaN where nobody or everybody did."""
    here = situations.surface == surface
    nothing = ~situations.bought[here].any(axis=1)
    if nothing.all() or not nothing.any():
        return float("nan")
    from scipy.optimize import brentq
    from scipy.special import expit

    inside = worth[here]
    return float(
        brentq(
            lambda outside: float((expit(outside - inside) - nothing).mean()),
            float(inside.min()) - 30.0,
            float(inside.max()) + 30.0,
        )
    )


def _again(situations: Situations, surface: int) -> float:
    """One less than the mean number of things bought, as a chance of going on (geometric)."""
    counts: Ints = situations.bought[situations.surface == surface].sum(axis=1)
    counts = counts[counts > 0]
    return float(1.0 - 1.0 / counts.mean()) if len(counts) else 0.0
