"""Who may still spend: money set aside before a showing; the event that it is paid for makes it final."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.ads.pacing import allowance_micros
from raysys.events import AdUpdate, BidFor
from raysys.state.protocol import Hold, StateStore
from raysys.types import Bools, QueryId

MINUTE_MS = 60_000


def account_of(campaign_id: str) -> str:
    """The counter of what a campaign has spent or set aside, in micros."""
    return f"spend:{campaign_id}"


def token_of(query_id: QueryId, ad_id: str) -> str:
    """What a host may tell a showing by; an event says the same with `query_id` and `ad_id`."""
    return f"{query_id}:{ad_id}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Budgets over the accounts of a state store; a crash can hold money back, never overspend it.

    A hold ends once: the store settles it with the event it waits for, in the step that makes
    the event durable, or it lapses with its window and the next reserve of the campaign has
    the money back. All times are those of queries and events, not of this machine's clock.
    """

    store: StateStore
    windows_ms: Mapping[BidFor, int]
    """How long after a decision the paid event may come."""

    @classmethod
    def of(cls, store: StateStore, minutes: int = 30, conversion_minutes: int = 7 * 24 * 60) -> Self:
        """A ledger whose prices wait so long for an impression or a click, and for a conversion."""
        short, long = minutes * MINUTE_MS, conversion_minutes * MINUTE_MS
        return cls(store, {"impression": short, "click": short, "conversion": long})

    def affords(self, ads: Sequence[AdUpdate], now_ms: int) -> Bools:
        """(C,) whether each ad's campaign has its whole bid left, at its pace; a read, not a promise."""
        may = np.ones(len(ads), np.bool_)
        bounded = [place for place, ad in enumerate(ads) if ad.budget_micros is not None]
        accounts = sorted({account_of(ads[place].campaign_id) for place in bounded})
        held = dict(zip(accounts, self.store.held(accounts, now_ms), strict=True))
        for place in bounded:
            ad, limit = ads[place], allowance_micros(ads[place], now_ms)
            may[place] = limit is None or held[account_of(ad.campaign_id)] + ad.bid_micros <= limit
        return may

    def reserve(
        self, prices: Sequence[tuple[AdUpdate, int]], query_id: QueryId, now_ms: int
    ) -> list[int | None]:
        """Set each ad's price aside, in one durable step; micros held, None where the budget has not so much.

        Asked again for the same query and ad, it answers what is held and sets nothing more aside.
        """
        return self.store.hold(
            [
                Hold(
                    query_id=query_id,
                    ad_id=ad.ad_id,
                    account=account_of(ad.campaign_id),
                    micros=micros,
                    bid_for=ad.bid_for,
                    until_ms=now_ms + self.windows_ms[ad.bid_for],
                    limit=allowance_micros(ad, now_ms),
                )
                for ad, micros in prices
            ],
            now_ms,
        )

    def release(self, query_id: QueryId, ad_ids: Sequence[str]) -> int:
        """The showings will not be: give back what is not settled; micros that went back."""
        return self.store.release(query_id, ad_ids)

    def spent(self, campaign_id: str, now_ms: int) -> int:
        """Micros that a campaign has spent or set aside."""
        return self.store.held([account_of(campaign_id)], now_ms)[0]
