"""Ads: which offers stand in the places of a page, what they are worth, and what they cost."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raysys.ads.ledger import Ledger
from raysys.errors import Part, StoreError
from raysys.events import AdUpdate, Target
from raysys.policy.draw import Draw
from raysys.signals import CLIP, SignalConstants
from raysys.surfaces.asker import Asker
from raysys.surfaces.experts import Response
from raysys.surfaces.judge import AD_VALUE
from raysys.types import DAY_MS, MICROS, Candidates, Floats, Ints, ItemId, Query, QueryId, Reason


@dataclass(frozen=True, slots=True)
class Placement:
    """A place for ads on the host's page, still empty."""

    placement_id: str
    length: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedAd:
    """An ad in its place, with what it costs and the token that settles or releases its spend."""

    ad_id: str
    campaign_id: str
    item_id: ItemId | None
    price_micros: int
    """Charged at the event that the ad bids for; never above the bid."""
    value_micros: int
    """Expected worth of the showing: bid times the chance of the event it bids for."""
    propensity: float
    token: str
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


@dataclass(frozen=True, slots=True)
class Offers:
    """Ads that may be shown to whoever asks, with their worth."""

    ads: tuple[AdUpdate, ...]
    prob: Floats
    """(C,) chance of the event that each ad bids for; 1 where it bids for the impression."""

    @property
    def value_micros(self) -> Floats:
        """(C,) expected worth of a showing."""
        return np.array([ad.bid_micros for ad in self.ads], np.float64) * self.prob

    def worth(self) -> dict[ItemId, float]:
        """The best offer's value in micros for each promoted item."""
        best: dict[ItemId, float] = {}
        for ad, value in zip(self.ads, self.value_micros.tolist(), strict=True):
            if ad.item_id is not None:
                best[ItemId(ad.item_id)] = max(value, best.get(ItemId(ad.item_id), 0.0))
        return best

    def at(self, places: Ints) -> "Offers":
        """The offers at `places`, in that order."""
        return Offers(tuple(self.ads[place] for place in places.tolist()), self.prob[places])

    def candidates(self) -> Candidates:
        """The ads' items, or the ads themselves where they show a creative."""
        return Candidates(
            item_ids=tuple(ItemId(ad.item_id or f"ad:{ad.ad_id}") for ad in self.ads),
            texts={place: ad.title for place, ad in enumerate(self.ads) if ad.title},
        )


def offers_of(ads: Sequence[AdUpdate], response: Response | None, asker: Asker) -> Offers:
    """What `ads`, all of which may be shown, are worth to their advertisers."""
    pays_now = np.array([ad.bid_for == "impression" for ad in ads], np.bool_)
    if response is None or not len(ads):
        return Offers(tuple(ads), np.where(pays_now, 1.0, 0.01))
    prob = np.asarray(response.probs(asker.state, ads), dtype=np.float64)
    return Offers(tuple(ads), np.where(pays_now, 1.0, np.clip(prob, 1e-6, 1.0)))


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
        ad, prob = self.offers.ads[offer], float(self.offers.prob[offer])
        center, scale = float(self.constants.center[AD_VALUE]), float(self.constants.scale[AD_VALUE])
        value = np.log1p(prob * ad.bid_micros / MICROS)
        own = float(np.clip((value - center) / scale, -CLIP, CLIP))
        needed = own - (float(self.utility[offer]) - rival) / self.weight if self.weight > 0 else -np.inf
        least = float(np.expm1(center + scale * needed)) * MICROS / prob if needed > -CLIP else 0.0
        return min(max(math.ceil(least), self.reserve_micros), ad.bid_micros)

    def order(self) -> Ints:
        """Offers that meet the reserve, best first; equal ones by ad id."""
        met = [place for place, ad in enumerate(self.offers.ads) if ad.bid_micros >= self.reserve_micros]
        names = self.offers.ads
        return np.array(sorted(met, key=lambda o: (-self.utility[o], names[o].ad_id)), np.int64)


