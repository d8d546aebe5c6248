"""Money is set aside once, charged once, comes back if nothing happens, and never beyond the budget."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysys.ads.ledger import MINUTE_MS, Ledger
from raysys.ads.pacing import allowance_micros
from raysys.events import AdUpdate, Event, Impression, Interaction
from raysys.state.holds import UNMATCHED
from raysys.state.memory import MemoryStore
from raysys.state.protocol import StateStore
from raysys.state.sqlite import SqliteStore
from raysys.types import QueryId

SPENDER = """
import sys
from pathlib import Path
from raysys.ads.ledger import Ledger
from raysys.events import AdUpdate
from raysys.state.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
ad = AdUpdate(ad_id="a", campaign_id="c", advertiser_id="v", bid_micros=9, bid_for="click", budget_micros=200)
held = [Ledger.of(store).reserve([(ad, 3)], f"{sys.argv[2]}/{n}", 0)[0] for n in range(60)]
print(sum(micros is not None for micros in held))
store.close()
"""


def _ad(**fields: object) -> AdUpdate:
    plain = {"ad_id": "a", "campaign_id": "c", "advertiser_id": "v", "bid_micros": 9, "bid_for": "click"}
    return AdUpdate(**{**plain, **fields})  # type: ignore[arg-type]


def _reserve(ledger: Ledger, ad: AdUpdate, micros: int, query: str, now_ms: int = 0) -> int | None:
    return ledger.reserve([(ad, micros)], QueryId(query), now_ms)[0]


def _deed(query: str, time_ms: int, kind: str = "click", **more: object) -> Interaction:
    fields = {"kind": kind, "item_id": "i", "ad_id": "a", "query_id": query, "time_ms": time_ms, **more}
    return Interaction(**fields)  # type: ignore[arg-type]


def test_a_budget_holds_what_it_holds_and_no_more() -> None:
    ledger = Ledger.of(MemoryStore())
    held = [_reserve(ledger, _ad(budget_micros=10), 4, f"q{n}") for n in range(3)]
    assert held == [4, 4, None]
    assert ledger.spent("c", 0) == 8


def test_one_decision_does_not_promise_the_same_money_twice() -> None:
    ledger, pair = Ledger.of(MemoryStore()), [_ad(budget_micros=10), _ad(ad_id="b", budget_micros=10)]
    assert ledger.reserve([(ad, 6) for ad in pair], QueryId("q"), 0) == [6, None]


def test_a_click_makes_the_spend_final_and_silence_gives_it_back() -> None:
    store = MemoryStore()
    ledger = Ledger.of(store, minutes=30)
    assert [_reserve(ledger, _ad(budget_micros=10), 5, q) for q in ("clicked", "ignored", "late")] == [
        5,
        5,
        None,
    ]
    store.append([_deed("clicked", 1, user_id="ann")], 1)
    late = 31 * MINUTE_MS
    assert (ledger.spent("c", 30 * MINUTE_MS), ledger.spent("c", late)) == (10, 5)
    assert _reserve(ledger, _ad(budget_micros=10), 5, "late", late) == 5
    assert store.counters(["spend:c", UNMATCHED]) == [10, 0]


SHOWN: Event = Impression(query_id="q", surface="ads", item_ids=["a"], time_ms=1)


@pytest.mark.parametrize(
    ("bid_for", "paid"),
    [("impression", {"impression"}), ("click", {"click"}), ("conversion", {"conversion", "purchase"})],
)
def test_only_the_event_that_the_ad_bids_for_settles(bid_for: str, paid: set[str]) -> None:
    kinds = ("view", "click", "cart", "dwell", "conversion", "purchase")
    events = {"impression": SHOWN, **{kind: _deed("q", 1, kind) for kind in kinds}}
    for kind, event in events.items():
        store = MemoryStore()
        ledger = Ledger.of(store)
        _reserve(ledger, _ad(bid_for=bid_for), 5, "q")
        store.append([event], 1)
        assert ledger.spent("c", 10**12) == (5 if kind in paid else 0)
        assert store.counters([UNMATCHED]) == [0]


def test_a_conversion_may_come_days_later_and_a_click_may_not() -> None:
    store = MemoryStore()
    ledger = Ledger.of(store, minutes=30, conversion_minutes=60)
    _reserve(ledger, _ad(bid_for="conversion"), 5, "q")
    _reserve(ledger, _ad(ad_id="b"), 3, "q")
    minute = 45 * MINUTE_MS
    store.append([_deed("q", minute, "conversion"), _deed("q", minute, ad_id="b")], 1)
    assert ledger.spent("c", 99 * MINUTE_MS) == 5
    assert store.counters([UNMATCHED]) == [1]


def test_an_event_without_a_hold_is_taken_and_counted(tmp_path: Path) -> None:
    for store in (MemoryStore(), SqliteStore(tmp_path / "state.db")):
        store.append([_ad()], 0)
        sent = [_deed("never", 1, user_id="ann"), _deed("never", 2, "view", user_id="ann")]
        assert store.append(sent, 1).accepted == 2
        assert store.append(sent, 1).duplicates == 2
        assert store.counters([UNMATCHED]) == [1]
        store.close()


def test_a_click_of_nobody_or_of_who_refused_is_charged_once_and_not_kept() -> None:
    store = MemoryStore()
    ledger = Ledger.of(store)
    _reserve(ledger, _ad(), 5, "q")
    for _ in range(3):
        store.append([_deed("q", 1)], 1)
    assert list(store.events()) == []
    assert (ledger.spent("c", 10**12), store.counters([UNMATCHED])) == (5, [0])


def test_a_withdrawn_showing_gives_back_what_is_not_settled() -> None:
    store = MemoryStore()
    ledger = Ledger.of(store)
    _reserve(ledger, _ad(), 5, "q")
    _reserve(ledger, _ad(ad_id="b"), 3, "q")
    store.append([_deed("q", 1, ad_id="b")], 1)
    assert ledger.release(QueryId("q"), ["a", "b", "never"]) == 5
    assert ledger.release(QueryId("q"), ["a"]) == 0
    assert ledger.spent("c", 0) == 3


def test_a_repeated_request_sets_nothing_more_aside_and_keeps_its_price() -> None:
    ledger = Ledger.of(MemoryStore())
    assert [_reserve(ledger, _ad(budget_micros=9), micros, "q") for micros in (6, 7)] == [6, 6]
    assert ledger.spent("c", 0) == 6


ACTS = st.tuples(
    st.sampled_from(["reserve", "click", "release"]),
    st.integers(0, 5),
    st.integers(0, 7),
    st.integers(0, 100 * MINUTE_MS),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=25))
def test_whatever_happens_the_budget_holds_and_both_stores_agree(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, int, int, int]]
) -> None:
    stores: list[StateStore] = [MemoryStore(), SqliteStore(tmp_path_factory.mktemp("s") / "state.db")]
    seen = []
    for store in stores:
        ledger, told, now_ms, clicked = Ledger.of(store), list[object](), 0, 0
        for act, query, micros, wait in acts:
            now_ms += wait // 4
            if act == "reserve":
                told.append(_reserve(ledger, _ad(budget_micros=12), micros, f"q{query}", now_ms))
            elif act == "click":
                store.append([_deed(f"q{query}", now_ms, event_id=f"{query}")], now_ms)
            else:
                told.append(ledger.release(QueryId(f"q{query}"), ["a"]))
            told.append((ledger.spent("c", now_ms), *store.counters(["spend:c", UNMATCHED])))
            assert 0 <= ledger.spent("c", now_ms) <= store.counters(["spend:c"])[0] <= 12
            final = ledger.spent("c", 10**15)
            assert final >= clicked, "what was settled stays spent"
            clicked = final
        seen.append(told)
        store.close()
    assert seen[0] == seen[1]


def test_many_threads_never_overspend() -> None:
    ledger = Ledger.of(MemoryStore())
    with ThreadPoolExecutor(8) as pool:
        ad = _ad(budget_micros=50)
        held = list(pool.map(lambda n: _reserve(ledger, ad, 3, f"q{n}"), range(200)))
    assert len([micros for micros in held if micros]) == 16
    assert ledger.spent("c", 0) == 48


def test_two_processes_on_one_file_never_overspend(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPENDER, str(tmp_path / "state.db")]
    spenders = [subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "xy"]
    sold = [int(spender.communicate(timeout=60)[0]) for spender in spenders]
    store = SqliteStore(tmp_path / "state.db")
    assert sum(sold) == 66
    assert Ledger.of(store).spent("c", 0) == 198
    store.close()


def test_half_way_half_the_budget_may_be_gone() -> None:
    ad = _ad(budget_micros=1000, starts_ms=0, ends_ms=100)
    assert [allowance_micros(ad, at) for at in (0, 50, 100, 900)] == [20, 520, 1000, 1000]
    assert allowance_micros(_ad(budget_micros=7), 50) == 7
    assert allowance_micros(_ad(), 50) is None


def test_a_paced_budget_waits_for_its_time() -> None:
    ledger, ad = Ledger.of(MemoryStore()), _ad(budget_micros=1000, starts_ms=0, ends_ms=100)
    assert _reserve(ledger, ad, 500, "q", now_ms=10) is None
    assert _reserve(ledger, ad, 500, "q", now_ms=60) == 500


def test_a_campaign_affords_a_bid_only_whole() -> None:
    ledger, ads = Ledger.of(MemoryStore()), [_ad(budget_micros=10), _ad(ad_id="b", campaign_id="d")]
    assert ledger.affords(ads, 0).tolist() == [True, True]
    _reserve(ledger, ads[0], 2, "q")
    assert ledger.affords(ads, 0).tolist() == [False, True]
