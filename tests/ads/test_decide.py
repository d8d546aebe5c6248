"""Paid places: the price is the critical bid, the terms add up, new ads get their share."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysys.ads.explore import EXPLORED, NEW_SHOWINGS
from raysys.events import AdUpdate, Impression, Interaction
from raysys.explain import total
from raysys.ranker import Ranker
from raysys.state.holds import PLACES
from raysys.state.memory import MemoryStore
from raysys.surfaces.ads import PlacedAd, Placement
from raysys.surfaces.settings import Settings
from raysys.types import QueryId
from tests import fakes
from tests.fakes import NOW_MS, ask

RESERVE = 5_000


def _ad(name: str, bid: int, **fields: object) -> AdUpdate:
    plain = {"campaign_id": f"c-{name}", "advertiser_id": "v", "bid_for": "click"}
    return AdUpdate(ad_id=name, bid_micros=bid, **{**plain, **fields})  # type: ignore[arg-type]


def _ranker(ads: list[AdUpdate], percent: int = 0) -> tuple[Ranker, MemoryStore]:
    store = MemoryStore()
    store.append(ads, NOW_MS)
    table = {"ads": {"reserve_micros": RESERVE, "explore_percent": percent}}
    return Ranker(fakes.bundle(settings=Settings.parse(table)), store), store


def _placed(ads: list[AdUpdate], length: int = 2) -> list[PlacedAd]:
    ranker, _ = _ranker(ads)
    placements = [Placement("top", 1), Placement("side", length - 1)] if length > 1 else [Placement("top")]
    decision = ranker.decide(ask("ads", explain=True), placements)
    return [ad for placement in decision.placements for ad in placement.items]


ADS = st.lists(
    st.builds(
        lambda bid, item, bid_for, budget: {
            "bid": bid, "item_id": item, "bid_for": bid_for, "budget_micros": budget and budget * bid // 2
        },
        st.integers(1, 3_000_000),
        st.sampled_from([None, "i2", "i7", "i11"]),
        st.sampled_from(["impression", "click", "conversion"]),
        st.sampled_from([None, 1, 3]),
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: [_ad(f"ad{n}", row.pop("bid"), **row) for n, row in enumerate(rows)])  # fmt: skip


def _with_bid(ads: list[AdUpdate], name: str, bid: int) -> list[AdUpdate]:
    """The same contest, but for one ad's bid; its budget holds it."""
    return [
        _ad(ad.ad_id, bid, bid_for=ad.bid_for, item_id=ad.item_id) if ad.ad_id == name else ad for ad in ads
    ]


@settings(max_examples=30, deadline=None)
@given(ads=ADS)
def test_a_winner_would_keep_its_place_at_its_price_and_lose_it_below(ads: list[AdUpdate]) -> None:
    bids = {ad.ad_id: ad.bid_micros for ad in ads}
    for place, won in enumerate(_placed(ads)):
        assert RESERVE <= won.price_micros <= bids[won.ad_id]
        assert total(won.reasons) == pytest.approx(won.score, abs=1e-6)
        above, below = math.ceil(won.price_micros * 1.0002) + 2, int(won.price_micros * 0.9998) - 2
        if above <= bids[won.ad_id]:
            kept = _placed(_with_bid(ads, won.ad_id, above))
            assert kept[place].ad_id == won.ad_id
        lost = [ad.ad_id for ad in _placed(_with_bid(ads, won.ad_id, below))]
        assert won.ad_id not in lost[: place + 1]


@settings(max_examples=30, deadline=None)
@given(ads=ADS)
def test_a_loser_that_outbids_the_winners_worth_wins(ads: list[AdUpdate]) -> None:
    """What it takes is the bid at which it would be the winner, and that it would pay at most that."""
    placed = _placed(ads, length=1)
    losers = [ad for ad in ads if ad.bid_micros >= RESERVE and ad.ad_id not in {p.ad_id for p in placed}]
    assume(placed and losers)
    high = 10**9
    outbid = _placed(_with_bid(ads, losers[0].ad_id, high), length=1)[0]
    if outbid.ad_id != losers[0].ad_id:
        return  # what it is worth to an advertiser ends where the signal is clipped
    needed = outbid.price_micros
    for bid, wins in ((math.ceil(needed * 1.0002) + 2, True), (int(needed * 0.9998) - 2, False)):
        winner = _placed(_with_bid(ads, losers[0].ad_id, bid), length=1)[0]
        assert (winner.ad_id == losers[0].ad_id) is wins