Reserve = Callable[[AdUpdate, int], str | None]
"""Sets a price aside and gives a token; None if the budget does not hold it."""


def fill(
    placements: Sequence[Placement],
    contest: Contest,
    reserve: Reserve,
    reasons: Callable[[int], tuple[Reason, ...]],
) -> tuple[PlacedAds, ...]:
    """Fill the placements in their order; an ad stands once on a page and pays its critical price.

    An offer whose budget does not hold its price is passed over. The rival of a pick is the
    best offer that is left below it.
    """
    queue = contest.order().tolist()
    filled = []
    for placement in placements:
        items: list[PlacedAd] = []
        while queue and len(items) < placement.length:
            offer = queue.pop(0)
            ad = contest.offers.ads[offer]
            rival = float(contest.utility[queue[0]]) if queue else -np.inf
            price = contest.critical_micros(offer, rival)
            if (token := reserve(ad, price)) is None:
                continue
            items.append(
                PlacedAd(
                    ad_id=ad.ad_id,
                    campaign_id=ad.campaign_id,
                    item_id=None if ad.item_id is None else ItemId(ad.item_id),
                    price_micros=price,
                    value_micros=round(float(contest.offers.value_micros[offer])),
                    propensity=1.0,
                    token=token,
                    reasons=reasons(offer),
                )
            )
        filled.append(PlacedAds(placement.placement_id, tuple(items)))
    return tuple(filled)


def as_draw(placements: Sequence[PlacedAds], ad_ids: Sequence[str]) -> Draw:
    """The placements as picks among `ad_ids`, from the first place to the last; none was left to chance."""
    index = {name: place for place, name in enumerate(ad_ids)}
    order = np.array([index[ad.ad_id] for placed in placements for ad in placed.items], np.int64)
    return Draw(order=order, propensities=np.ones(len(order)), forced=np.zeros(len(order), np.bool_))


def eligible(ads: Iterable[AdUpdate], query: Query, asker: Asker) -> list[AdUpdate]:
    """Ads whose time, targeting and frequency cap allow them here and now."""
    shown = {} if asker.state is None else asker.state.ads
    today = query.time_ms // DAY_MS

    def may_stand(ad: AdUpdate) -> bool:
        day, showings = shown.get(ad.ad_id, (0, 0))
        capped = ad.cap is not None and day == today and showings >= ad.cap
        started = ad.starts_ms is None or ad.starts_ms <= query.time_ms
        ended = ad.ends_ms is not None and ad.ends_ms <= query.time_ms
        return started and not ended and not capped and ad.cap != 0 and _targets(ad.targeting or {}, query)

    return [ad for ad in ads if may_stand(ad)]


def _targets(targeting: Mapping[Target, list[str]], query: Query) -> bool:
    """Whether every list of `targeting` has something of this query."""
    words, place = set(query.text.lower().split()), query.context
    found: dict[Target, Callable[[list[str]], bool]] = {
        "surfaces": lambda wanted: query.surface in wanted,
        "channels": lambda wanted: query.channel in wanted,
        "categories": lambda wanted: f"{place.category}/".startswith(tuple(f"{w}/" for w in wanted)),
        "item_ids": lambda wanted: place.item_id in wanted,
        "keywords": lambda wanted: bool(words & {w.lower() for w in wanted}),
    }
    return all(found[name](wanted) for name, wanted in targeting.items())


def reserve_from(ledger: Ledger, query: Query, missing: set[Part]) -> Reserve:
    """Prices are set aside in the ledger, no faster than the campaign's pace.

    Without the store nobody knows what is left, so nothing is sold and "state" is missing.
    """

    def reserve(ad: AdUpdate, price_micros: int) -> str | None:
        if "state" in missing:
            return None
        try:
            return ledger.reserve(ad, price_micros, query.id, query.time_ms)
        except StoreError:
            missing.add("state")
            return None

    return reserve
