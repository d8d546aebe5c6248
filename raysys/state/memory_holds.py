"""Money set aside for showings of ads, in memory; the twin of `holds`, under the store's lock."""

from collections import Counter
from collections.abc import Mapping, Sequence

from raysys.events import AdUpdate, Event
from raysys.state.holds import PLACES, UNMATCHED, paid_by, shown_counter
from raysys.state.protocol import Hold


class MemoryHolds:
    """Holds by query and ad, over the counters of their store."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._holds: dict[tuple[str, str], Hold] = {}
        self._settled: set[tuple[str, str]] = set()

    def make(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
        """See `StateStore.hold`."""
        self._lapse({hold.account for hold in holds}, now_ms)
        return [self._make(hold) for hold in holds]

    def settle(self, event: Event, time_ms: int, ads: Mapping[str, AdUpdate]) -> None:
        """Make the spend final that `event` pays for; at most once."""
        if (paid := paid_by(event)) is None:
            return
        for ad_id in paid.ad_ids:
            hold, ad = self._holds.get((paid.query_id, ad_id)), ads.get(ad_id)
            waits_for = hold.bid_for if hold else ad.bid_for if ad else None
            if paid.bid_for == "impression" and waits_for is not None:
                self._counters[shown_counter(ad_id)] += 1
            if waits_for is not None and waits_for != paid.bid_for:
                continue
            if hold is None or time_ms > hold.until_ms:
                self._counters[UNMATCHED] += 1
            else:
                self._settled.add((paid.query_id, ad_id))

    def release(self, query_id: str, ad_ids: Sequence[str]) -> int:
        """See `StateStore.release`."""
        waiting = {(query_id, ad_id) for ad_id in ad_ids} - self._settled
        ended = [self._holds.pop(name) for name in waiting & self._holds.keys()]
        for hold in ended:
            self._counters[hold.account] -= hold.micros
        return sum(hold.micros for hold in ended)

    def held(self, accounts: Sequence[str], now_ms: int) -> list[int]:
        """See `StateStore.held`."""
        lapsed = Counter[str]()
        for name, hold in self._holds.items():
            if hold.until_ms < now_ms and name not in self._settled:
                lapsed[hold.account] += hold.micros
        return [self._counters[account] - lapsed[account] for account in accounts]

    def _make(self, hold: Hold) -> int | None:
        name = (hold.query_id, hold.ad_id)
        if (old := self._holds.get(name)) is not None:
            return old.micros
        if hold.limit is not None and self._counters[hold.account] + hold.micros > hold.limit:
            return None
        self._counters[hold.account] += hold.micros
        self._counters[PLACES] += 1
        self._holds[name] = hold
        return hold.micros

    def _lapse(self, accounts: set[str], now_ms: int) -> None:
        """Drop what lapsed; money that no event settled goes back."""
        late = [n for n, hold in self._holds.items() if hold.account in accounts and hold.until_ms < now_ms]
        for name in late:
            hold = self._holds.pop(name)
            if name not in self._settled:
                self._counters[hold.account] -= hold.micros
            self._settled.discard(name)
