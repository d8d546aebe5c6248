"""What another bundle's policy would have been worth on rankings that were logged under this one."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from raysys.dataset.logged import Outcomes
from raysys.errors import DataError
from raysys.evaluation.cascade import LoggedRankings, RewardToGo, delta_cascade_dr, delta_snrips, rips
from raysys.evaluation.estimate import Estimate
from raysys.evaluation.off_policy import Support
from raysys.evaluation.reward_model import RewardModel, fit_rewards, folds_of
from raysys.log import RankingRecord
from raysys.policy.draw import COLDEST
from raysys.replay import Replayer, ranked
from raysys.types import Bools, Floats

FOLDS = 3
LENGTH = 10
"""Positions that count; every one more makes the weights noisier and is looked at less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Logged rankings as two policies draw them."""

    rankings: LoggedRankings
    model: RewardToGo
    left_out: Counter[str]
    """What could not be used, by reason."""

    @property
    def support(self) -> Support:
        """How well the log covers the new policy, at the last position."""
        return Support.of(self.rankings.weights[:, -1])

    def logged_value(self) -> Estimate:
        """Mean reward of a ranking as it was served."""
        served = self.rankings
        same = LoggedRankings(
            reward=served.reward,
            propensity=served.propensity,
            target_prob=served.propensity,
            shown=served.shown,
            clusters=served.clusters,
        )
        return rips(same, check=False)

    def difference(self, *, check: bool = True) -> Estimate:
        """The new policy's reward per ranking minus the logging policy's, doubly robust.

        Raises:
            DataError: the log does not cover the new policy.
        """
        return delta_cascade_dr(self.rankings, self.model, check=check)

    def plain_difference(self, *, check: bool = True) -> Estimate:
        """The same without a reward model, self-normalized: a second opinion."""
        return delta_snrips(self.rankings, check=check)


def compare(
    outcomes: Outcomes, reward: Floats, before: Replayer, after: Replayer, *, length: int = LENGTH
) -> Comparison:
    """Weigh every explored ranking of `before`'s bundle by how `after` would have drawn it.

    Both policies choose a profile first and then draw; the odds of a pick are those of the mixture,
    given the picks above it.

    Args:
        reward: (N, K) of `outcomes.reward`.
        length: positions that count, from the first.

    Raises:
        DataError: no ranking can be used, with the reasons.
    """
    kept = np.array([_unfit(record, before) == "" for record in outcomes.records], np.bool_)
    reasons = Counter(why for record in outcomes.records if (why := _unfit(record, before)))
    if not kept.any():
        found = ", ".join(f"{count} {why}" for why, count in reasons.items()) or "no rankings at all"
        raise DataError(f"no ranking can be used: {found}; compare on the log of this very bundle")
    records = [record for record, use in zip(outcomes.records, kept.tolist(), strict=True) if use]
    shown, reward = outcomes.shown[kept][:, :length], reward[kept][:, :length]
    clusters = outcomes.clusters[kept]
    models = _models(_picked(records, shown.shape[1]), reward, shown, folds := folds_of(clusters, FOLDS))
    size = shown.shape
    odds = {name: np.ones(size) for name in ("before", "after")}
    values = {name: np.zeros(size) for name in ("predicted", "expected", "expected_logging")}
    for row, record in enumerate(records):
        reach = int(shown[row].sum())
        top, places = record.order[:reach], np.arange(reach)
        old, new = (replayer.odds(record, reach) for replayer in (before, after))
        odds["before"][row, :reach], odds["after"][row, :reach] = old[places, top], new[places, top]
        worth = models[folds[row]].at(record.signals.astype(np.float64))[:reach]
        values["predicted"][row, :reach] = worth[places, top]
        values["expected"][row, :reach] = (new * worth).sum(axis=1)
        values["expected_logging"][row, :reach] = (old * worth).sum(axis=1)
    rankings = LoggedRankings(
        reward=reward,
        propensity=np.minimum(odds["before"], 1.0),
        target_prob=np.minimum(odds["after"], 1.0),
        shown=shown,
        clusters=clusters,
    )
    return Comparison(rankings=rankings, model=RewardToGo(**values), left_out=outcomes.left_out + reasons)


def _unfit(record: RankingRecord, before: Replayer) -> str:
    """Why a record says nothing of another policy; empty if it does."""
    if not ranked(record):
        return "auctions"
    if record.bundle_id != before.bundle.id:
        return "of another bundle"
    return "not explored" if record.temperature < COLDEST else ""


def _picked(records: list[RankingRecord], length: int) -> Floats:
    """Signals (N, K, S) of the picks, 0 past the end."""
    picked = np.zeros((len(records), length, records[0].signals.shape[1]))
    for row, record in enumerate(records):
        top = record.order[:length]
        picked[row, : len(top)] = record.signals[top]
    return picked


def _models(signals: Floats, reward: Floats, shown: Bools, folds: np.ndarray) -> list[RewardModel]:
    """A model for each fold, fitted on the others."""
    return [
        fit_rewards(signals[folds != fold], reward[folds != fold], shown[folds != fold])
        for fold in range(FOLDS)
    ]
