"""Offers: the ads that may be shown to whoever asks, and what a showing is worth."""

from dataclasses import dataclass

import numpy as np

from raysys.ads.inventory import Inventory
from raysys.ads.ledger import Ledger
from raysys.errors import Part, StoreError
from raysys.events import AdUpdate
from raysys.surfaces.asker import Asker
from raysys.surfaces.experts import Response
from raysys.types import Candidates, Floats, Ints, ItemId, Query, Wording


@dataclass(frozen=True, slots=True)
class Offers:
    """Ads that may be shown to whoever asks, with their worth."""

    inventory: Inventory
    rows: Ints
    """(C,) of the inventory, rising: equal offers stand in the order of their ids."""
    prob: Floats
    """(C,) chance of the event that each ad bids for; 1 where it bids for the impression."""

    @property
    def ads(self) -> tuple[AdUpdate, ...]:
        return tuple(self.inventory.ads[row] for row in self.rows.tolist())

    @property
    def bids(self) -> Floats:
        """(C,) in micros."""
        return np.asarray(self.inventory.bids[self.rows])

    @property
    def value_micros(self) -> Floats:
        """(C,) expected worth of a showing."""
        return self.bids * self.prob

    def worth(self) -> dict[ItemId, float]:
        """The best offer's value in micros for each promoted item."""
        best: dict[ItemId, float] = {}
        for ad, value in zip(self.ads, self.value_micros.tolist(), strict=True):
            if ad.item_id is not None:
                best[ItemId(ad.item_id)] = max(value, best.get(ItemId(ad.item_id), 0.0))
        return best

    def at(self, places: Ints) -> "Offers":
        """The offers at `places`, in that order."""
        return Offers(self.inventory, self.rows[places], self.prob[places])

    def candidates(self) -> Candidates:
        """The ads' items, or the ads themselves where they show a creative."""
        return Candidates(
            item_ids=tuple(self.inventory.names[row] for row in self.rows.tolist()),
            texts={place: Wording(ad.title) for place, ad in enumerate(self.ads) if ad.title},
        )


def offers_of(
    inventory: Inventory, rows: Ints, response: Response | None, asker: Asker, now_ms: int
) -> Offers:
    """What the ads at `rows`, all of which may be shown, are worth to their advertisers."""
    pays_now = inventory.pays_now[rows]
    if response is None or not len(rows):
        return Offers(inventory, rows, np.where(pays_now, 1.0, 0.01))
    prob = np.asarray(response.probs(asker.state, inventory, rows, now_ms), dtype=np.float64)
    return Offers(inventory, rows, np.where(pays_now, 1.0, np.clip(prob, 1e-6, 1.0)))


def affordable(ledger: Ledger, inventory: Inventory, rows: Ints, query: Query, missing: set[Part]) -> Ints:
    """The ads of `rows` whose campaigns have a whole bid left: who cannot pay sets no price for others.

    Without the store there are none, and "state" is missing.
    """
    if "state" in missing:
        return rows[:0]
    try:
        return np.asarray(rows[ledger.affords([inventory.ads[row] for row in rows.tolist()], query.time_ms)])
    except StoreError:
        missing.add("state")
        return rows[:0]
