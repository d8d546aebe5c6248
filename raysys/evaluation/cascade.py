"""Off-policy estimators of whole rankings, drawn pick by pick (Plackett-Luce).

A user looks from the top down, so what happens at a position depends on the picks down to
it and not on those below: the weight of a position is the product of the ratios down to it.
"""

from dataclasses import dataclass

import numpy as np

from raysys.errors import DataError
from raysys.evaluation.estimate import Estimate, Ratio, estimate
from raysys.evaluation.off_policy import Support, require_log
from raysys.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRankings:
    """N rankings of up to K picks as they were shown, beside how another policy would have drawn them.

    Past the last position shown a reward is 0 and both probabilities are 1.
    """

    reward: Floats
    """(N, K) what came of each position."""
    propensity: Floats
    """(N, K) of each pick given those above it; 1 for a forced one."""
    target_prob: Floats
    """(N, K) that the target picks the same, given the same above it."""
    shown: Bools
    """(N, K) whether the user was shown this position, from the first on."""
    clusters: Ints | None = None
    """(N,) whose ranking each is."""

    def __post_init__(self) -> None:
        require_log(self.reward, self.propensity, self.target_prob)
        if self.reward.ndim != 2 or self.shown.shape != self.reward.shape:
            raise DataError(
                f"rewards are {self.reward.shape} and shown is {self.shown.shape}, expected (N, K)"
            )
        if np.any(self.shown[:, 1:] & ~self.shown[:, :-1]):
            raise DataError("found a position shown below one that was not; leave altered rankings out")
        hidden = ~self.shown
        if np.any(self.reward[hidden]) or np.any(self.propensity[hidden] != 1.0):
            raise DataError("found a reward or a propensity where nothing was shown; clear those positions")

    @property
    def weights(self) -> Floats:
        """Weight (N, K) of each ranking down to each position."""
        ratios = np.where(self.shown, self.target_prob / self.propensity, 1.0)
        return np.asarray(np.cumprod(ratios, axis=1), np.float64)

    def top(self, length: int) -> "LoggedRankings":
        """The first `length` positions alone: what is worth less below needs less evidence here."""
        return LoggedRankings(
            reward=self.reward[:, :length],
            propensity=self.propensity[:, :length],
            target_prob=self.target_prob[:, :length],
            shown=self.shown[:, :length],
            clusters=self.clusters,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardToGo:
    """What a model, not fitted on the same users, expects from each position on, given the picks above.

    A model of each pick's own reward plus a constant for all below it is one, too.
    """

    predicted: Floats
    """(N, K) of the logged pick."""
    expected: Floats
    """(N, K) mean over the target's picks."""
    expected_logging: Floats
    """(N, K) mean over the logging policy's picks."""


def ranking_ips(logged: LoggedRankings, *, draws: int = 0, check: bool = True) -> Estimate:
    """Whole rankings by IPS: assumes nothing of how users look, and is the noisiest."""
    weights = logged.weights[:, -1]
    return _of(logged, [Ratio.mean(weights * logged.reward.sum(axis=1))], draws, check)


def rips(logged: LoggedRankings, *, draws: int = 0, check: bool = True) -> Estimate:
    """Reward interaction IPS (McInerney et al. 2020): each position by its own weight."""
    return _of(logged, [Ratio.mean((logged.weights * logged.reward).sum(axis=1))], draws, check)


def snrips(logged: LoggedRankings, *, draws: int = 0, check: bool = True) -> Estimate:
    """`rips`, self-normalized at every position."""
    return _of(logged, _normalized(logged), draws, check)


def cascade_dr(logged: LoggedRankings, model: RewardToGo, *, draws: int = 0, check: bool = True) -> Estimate:
    """Doubly robust down the ranking (Kiyohara et al. 2022): unbiased whatever the model."""
    return _of(logged, [Ratio.mean(_robust(logged, model))], draws, check)


def delta_rips(logged: LoggedRankings, *, draws: int = 0, check: bool = True) -> Estimate:
    """Target minus logging policy by `rips`."""
    return _of(logged, [Ratio.mean(((logged.weights - 1.0) * logged.reward).sum(axis=1))], draws, check)


def delta_snrips(logged: LoggedRankings, *, draws: int = 0, check: bool = True) -> Estimate:
    """Target minus logging policy, the target's side self-normalized."""
    total = logged.reward.sum(axis=1)
    return _of(logged, [*_normalized(logged), Ratio(total, np.ones(len(total)), -1.0)], draws, check)


def delta_cascade_dr(
    logged: LoggedRankings, model: RewardToGo, *, draws: int = 0, check: bool = True
) -> Estimate:
    """Target minus logging policy, doubly robust on both sides."""
    own = (logged.reward - model.predicted + model.expected_logging) * logged.shown
    return _of(logged, [Ratio.mean(_robust(logged, model) - own.sum(axis=1))], draws, check)


def _robust(logged: LoggedRankings, model: RewardToGo) -> Floats:
    """The doubly robust term (N,) of every ranking."""
    weights = logged.weights
    above = np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)
    terms = weights * (logged.reward - model.predicted) + above * model.expected
    return np.asarray((terms * logged.shown).sum(axis=1))


def _normalized(logged: LoggedRankings) -> list[Ratio]:
    weights = logged.weights
    return [Ratio(w * r, w) for w, r in zip(weights.T, logged.reward.T, strict=True)]


def _of(logged: LoggedRankings, terms: list[Ratio], draws: int, check: bool) -> Estimate:
    """With the evidence of the last position, which has the least."""
    weights = logged.weights[:, -1]
    if check:
        Support.of(weights).require()
    return estimate(terms, weights, logged.clusters, draws=draws)
