"""All ads of a store as arrays, made once for each change of them: who may stand where, about what."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.events import AdUpdate, Target
from raysys.state.protocol import State
from raysys.types import DAY_MS, Bools, Floats, Ints, ItemId, Query

_ALWAYS_MS = 2**62


def promoted(ad: AdUpdate) -> frozenset[str]:
    """The items an ad is about: the one it shows and those it names. Not those of its targeting."""
    named: Sequence[str] = ad.about or ()
    return frozenset(named if ad.item_id is None else (*named, ad.item_id))


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """Which of n ads is about which items."""

    sizes: Ints
    """(n,) how many items each ad is about."""
    ads_of: dict[str, Ints]
    """By item, the ads about it, rising."""

    @classmethod
    def of(cls, sets: Sequence[Collection[str]]) -> Self:
        """From the items of each ad (n sets)."""
        found = _places((item, place) for place, items in enumerate(sets) for item in items)
        return cls(np.array([len(items) for items in sets], np.int64), found)


@dataclass(frozen=True, slots=True, eq=False)
class Inventory:
    """Ads in the order of their ids, so that equal offers always come in one order."""

    ads: tuple[AdUpdate, ...]
    """n ads."""
    names: tuple[ItemId, ...]
    """What each shows: its item, or itself where it shows a creative."""
    about: About
    bids: Floats
    """(n,) in micros."""
    pays_now: Bools
    """(n,) whether the bid is for the impression."""
    times: Ints
    """(2, n) first moment and the moment after the last."""
    wants: dict[Target, tuple[Bools, dict[str, Ints]]]
    """By target: the ads (n,) that do not care, and by value the ads that it suits."""
    row_of: dict[str, int]
    """By ad id."""

    @classmethod
    def of(cls, ads: Iterable[AdUpdate]) -> Self:
        """From ads, each with an id of its own."""
        kept = tuple(sorted(ads, key=lambda ad: ad.ad_id))
        starts = [ad.starts_ms or 0 for ad in kept]
        ends = [_ALWAYS_MS if ad.ends_ms is None else ad.ends_ms for ad in kept]
        return cls(
            ads=kept,
            names=tuple(ItemId(ad.item_id or f"ad:{ad.ad_id}") for ad in kept),
            about=About.of([promoted(ad) for ad in kept]),
            bids=np.array([ad.bid_micros for ad in kept], np.float64),
            pays_now=np.array([ad.bid_for == "impression" for ad in kept], np.bool_),
            times=np.array([starts, ends], np.int64),
            wants=_wants(kept),
            row_of={ad.ad_id: row for row, ad in enumerate(kept)},
        )

    def __len__(self) -> int:
        return len(self.ads)

    def eligible(self, query: Query, state: State | None) -> Ints:
        """Ads whose time, targeting and frequency cap allow them here and now, rising."""
        allowed = (self.times[0] <= query.time_ms) & (query.time_ms < self.times[1])
        for target, (careless, suited) in self.wants.items():
            fit = careless.copy()
            for value in _offered(target, query):
                if value in suited:
                    fit[suited[value]] = True
            allowed &= fit
        for row in self._capped(query.time_ms // DAY_MS, state):
            allowed[row] = False
        return np.flatnonzero(allowed)

    def _capped(self, today: int, state: State | None) -> Iterable[int]:
        """Ads that this person has seen often enough today; only impressions count."""
        for ad_id, (day, showings) in (state.ads if state else {}).items():
            row = self.row_of.get(ad_id)
            if row is not None and day == today and showings >= (self.ads[row].cap or _ALWAYS_MS):
                yield row


def _wants(ads: Sequence[AdUpdate]) -> dict[Target, tuple[Bools, dict[str, Ints]]]:
    """`Inventory.wants`; an ad with a cap of 0 wants a surface that there is none of."""
    wanted: dict[Target, dict[int, list[str]]] = defaultdict(dict)
    for row, ad in enumerate(ads):
        for target, values in (ad.targeting or {}).items():
            wanted[target][row] = [value.lower() for value in values] if target == "keywords" else values
        if ad.cap == 0:
            wanted["surfaces"][row] = []
    return {
        target: (
            ~np.isin(np.arange(len(ads)), list(rows)),
            _places((value, row) for row, values in rows.items() for value in values),
        )
        for target, rows in wanted.items()
    }


def _offered(target: Target, query: Query) -> Collection[str]:
    """What the page of `query` has of a target."""
    place = query.context
    match target:
        case "surfaces":
            return (query.surface,)
        case "channels":
            return (query.channel,)
        case "item_ids":
            return () if place.item_id is None else (place.item_id,)
        case "keywords":
            return set(query.text.lower().split())
        case "categories":  # the page's category and those above it
            path = place.category.split("/")
            return ["/".join(path[:depth]) for depth in range(1, len(path) + 1)]


def _places(pairs: Iterable[tuple[str, int]]) -> dict[str, Ints]:
    found: dict[str, list[int]] = defaultdict(list)
    for value, place in pairs:
        found[value].append(place)
    return {value: np.array(sorted(set(places)), np.int64) for value, places in found.items()}
