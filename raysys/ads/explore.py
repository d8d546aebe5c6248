"""New ads get a few places to show what they are worth: a bounded share of all places sold."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from raysys.events import AdUpdate
from raysys.state.holds import PLACES, shown_counter
from raysys.state.protocol import StateStore
from raysys.types import QueryId

NEW_SHOWINGS = 100
"""With fewer showings than this an ad is new."""
EXPLORED = "ads:explored"
"""The counter of places given to new ads."""


@dataclass(frozen=True, slots=True)
class Explorer:
    """Which queries try a new ad, and which ad: a matter of the query's id alone.

    The store holds the places tried to at most `percent` of those sold before, whatever the ids.
    """

    store: StateStore
    percent: int

    def pick(self, query_id: QueryId, ads: Sequence[AdUpdate]) -> tuple[int, float] | None:
        """Which of the losers `ads` to show in order to learn of it, and its propensity; mostly None."""
        digest = hashlib.blake2b(f"explore:{query_id}".encode(), digest_size=16).digest()
        turn, lot = (int.from_bytes(half, "big") / 2**64 for half in (digest[:8], digest[8:]))
        if turn * 100 >= self.percent or not ads:
            return None
        *shown, sold = self.store.counters([*(shown_counter(ad.ad_id) for ad in ads), PLACES])
        new = [place for place, showings in enumerate(shown) if showings < NEW_SHOWINGS]
        if not new or self.store.add(EXPLORED, 1, sold * self.percent // 100) is None:
            return None
        return new[int(lot * len(new))], self.percent / 100 / len(new)
