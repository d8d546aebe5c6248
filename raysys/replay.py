"""Ranks again what was ranked before, from its record: the same, or as another policy would."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raysys.bundle import Bundle
from raysys.catalog import hash_ids
from raysys.errors import DataError
from raysys.log import RankingRecord
from raysys.policy.draw import Cap, Draw, draw_ranking, query_noise
from raysys.policy.odds import mixed_odds, pick_odds
from raysys.signals import SIGNALS, SignalConstants
from raysys.surfaces.judge import Judge
from raysys.surfaces.order import Incumbent, Valuation, valuation, weighed
from raysys.types import Floats, Query, QueryId

CLOSE = 1e-12
"""Two propensities nearer than this, by their ratio, are one number rounded twice."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A record's ranking, made again."""

    draw: Draw
    utility: Floats
    """(C,)"""
    profile: int
    profile_prob: float


class Replayer:
    """Ranks from records with one bundle's policy; nothing but the record is read.

    Auctions are not drawn and have no replay (`ranked` tells them apart).
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        seed: int = 0,
        dial: float | None = None,
        logged_in: SignalConstants | None = None,
    ) -> None:
        """A replayer of one bundle.

        Args:
            seed: the replica's.
            dial: takes the place of the one that each record holds.
            logged_in: what the logged signals were standardized with, if not with this bundle's constants.
        """
        self.bundle, self._seed, self._dial = bundle, seed, dial
        self._logged_in = bundle.signals if logged_in is None else logged_in
        self._judge = Judge(bundle, seed)

    def rank(self, record: RankingRecord) -> Replayed:
        """The ranking that this bundle draws from the logged signals, with the noise of its query."""
        choice, value = self._judge.by_context(
            self._query(record), record.context, late="deadline" in record.degraded
        )
        utility, hashes = self._utility(record, value), hash_ids(record.item_ids)
        draw = draw_ranking(
            utility,
            len(record.order),
            temperature=value.temperature,
            noise=lambda epoch: query_noise(self._seed, QueryId(record.query_id), hashes, epoch),
            ties=np.arange(len(utility)),
            pins=dict(record.pins),
            caps=_caps(record, value),
        )
        return Replayed(draw, utility, choice.profile, choice.prob)

    def odds(self, record: RankingRecord, length: int | None = None) -> Floats:
        """Odds (K, C) of every candidate at each position of the logged order, over all profiles.

        Args:
            length: positions wanted, all by default.
        """
        probs, odds, order = [], [], record.order[:length]
        for prob, value in self._values(record):
            probs.append(prob)
            odds.append(
                pick_odds(
                    self._utility(record, value),
                    order,
                    temperature=value.temperature,
                    pinned=[candidate for _, candidate in record.pins],
                    caps=_caps(record, value),
                )
            )
        return mixed_odds(np.array(probs), np.stack(odds), order)

    def _values(self, record: RankingRecord) -> Iterable[tuple[float, Valuation]]:
        """Every profile that could have been chosen, with its odds."""
        query, policy = self._query(record), self.bundle.policy
        if not len(record.context) or "deadline" in record.degraded:
            late = "deadline" in record.degraded
            yield 1.0, self._judge.by_context(query, record.context, late=late)[1]
            return
        probs = policy.probs(record.context, record.surface)
        for profile in np.flatnonzero(probs).tolist():
            choice = Incumbent(policy.weights[profile], profile)
            settings = self.bundle.settings
            yield float(probs[profile]), valuation(query, choice, policy.temperature, settings)

    def _query(self, record: RankingRecord) -> Query:
        return Query(
            id=QueryId(record.query_id),
            surface=record.surface,
            time_ms=record.time_ms,
            length=len(record.order),
            channel=record.channel,
            weight=record.dial if self._dial is None else self._dial,
        )

    def _utility(self, record: RankingRecord, value: Valuation) -> Floats:
        if record.signals.shape[1] not in (0, len(SIGNALS)):
            raise DataError(
                f"the record {record.query_id} has {record.signals.shape[1]} signals, this version of raysys"
                f" weighs {len(SIGNALS)}; replay it with the version that wrote it"
            )
        if not len(record.item_ids):
            return np.zeros(0)
        utility = weighed(self._restated(record.signals), value.weights)
        return utility if value.pins_only or not len(record.terms) else utility + record.terms

    def _restated(self, signals: Floats) -> Floats:
        """Logged signals (C, S) in this bundle's units; what was missing stays missing."""
        old, new = self._logged_in, self.bundle.signals
        if np.array_equal(old.center, new.center) and np.array_equal(old.scale, new.scale):
            return signals
        raw = signals.astype(np.float64) * old.scale + old.center
        return new.standardize(np.where(signals == 0.0, np.nan, raw))


def _caps(record: RankingRecord, value: Valuation) -> tuple[Cap, ...]:
    if value.pins_only:
        return ()
    return tuple(
        Cap(groups=np.array(g, np.int64), max=most, within=within) for most, within, g in record.caps
    )


def ranked(record: RankingRecord) -> bool:
    """Whether the record is of a drawn or sorted ranking, and not of an auction."""
    return record.surface != "ads"


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """How many logged rankings came out the same, and what was different in the others."""

    rankings: int
    equal: int
    """Profile, order, propensities and forced picks are the same to the last bit."""
    orders: int
    """The order is the same."""
    differences: tuple[str, ...]
    """One sentence for each ranking that is not equal."""
    skipped: Counter[str]
    """Records that this bundle did not make, by reason."""


def replay(records: Iterable[RankingRecord], replayer: Replayer) -> ReplayReport:
    """Rank every record of the replayer's bundle again and compare with what was served."""
    skipped: Counter[str] = Counter()
    rankings = equal = orders = 0
    differences = []
    for record in records:
        if not ranked(record):
            skipped["auction"] += 1
        elif record.bundle_id != replayer.bundle.id:
            skipped[f"bundle {record.bundle_id}"] += 1
        else:
            again = replayer.rank(record)
            difference = _difference(record, again)
            rankings, equal = rankings + 1, equal + (not difference)
            orders += np.array_equal(again.draw.order, record.order)
            if difference:
                differences.append(f"{record.query_id}: {difference}")
    return ReplayReport(rankings, equal, orders, tuple(differences), skipped)


def _difference(record: RankingRecord, again: Replayed) -> str:
    """What differs first, in words; empty if nothing does."""
    if again.profile != record.profile:
        return f"profile {again.profile}, logged {record.profile}"
    if again.profile_prob != record.profile_prob:
        return f"profile_prob {again.profile_prob!r}, logged {record.profile_prob!r}"
    draw = again.draw
    if len(apart := np.flatnonzero(draw.order != record.order)):
        place = int(apart[0])
        now, then = (record.item_ids[int(order[place])] for order in (draw.order, record.order))
        return f"{now} at position {place}, logged {then}"
    if len(apart := np.flatnonzero(draw.forced != record.forced)):
        return (
            f"position {int(apart[0])} is {'' if draw.forced[apart[0]] else 'not '}forced, logged otherwise"
        )
    if len(apart := np.flatnonzero(draw.propensities != record.propensities)):
        place = int(apart[0])
        odds, logged = float(draw.propensities[place]), float(record.propensities[place])
        near = " (rounding)" if abs(odds / logged - 1.0) < CLOSE else ""
        return f"propensity {odds!r} at position {place}, logged {logged!r}{near}"
    return ""
