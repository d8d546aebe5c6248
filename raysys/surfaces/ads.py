"""Ads: which offers stand in the places of a page, what they are worth, and what they cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from raysys.ads.explore import Explorer
from raysys.ads.ledger import Ledger, token_of
from raysys.errors import Part, StoreError
from raysys.events import AdUpdate
from raysys.policy.draw import Draw
from raysys.signals import CLIP, SignalConstants
from raysys.surfaces.judge import AD_VALUE
from raysys.surfaces.offers import Offers
from raysys.types import MICROS, Floats, Ints, ItemId, Query, QueryId, Reason


@dataclass(frozen=True, slots=True)
class Placement:
    """A place for ads on the host's page, still empty."""

    placement_id: str
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAd:
    """An ad in its place, with what it costs."""

    ad_id: str
    campaign_id: str
    item_id: ItemId | None
    price_micros: int
    """Charged at the event that the ad bids for; never above the bid."""
    value_micros: int
    """Expected worth of the showing: bid times the chance of the event it bids for."""
    score: float
    """The utility it competed with; its reasons add up to it."""
    propensity: float
    """1, for nothing is drawn, but for a new ad that was given its place to learn of it."""
    token: str
    """Names the showing; an event that carries `query_id` and `ad_id` settles its price."""
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class PlacedAds:
    """One placement, filled as far as there were offers."""

    placement_id: str
    items: tuple[PlacedAd, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a page that asked for ads."""

    query_id: QueryId
    placements: tuple[PlacedAds, ...]
    profile: int
    profile_prob: float
    bundle_id: str
    policy_id: str
    state_version: int
    degraded: tuple[Part, ...] = ()


def with_ad_value(weights: Floats) -> Floats:
    """Weights (S,) in which a higher bid never hurts: the ad's value counts, if nothing else, by itself."""
    paid = np.asarray(weights, dtype=np.float64).copy()
    if paid[AD_VALUE] <= 0:
        paid[AD_VALUE] = 1.0
    return paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Offers in competition: utility is linear in the ad-value signal, so the price is exact."""

    offers: Offers
    utility: Floats
    """(C,) of which the ad-value signal is one term."""
    weight: float
    """What a unit of the standardized ad-value signal adds to the utility."""
    constants: SignalConstants
    reserve_micros: int

    def critical_micros(self, offer: int, rival: float) -> int:
        """The least bid with which `offer` still reaches the utility `rival`, between reserve and bid."""
        bid, prob = int(self.offers.bids[offer]), float(self.offers.prob[offer])
        center, scale = float(self.constants.center[AD_VALUE]), float(self.constants.scale[AD_VALUE])
        value = np.log1p(prob * bid / MICROS)
        own = float(np.clip((value - center) / scale, -CLIP, CLIP))
        needed = own - (float(self.utility[offer]) - rival) / self.weight if self.weight > 0 else -np.inf
        least = float(np.expm1(center + scale * needed)) * MICROS / prob if needed > -CLIP else 0.0
        return min(max(math.ceil(least), self.reserve_micros), bid)

    def order(self) -> Ints:
        """Offers that meet the reserve, best first; equal ones in the order of their ids."""
        met = np.flatnonzero(self.offers.bids >= self.reserve_micros)
        return np.asarray(met[np.argsort(-self.utility[met], kind="stable")])

    def prices(self, queue: Sequence[int], length: int) -> list[int]:
        """Critical prices of the first `length` of `queue`; the rival of each is the next below it."""
        below = [float(self.utility[offer]) for offer in queue[1 : length + 1]] + [-np.inf]
        return [
            self.critical_micros(offer, rival) for offer, rival in zip(queue[:length], below, strict=False)
        ]


Reserve = Callable[[Sequence[tuple[AdUpdate, int]]], list[int | None]]
"""Sets prices aside together; micros held of each, None if the budget does not hold it."""
Explore = Callable[[Sequence[AdUpdate]], tuple[int, float] | None]
"""Which of the losers is shown to learn of it, with its propensity; mostly none."""


@dataclass(frozen=True, slots=True)
class _Sold:
    """An offer that has its place."""

    offer: int
    price_micros: int
    propensity: float = 1.0


def fill(
    placements: Sequence[Placement],
    contest: Contest,
    query_id: QueryId,
    reserve: Reserve,
    explore: Explore,
    reasons: Callable[[int], tuple[Reason, ...]],
) -> tuple[PlacedAds, ...]:
    """Fill the placements in their order; an ad stands once on a page and pays its critical price.

    The rival of a pick is the best offer left below it. All prices are set aside in one step; an
    offer whose budget another decision has taken meanwhile is passed over.
    """
    wanted = sum(placement.length for placement in placements)
    sold = iter(_sell(contest, wanted, reserve, explore))
    return tuple(
        PlacedAds(
            placement.placement_id,
            tuple(
                _placed(contest.offers, one, float(contest.utility[one.offer]), query_id, reasons(one.offer))
                for one in islice(sold, placement.length)
            ),
        )
        for placement in placements
    )


def _sell(contest: Contest, wanted: int, reserve: Reserve, explore: Explore) -> list[_Sold]:
    """Offers for at most `wanted` places, best first, with their prices set aside."""
    ads, queue, sold = contest.offers.ads, contest.order().tolist(), list[_Sold]()
    while queue and len(sold) < wanted:
        length = wanted - len(sold)
        picks = [_Sold(*pick) for pick in zip(queue, contest.prices(queue, length), strict=False)]
        queue = queue[length:]
        if not sold and (tried := explore([ads[offer] for offer in queue])) is not None:
            picks[-1] = _Sold(queue.pop(tried[0]), contest.reserve_micros, tried[1])
        held = reserve([(ads[pick.offer], pick.price_micros) for pick in picks])
        sold += [
            replace(pick, price_micros=micros)
            for pick, micros in zip(picks, held, strict=True)
            if micros is not None
        ]
    return sold


def _placed(
    offers: Offers, sold: _Sold, utility: float, query_id: QueryId, reasons: tuple[Reason, ...]
) -> PlacedAd:
    ad = offers.inventory.ads[int(offers.rows[sold.offer])]
    return PlacedAd(
        ad_id=ad.ad_id,
        campaign_id=ad.campaign_id,
        item_id=None if ad.item_id is None else ItemId(ad.item_id),
        price_micros=sold.price_micros,
        value_micros=round(float(offers.bids[sold.offer] * offers.prob[sold.offer])),
        score=utility,
        propensity=sold.propensity,
        token=token_of(query_id, ad.ad_id),
        reasons=reasons,
    )


def as_draw(placements: Sequence[PlacedAds], ad_ids: Sequence[str]) -> Draw:
    """The placements as picks among `ad_ids`, from the first place to the last."""
    index = {name: place for place, name in enumerate(ad_ids)}
    placed = [ad for placement in placements for ad in placement.items]
    order = np.array([index[ad.ad_id] for ad in placed], np.int64)
    propensities = np.array([ad.propensity for ad in placed], np.float64)
    return Draw(order=order, propensities=propensities, forced=np.zeros(len(order), np.bool_))


def reserve_from(ledger: Ledger, query: Query, missing: set[Part]) -> Reserve:
    """Prices are set aside in the ledger, no faster than the campaign's pace.

    Without the store nobody knows what is left, so nothing is sold and "state" is missing.
    """

    def reserve(prices: Sequence[tuple[AdUpdate, int]]) -> list[int | None]:
        if "state" not in missing:
            try:
                return ledger.reserve(prices, query.id, query.time_ms)
            except StoreError:
                missing.add("state")
        return [None] * len(prices)

    return reserve


def explore_from(explorer: Explorer, query: Query, missing: set[Part]) -> Explore:
    """New ads are tried as the explorer says; without the store none is, and "state" is missing."""

    def explore(losers: Sequence[AdUpdate]) -> tuple[int, float] | None:
        if "state" in missing:
            return None
        try:
            return explorer.pick(query.id, losers)
        except StoreError:
            missing.add("state")
            return None

    return explore
