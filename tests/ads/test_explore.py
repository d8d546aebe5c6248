"""New ads get their share of places, by the query's id, and never more."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from raysys.ads.explore import EXPLORED, NEW_SHOWINGS, Explorer
from raysys.ads.ledger import Ledger
from raysys.events import AdUpdate, Impression
from raysys.state.holds import PLACES, shown_counter
from raysys.state.memory import MemoryStore
from raysys.types import QueryId


def _ads(*names: str) -> list[AdUpdate]:
    return [
        AdUpdate(ad_id=n, campaign_id="c", advertiser_id="v", bid_micros=1, bid_for="click") for n in names
    ]


def test_the_share_is_never_passed_whoever_asks_at_once() -> None:
    """All of these ids are lucky ones: each would explore if the share alone did not forbid it."""
    store = MemoryStore()
    explorer, ledger = Explorer(store, 10), Ledger.of(store)
    lucky = [f"q{n}" for n in range(20_000) if _wants(f"q{n}")][:1_500]

    def decide(query: str) -> None:
        explorer.pick(QueryId(query), _ads("new"))
        explored, sold = store.counters([EXPLORED, PLACES])
        assert explored * 10 <= sold
        ledger.reserve([(_ads("old")[0], 1)], QueryId(query), 0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decide, lucky))
    assert store.counters([EXPLORED])[0] == 149  # all that 1,499 places before the last allow


def _wants(query: str) -> bool:
    free = MemoryStore()
    free.add(PLACES, 10**9)
    return Explorer(free, 10).pick(QueryId(query), _ads("new")) is not None


def test_a_tenth_of_the_queries_explore_and_the_same_ones_always() -> None:
    wants = [_wants(f"q{n}") for n in range(2_000)]
    assert sum(wants) / 2_000 == pytest.approx(0.1, abs=0.02)
    assert wants[:200] == [_wants(f"q{n}") for n in range(200)]


def test_an_ad_that_was_shown_enough_is_new_no_more_and_the_new_share_alike() -> None:
    store = MemoryStore()
    store.add(PLACES, 10**9)
    store.append(_ads("old", "new", "newer"), 0)
    for n in range(NEW_SHOWINGS):
        store.append([Impression(query_id=f"q{n}", surface="ads", item_ids=["old"], time_ms=n)], n)
    assert store.counters([shown_counter("old")]) == [NEW_SHOWINGS]
    picks = [Explorer(store, 100).pick(QueryId(f"q{n}"), _ads("old", "new", "newer")) for n in range(400)]
    places = [pick[0] for pick in picks if pick]
    assert len(places) == 400
    assert 150 < places.count(1) < 250
    assert places.count(0) == 0
    assert {pick[1] for pick in picks if pick} == {0.5}


def test_no_share_no_exploration() -> None:
    store = MemoryStore()
    store.add(PLACES, 10**9)
    assert all(Explorer(store, 0).pick(QueryId(f"q{n}"), _ads("new")) is None for n in range(200))
