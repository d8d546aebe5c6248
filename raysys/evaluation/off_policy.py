"""What another policy would have been worth, from logged choices and their propensities.

Every estimator weighs what was logged by how much more often the target policy would have
chosen it; it refuses where the log cannot know (`Support`). `delta_*` estimates the
target's value minus the logging policy's on the same rows: the noise that both share
cancels (Jeunen and Ustimenko 2024, Δ-OPE).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.errors import DataError
from raysys.evaluation.estimate import Estimate, Ratio, effective_size, estimate
from raysys.types import Floats, Ints

TOLERANCE = 0.05
"""A mean weight further than this from 1 says that the log lacks what the target does."""
FEWEST = 30.0
"""Below this effective size an interval means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How well a log covers what the target policy does."""

    n: int
    effective_n: float
    mean_weight: float
    overlap: float
    """Share of its choices that the target would make as well: 1 − total variation distance."""
    largest: float
    """The largest weight."""

    @classmethod
    def of(cls, weights: Floats) -> "Support":
        """Of importance weights (N,)."""
        return cls(
            n=len(weights),
            effective_n=effective_size(weights),
            mean_weight=float(weights.mean()) if len(weights) else 0.0,
            overlap=float(np.minimum(weights, 1.0).mean()) if len(weights) else 0.0,
            largest=float(weights.max(initial=0.0)),
        )

    def lacking(self) -> str:
        """What is missing, and what to do; empty if nothing is."""
        if abs(self.mean_weight - 1.0) > TOLERANCE:
            return (
                f"mean weight is {self.mean_weight:.3f}, expected 1 ± {TOLERANCE}: the target does what the"
                " log hardly holds; choose a target nearer to the logging policy, or explore more"
            )
        if self.effective_n < FEWEST:
            return (
                f"effective sample size is {self.effective_n:.1f} of {self.n}, expected {FEWEST:.0f} or more;"
                " log more rankings, or choose a target nearer to the logging policy"
            )
        return ""

    def require(self) -> None:
        """Raise `DataError` unless the log can tell what the target is worth."""
        if reason := self.lacking():
            raise DataError(f"no support for this target: {reason}", field="propensity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """N logged choices and what came of them, beside how another policy would have made them."""

    reward: Floats
    """(N,)"""
    propensity: Floats
    """(N,) in (0, 1]"""
    target_prob: Floats
    """(N,) probability that the target policy makes the logged choice."""
    clusters: Ints | None = None
    """(N,) whose choice each is; rows of one user are not independent."""

    def __post_init__(self) -> None:
        require_log(self.reward, self.propensity, self.target_prob)

    @property
    def weights(self) -> Floats:
        """Importance weights (N,)."""
        return np.asarray(self.target_prob / self.propensity)


def require_log(reward: Floats, propensity: Floats, target_prob: Floats) -> None:
    """Raise `DataError` unless these have one shape and are rewards and probabilities."""
    if not (reward.shape == propensity.shape == target_prob.shape):
        raise DataError(
            "reward, propensity and target_prob must have one shape,"
            f" got {reward.shape}, {propensity.shape} and {target_prob.shape}"
        )
    if not np.isfinite(reward).all():
        raise DataError("found a reward that is not finite; leave such rows out", field="reward")
    if not np.all((propensity > 0) & (propensity <= 1)):
        bad = float(propensity[~((propensity > 0) & (propensity <= 1))].flat[0])
        raise DataError(
            f"found the propensity {bad}, expected numbers in (0, 1]; log the policy's own",
            field="propensity",
        )
    if not np.all((target_prob >= 0) & (target_prob <= 1 + 1e-9)):
        bad = float(target_prob[~((target_prob >= 0) & (target_prob <= 1 + 1e-9))].flat[0])
        raise DataError(f"found the probability {bad}, expected numbers in [0, 1]", field="target_prob")


def ips(logged: Logged, *, max_weight: float = np.inf, draws: int = 0, check: bool = True) -> Estimate:
    """Inverse propensity score (Horvitz and Thompson 1952): unbiased unless `max_weight` clips."""
    weights = np.minimum(logged.weights, max_weight)
    return _of(logged, [Ratio.mean(weights * logged.reward)], draws, check)


def snips(logged: Logged, *, draws: int = 0, check: bool = True) -> Estimate:
    """Self-normalized IPS (Swaminathan and Joachims 2015): within the rewards seen, bias O(1/N)."""
    weights = logged.weights
    return _of(logged, [Ratio(weights * logged.reward, weights)], draws, check)


def dr(
    logged: Logged, predicted: Floats, expected: Floats, *, draws: int = 0, check: bool = True
) -> Estimate:
    """Doubly robust (Dudík, Langford and Li 2011): unbiased whatever the model, steadier if good.

    Args:
        predicted: (N,) reward of the logged choice by a model not fitted on that row.
        expected: (N,) the same model's mean reward over the target's choices.
    """
    return _of(logged, [Ratio.mean(logged.weights * (logged.reward - predicted) + expected)], draws, check)


def sndr(
    logged: Logged, predicted: Floats, expected: Floats, *, draws: int = 0, check: bool = True
) -> Estimate:
    """Doubly robust with weights that are normalized to mean 1 (Robins et al. 2007)."""
    weights = logged.weights
    terms = [Ratio(weights * (logged.reward - predicted), weights), Ratio.mean(expected)]
    return _of(logged, terms, draws, check)


def switch_dr(
    logged: Logged,
    predicted: Floats,
    expected: Floats,
    *,
    threshold: float,
    draws: int = 0,
    check: bool = True,
) -> Estimate:
    """`dr` that trusts the model alone where the weight is above `threshold` (Wang et al. 2017)."""
    kept = np.where(logged.weights <= threshold, logged.weights, 0.0)
    return _of(logged, [Ratio.mean(kept * (logged.reward - predicted) + expected)], draws, check)


def dros(
    logged: Logged,
    predicted: Floats,
    expected: Floats,
    *,
    shrinkage: float,
    draws: int = 0,
    check: bool = True,
) -> Estimate:
    """`dr` with weights w shrunk to λw / (w² + λ) (Su et al. 2020): λ = ∞ is `dr`, λ = 0 the model alone."""
    weights = logged.weights
    shrunk = weights if np.isinf(shrinkage) else shrinkage * weights / (weights**2 + shrinkage + 1e-300)
    return _of(logged, [Ratio.mean(shrunk * (logged.reward - predicted) + expected)], draws, check)


def delta_ips(logged: Logged, *, draws: int = 0, check: bool = True) -> Estimate:
    """Target minus logging policy by IPS."""
    return _of(logged, [Ratio.mean((logged.weights - 1.0) * logged.reward)], draws, check)


def delta_snips(logged: Logged, *, draws: int = 0, check: bool = True) -> Estimate:
    """Target minus logging policy, the target's side self-normalized."""
    weights, ones = logged.weights, np.ones(len(logged.reward))
    terms = [Ratio(weights * logged.reward, weights), Ratio(logged.reward, ones, -1.0)]
    return _of(logged, terms, draws, check)


def delta_dr(
    logged: Logged,
    predicted: Floats,
    expected: Floats,
    expected_logging: Floats,
    *,
    draws: int = 0,
    check: bool = True,
) -> Estimate:
    """Target minus logging policy, doubly robust on both sides.

    Args:
        predicted: (N,) reward of the logged choice by a model not fitted on that row.
        expected: (N,) its mean over the target's choices.
        expected_logging: (N,) its mean over the logging policy's choices.
    """
    moved = (logged.weights - 1.0) * (logged.reward - predicted)
    return _of(logged, [Ratio.mean(moved + expected - expected_logging)], draws, check)


def _of(logged: Logged, terms: Sequence[Ratio], draws: int, check: bool) -> Estimate:
    if check:
        Support.of(logged.weights).require()
    return estimate(terms, logged.weights, logged.clusters, draws=draws)
