"""Money is set aside once, charged once, and never beyond the budget."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from raysys.ads.ledger import Ledger
from raysys.ads.pacing import allowance_micros
from raysys.errors import DataError
from raysys.events import AdUpdate
from raysys.state.memory import MemoryStore
from raysys.types import QueryId


def _ad(**fields: int) -> AdUpdate:
    return AdUpdate(ad_id="a", campaign_id="c", advertiser_id="v", bid_micros=9, bid_for="click", **fields)


def test_a_budget_holds_what_it_holds_and_no_more() -> None:
    ledger = Ledger(MemoryStore())
    tokens = [ledger.reserve(_ad(budget_micros=10), 4, QueryId(f"q{n}")) for n in range(3)]
    assert tokens == ["q0:a", "q1:a", None]
    assert ledger.spent("c") == 8


def test_a_released_hold_can_be_spent_by_the_next() -> None:
    ledger = Ledger(MemoryStore())
    token = ledger.reserve(_ad(budget_micros=5), 5, QueryId("q0"))
    assert token is not None
    assert ledger.reserve(_ad(budget_micros=5), 5, QueryId("q1")) is None
    assert ledger.release(token, "c")
    assert ledger.reserve(_ad(budget_micros=5), 5, QueryId("q1")) == "q1:a"


def test_a_hold_ends_once() -> None:
    ledger = Ledger(MemoryStore())
    token = ledger.reserve(_ad(), 6, QueryId("q"))
    assert token is not None
    assert ledger.settle(token, "c", 4)
    assert [ledger.settle(token, "c"), ledger.release(token, "c"), ledger.release("never", "c")] == [
        False
    ] * 3
    assert ledger.spent("c") == 4


def test_a_repeated_request_sets_nothing_more_aside() -> None:
    ledger = Ledger(MemoryStore())
    assert ledger.reserve(_ad(budget_micros=6), 6, QueryId("q")) == "q:a"
    assert ledger.reserve(_ad(budget_micros=6), 6, QueryId("q")) == "q:a"
    assert ledger.spent("c") == 6


def test_a_charge_above_the_hold_is_refused() -> None:
    ledger = Ledger(MemoryStore())
    token = ledger.reserve(_ad(), 6, QueryId("q"))
    assert token is not None
    with pytest.raises(DataError, match="expected 0 to 6"):
        ledger.settle(token, "c", 7)


def test_many_threads_never_overspend() -> None:
    ledger = Ledger(MemoryStore())
    with ThreadPoolExecutor(8) as pool:
        ad = _ad(budget_micros=50)
        tokens = list(pool.map(lambda n: ledger.reserve(ad, 3, QueryId(f"q{n}")), range(200)))
    assert len([token for token in tokens if token]) == 16
    assert ledger.spent("c") == 48


def test_half_way_half_the_budget_may_be_gone() -> None:
    ad = _ad(budget_micros=1000, starts_ms=0, ends_ms=100)
    assert [allowance_micros(ad, at) for at in (0, 50, 100, 900)] == [20, 520, 1000, 1000]
    assert allowance_micros(_ad(budget_micros=7), 50) == 7
    assert allowance_micros(_ad(), 50) is None


def test_a_paced_budget_waits_for_its_time() -> None:
    ledger, ad = Ledger(MemoryStore()), _ad(budget_micros=1000, starts_ms=0, ends_ms=100)
    assert ledger.reserve(ad, 500, QueryId("q"), now_ms=10) is None
    assert ledger.reserve(ad, 500, QueryId("q"), now_ms=60) == "q:a"