def test_who_cannot_pay_a_whole_bid_sets_no_price() -> None:
    rich, broke = _ad("rich", 100_000), _ad("broke", 90_000, budget_micros=89_999)
    assert [(ad.ad_id, ad.price_micros) for ad in _placed([rich, broke])] == [("rich", RESERVE)]
    solvent = _ad("broke", 90_000, budget_micros=90_000)
    assert _placed([rich, solvent])[0].price_micros == pytest.approx(90_000, abs=2)


def test_a_click_on_a_placed_ad_is_charged_and_what_nobody_clicks_is_sold_again() -> None:
    ranker, store = _ranker([_ad("a", RESERVE, budget_micros=RESERVE * 2)])

    def sold(query: str, time_ms: int) -> list[str]:
        decision = ranker.decide(ask("ads", id=QueryId(query), time_ms=time_ms), [Placement("top")])
        return [ad.ad_id for ad in decision.placements[0].items]

    assert [sold(query, NOW_MS) for query in ("q1", "q2", "q3")] == [["a"], ["a"], []]
    click = Interaction(kind="click", item_id="a", ad_id="a", query_id="q1", user_id="ann", time_ms=NOW_MS)
    assert [store.append([click], NOW_MS).accepted for _ in range(2)] == [1, 0]
    later = NOW_MS + 31 * 60_000
    assert [sold(query, later) for query in ("q4", "q5")] == [["a"], []]
    assert store.held(["spend:c-a"], later) == [2 * RESERVE]


def test_a_decision_nobody_saw_is_withdrawn_whole() -> None:
    ranker, store = _ranker([_ad("a", RESERVE), _ad("b", RESERVE)])
    decision = ranker.decide(ask("ads"), [Placement("top", 2)])
    assert store.held(["spend:c-a", "spend:c-b"], NOW_MS) == [RESERVE, RESERVE]
    ranker.withdraw(decision)
    assert store.held(["spend:c-a", "spend:c-b"], NOW_MS) == [0, 0]


def test_only_showings_count_towards_a_cap() -> None:
    ranker, store = _ranker([_ad("a", RESERVE, cap=1)])

    def sold(query: str) -> int:
        return len(ranker.decide(ask("ads", id=QueryId(query)), [Placement("top")]).placements[0].items)

    assert [sold(f"q{n}") for n in range(3)] == [1, 1, 1]
    store.append(
        [Impression(query_id="q1", surface="ads", item_ids=["a"], user_id="ann", time_ms=NOW_MS)], NOW_MS
    )
    assert sold("q9") == 0


def test_a_new_ad_gets_the_last_place_at_the_reserve_within_its_share() -> None:
    """The old ads have been shown; of 600 pages the new one gets at most a tenth of the places."""
    ads = [_ad("old1", 900_000), _ad("old2", 800_000), _ad("new", 10_000)]
    ranker, store = _ranker(ads, percent=10)
    for n in range(NEW_SHOWINGS):
        store.append([Impression(query_id=f"s{n}", surface="ads", item_ids=["old1", "old2"], time_ms=n)], n)
    tried = []
    for n in range(300):
        decision = ranker.decide(ask("ads", id=QueryId(f"q{n}")), [Placement("top", 2)])
        first, last = decision.placements[0].items
        assert first.ad_id == "old1"
        assert first.price_micros == pytest.approx(800_000, rel=1e-3)
        if last.ad_id == "new":
            tried.append(n)
            assert (last.price_micros, last.propensity) == (RESERVE, 0.1)
        explored, sold = store.counters([EXPLORED, PLACES])
        assert explored * 10 <= sold
    assert 15 <= len(tried) == store.counters([EXPLORED])[0] <= 60
