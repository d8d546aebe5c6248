"""What people buy of what is before them: a conditional logit (McFadden 1974), fitted on purchases."""

from dataclasses import dataclass

import numpy as np

from raysys.behavior.situations import Situations
from raysys.errors import DataError
from raysys.types import SURFACES, Bools, Floats, Ints

PRIOR = 1.0
"""Precision of the normal prior of each weight: around 0 for all surfaces together, and around that
fit for each surface. It keeps a weight finite where a feature separates perfectly."""
BLOCK = 1024
"""Situations that are looked at together, for the sake of memory."""
_ROOTS, _SHARES = np.polynomial.legendre.leggauss(32)
_LOG_NODES = 4.0 * np.log(0.5 + 0.5 * _ROOTS)
"""log v at the nodes of an integral over v = x ** 4: near 0 it is logarithmic in v, but smooth in x."""
_WEIGHTS = 0.5 * _SHARES * 4.0 * (0.5 + 0.5 * _ROOTS) ** 3


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

    What was bought comes before all else that was present (`set_loss`). Buying nothing against
    buying something is fitted second, given the weights: these two factors of the likelihood
    are separate, for in a logit what is wanted most and how much it is wanted are independent.
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
        method="L-BFGS-B",
        options={"gtol": 1e-7, "ftol": 1e-12},
    )
    return np.asarray(found.x)


def _loss(chosen: Situations, weights: Floats, prior: Floats) -> tuple[float, Floats]:
    """Mean negative log likelihood of a situation's purchases, and its gradient (W,)."""
    off = weights - prior
    loss, gradient = PRIOR / 2 * float(off @ off), PRIOR * off
    for low in range(0, len(chosen), BLOCK):
        part = slice(low, low + BLOCK)
        wish = chosen.wish[part].astype(np.float64)
        each, slope = set_loss(wish @ weights, chosen.present[part], chosen.bought[part])
        loss += float(each.sum())
        gradient = gradient + slope.reshape(-1) @ wish.reshape(-1, len(weights))
    return loss / len(chosen), gradient / len(chosen)


def set_loss(utility: Floats, present: Bools, bought: Bools) -> tuple[Floats, Floats]:
    """Negative log odds (N,) that just these come first, in any order, and the gradient (N, C).

    Of m things a log does not tell which was wanted most. The odds that a Plackett-Luce draw
    has the set S before all others are the integral over v from 0 to 1 of the product over S
    of 1 - v ** (exp(utility) / sum of exp(utility) of the others), here by Gauss-Legendre.

    Args:
        utility: (N, C)
        present: (N, C)
        bought: (N, C) the set, which is not empty.
    """
    count = bought.sum(axis=1)
    first = np.argsort(~bought, axis=1, kind="stable")[:, : count.max()]
    inside = np.arange(first.shape[1]) < count[:, None]
    masked = np.where(present & ~bought, utility, -np.inf)
    top = np.where(np.isfinite(masked.max(axis=1)), masked.max(axis=1), 0.0)[:, None]
    others = np.exp(masked - top)
    rest = others.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        edge = np.where(inside, np.take_along_axis(utility, first, 1) - top - np.log(rest), np.inf)
    power = np.exp(np.minimum(edge, 50.0))[:, :, None] * _LOG_NODES
    hit = -np.expm1(power)
    log_odds = np.log(hit).sum(axis=1)
    worth = _WEIGHTS * np.exp(log_odds - log_odds.max(axis=1, keepdims=True))
    slope = (-power * (1.0 - hit) / hit * worth[:, None, :]).sum(axis=2) / worth.sum(axis=1)[:, None]
    slope = np.where(inside & (rest > 0), slope, 0.0)
    gradient = slope.sum(axis=1, keepdims=True) * others / np.where(rest > 0, rest, 1.0)
    np.put_along_axis(gradient, first, np.take_along_axis(gradient, first, 1) - slope, 1)
    return -np.log(worth.sum(axis=1)) - log_odds.max(axis=1), gradient


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
