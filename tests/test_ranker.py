"""The request path: what a ranking promises, whoever the experts are."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysys.errors import StoreError
from raysys.events import AdUpdate, Interaction, ItemUpdate
from raysys.log import RecordReader, RecordWriter
from raysys.ranker import Ranker
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.state.protocol import Hold, StateStore
from raysys.surfaces.ads import Placement
from raysys.surfaces.order import spreads, valuation, weighed
from raysys.surfaces.settings import Settings
from raysys.types import (
    Boost,
    Candidates,
    Diversify,
    Filter,
    Floats,
    PageContext,
    Pin,
    QueryId,
    Ranking,
    Wording,
)
from tests import fakes
from tests.fakes import NOW_MS, FakeChoice, FakeEncoder, FakeInterest, FakePolicy, ask, ids

ALL = [f"i{n}" for n in range(12)]
WEIGHTS = st.one_of(st.none(), st.floats(0.0, 1.0))


@pytest.fixture
def store() -> Iterator[StateStore]:
    store = MemoryStore()
    yield store
    store.close()


@pytest.fixture
def ranker(store: StateStore) -> Ranker:
    return Ranker(fakes.bundle(), store)


def shown(ranking: Ranking) -> list[str]:
    return [item.item_id for item in ranking.items]


def click(item: str, **who: str) -> Interaction:
    return Interaction(kind="click", item_id=item, time_ms=NOW_MS - 1, **(who or {"user_id": "ann"}))


@given(order=st.permutations(ALL), query=st.text(max_size=6), dial=WEIGHTS)
def test_the_order_of_the_candidates_changes_nothing_but_the_engines_say(
    order: list[str], query: str, dial: float | None
) -> None:
    """The engine's scores travel with the items, so any order of sending is the same question."""
    ranker = Ranker(fakes.bundle(), MemoryStore())
    scores = {item: float(n) for n, item in enumerate(ALL)}
    asked = ask(id=QueryId(query), weight=dial, rules=(Diversify(field="brand", max=2, within=3),))
    rankings = [
        ranker.rank(asked, Candidates(item_ids=ids(*sent), engine_scores=np.array([scores[i] for i in sent])))
        for sent in (ALL, order)
    ]
    assert rankings[0] == rankings[1]


@given(others=st.sets(st.sampled_from(ALL[1:]), max_size=8), text=st.sampled_from(["", "the i3 acme"]))
def test_a_candidates_score_ignores_its_neighbors(others: set[str], text: str) -> None:
    ranker = Ranker(fakes.bundle(), MemoryStore())
    asked = ask(text=text)
    together = ranker.score(asked, Candidates.of(["i0", *sorted(others), "stranger"]))
    alone = ranker.score(asked, Candidates.of(["i0"]))
    assert together[0] == alone[0]


@given(query=st.text(max_size=6), dial=WEIGHTS, explain=st.booleans())
def test_propensities_are_probabilities_and_reasons_add_up(
    query: str, dial: float | None, explain: bool
) -> None:
    boost = Boost(match=(Filter(field="brand", op="eq", value="acme"),), by=0.7, id="summer")
    cap = Diversify(field="category", max=1, within=2)
    asked = ask(id=QueryId(query), weight=dial, explain=explain, rules=(boost, cap), text="the i3")
    ranking = Ranker(fakes.bundle(), MemoryStore()).rank(asked, Candidates.of([*ALL, "stranger"]))
    for item in ranking.items:
        assert 0 < item.propensity <= 1
        if explain:
            assert sum(r.value for r in item.reasons) == pytest.approx(item.score, abs=1e-6)


@given(sent=st.permutations(ALL), scored=st.booleans(), query=st.text(max_size=6))
def test_dial_zero_is_exactly_the_engines_order(sent: list[str], scored: bool, query: str) -> None:
    ranker = Ranker(fakes.bundle(), MemoryStore())
    scores = np.arange(12.0) if scored else None
    rules = (Boost(match=(), by=5.0), Diversify(field="brand", max=1, within=12))
    asked = ask(id=QueryId(query), weight=0.0, length=12, rules=rules)
    ranking = ranker.rank(asked, Candidates(item_ids=ids(*sent), engine_scores=scores))
    assert shown(ranking) == (sent[::-1] if scored else sent)
    assert not ranking.explored
    assert {item.propensity for item in ranking.items} == {1.0}


def test_at_dial_zero_filters_and_pins_still_hold(ranker: Ranker) -> None:
    acme = Filter(field="brand", op="eq", value="acme")
    asked = ask(weight=0.0, filters=(acme,), rules=(Pin(item_id=ids("i8")[0], position=0),))
    ranking = ranker.rank(asked, Candidates.of(ALL))
    assert shown(ranking) == ["i8", "i0", "i2", "i4", "i6", "i10"]
    assert ranking.items[0].forced


def test_at_dial_one_the_engine_has_no_say(store: StateStore) -> None:
    ranker = Ranker(fakes.bundle(policy=FakePolicy(temperature=0.0)), store)
    forth, back = (
        ranker.rank(ask(weight=1.0), Candidates.of(sent)).items for sent in (ALL, list(reversed(ALL)))
    )
    assert forth == back


def test_at_dial_one_a_measured_spread_gives_utilities_of_unit_spread(store: StateStore) -> None:
    standard = np.random.default_rng(0).normal(0, 3, (500, len(SIGNALS))).astype(np.float32)
    policy = FakePolicy({"engine": 9.0, "interest": 2.0, "margin": 1.0})
    settings = Settings(spread=spreads(policy.weights, standard))
    choice = FakeChoice(1, 0.5, policy.weights[1])
    value = valuation(ask(weight=1.0), choice, 0.2, settings)
    assert np.std(weighed(standard, value.weights)) == pytest.approx(1.0)


@given(cut=st.integers(1, 11), query=st.text(max_size=6))
def test_pages_are_slices_of_one_ranking(cut: int, query: str) -> None:
    ranker = Ranker(fakes.bundle(), MemoryStore())
    cap = Diversify(field="brand", max=2, within=3)
    asked = {"id": QueryId(query), "rules": (cap,)}
    whole = ranker.rank(ask(length=12, **asked), Candidates.of(ALL)).items
    first = ranker.rank(ask(length=cut, **asked), Candidates.of(ALL)).items
    second = ranker.rank(ask(length=12 - cut, offset=cut, **asked), Candidates.of(ALL)).items
    assert (*first, *second) == whole


def test_a_retry_on_another_replica_gives_the_same_ranking(ranker: Ranker) -> None:
    other = Ranker(fakes.bundle(), MemoryStore())
    assert ranker.rank(ask(), Candidates.of(ALL)) == other.rank(ask(), Candidates.of(ALL))


def test_an_acknowledged_event_changes_the_very_next_answer(ranker: Ranker, store: StateStore) -> None:
    before = ranker.rank(ask(weight=1.0, length=12), Candidates.of(ALL))
    receipt = store.append([click("i0")], NOW_MS)
    after = ranker.rank(ask(weight=1.0, length=12), Candidates.of(ALL))
    assert after.state_version == receipt.version
    score = {item.item_id: item.score for item in after.items}
    assert score["i0"] > {item.item_id: item.score for item in before.items}["i0"]


def test_a_sold_out_item_is_gone_from_the_very_next_answer(ranker: Ranker, store: StateStore) -> None:
    assert "i3" in shown(ranker.rank(ask(length=12), Candidates.of(ALL)))
    store.append([ItemUpdate(item_id="i3", available=False)], NOW_MS)
    ranking = ranker.rank(ask(length=12), Candidates.of(ALL))
    assert "i3" not in shown(ranking)
    assert ranking.total == 11


def test_a_new_item_is_known_at_once_and_a_new_price_filters(ranker: Ranker, store: StateStore) -> None:
    store.append([fakes.item("fresh", brand="acme"), ItemUpdate(item_id="i1", price_micros=1)], NOW_MS)
    acme = ask(filters=(Filter(field="brand", op="eq", value="acme"),))
    assert "fresh" in shown(ranker.rank(acme, Candidates.of([*ALL, "fresh"])))
    cheap = ask(filters=(Filter(field="price_micros", op="lt", value=1000),))
    assert shown(ranker.rank(cheap, Candidates.of(ALL))) == ["i1"]


def test_many_new_items_are_encoded_behind_the_request(store: StateStore) -> None:
    ranker = Ranker(fakes.bundle(), store)
    store.append([fakes.item(f"new{n}") for n in range(40)], NOW_MS)
    assert "new39" in shown(ranker.rank(ask(length=50), Candidates.of([*ALL, "new39"])))
    for _ in range(200):
        catalog = ranker._live.experts(set()).catalog
        if catalog.text_vectors[-1].any():
            break
        time.sleep(0.01)
    np.testing.assert_allclose(catalog.text_vectors[-1], fakes.encode_texts([catalog.text(51)])[0])


class BrokenStore(MemoryStore):
    """Refuses to read."""

    def items_version(self) -> int:
        raise StoreError("disk on fire")

    def live(self, key):  # type: ignore[no-untyped-def]
        raise StoreError("disk on fire")


def test_parts_that_fail_are_named_and_the_answer_goes_on() -> None:
    bundle = fakes.bundle(interest=FakeInterest(broken=True), encoder=FakeEncoder(broken=True))
    ranking = Ranker(bundle, BrokenStore()).rank(ask(text="the i3"), Candidates.of(ALL))
    assert ranking.degraded == ("encoder", "interest", "state")
    assert len(ranking.items) == 10


def test_past_the_deadline_it_is_the_engines_order(ranker: Ranker) -> None:
    ranking = ranker.rank(ask(), Candidates.of(ALL), degraded=("deadline",))
    assert shown(ranking) == ALL[:10]
    assert (ranking.degraded, ranking.explored) == (("deadline",), False)


def test_without_the_policy_the_incumbent_decides(ranker: Ranker) -> None:
    ranking = ranker.rank(ask(), Candidates.of(ALL), degraded=("policy",))
    assert (ranking.profile, ranking.profile_prob, ranking.degraded) == (0, 1.0, ("policy",))


@pytest.mark.parametrize("sent", [[], ["stranger"], ["stranger", "other", "i1", "i1"]])
def test_nothing_unknown_or_repeated_is_an_error(ranker: Ranker, sent: list[str]) -> None:
    ranking = ranker.rank(ask(user_id="nobody", text="what"), Candidates.of(sent))
    assert sorted(shown(ranking)) == sorted(set(sent))
    assert ranking.degraded == ()


def test_a_held_back_item_names_the_rule(store: StateStore) -> None:
    ranker = Ranker(fakes.bundle(policy=FakePolicy({"engine": 1.0}, temperature=0.0)), store)
    cap = Diversify(field="category", max=1, within=3, id="variety")
    sent = Candidates.of(["i0", "i3", "i1", "i2"])
    ranking = ranker.rank(ask(rules=(cap,), explain=True), sent)
    assert shown(ranking) == ["i0", "i1", "i2", "i3"]
    assert [r.text for r in ranking.items[3].reasons if r.signal == "rule:variety"] == [
        "held back by the rule 'variety': at most 1 of one category in 3 consecutive positions"
    ]
    assert "the host placed it at position 2" in ranking.items[3].reasons[0].text


def test_standing_rules_of_a_surface_hold_for_every_query(store: StateStore) -> None:
    table = {"search": {"rules": [{"kind": "pin", "item_id": "i9", "position": 0}]}}
    ranker = Ranker(fakes.bundle(settings=Settings.parse(table)), store)
    assert shown(ranker.rank(ask(), Candidates.of(ALL)))[0] == "i9"


def test_a_feed_needs_no_candidates_and_no_history(ranker: Ranker, store: StateStore) -> None:
    assert len(ranker.feed(ask("feed", user_id="nobody")).items) == 10
    store.append([Interaction(kind="hide", item_id="i5", time_ms=NOW_MS, user_id="ann")], NOW_MS)
    assert "i5" not in shown(ranker.feed(ask("feed", length=20)))


def test_similar_items_leave_the_item_itself_out(ranker: Ranker) -> None:
    asked = ask("feed", context=PageContext(item_id=ids("i5")[0]), weight=0.0, length=4)
    assert shown(ranker.similar(asked)) == ["i4", "i6", "i3", "i7"]


def test_items_like_an_unknown_one_are_what_everybody_likes(ranker: Ranker) -> None:
    asked = ask("feed", context=PageContext(item_id=ids("stranger")[0]), weight=0.0, length=2)
    assert shown(ranker.similar(asked)) == ["i0", "i1"]


def test_trending_keeps_to_the_category(ranker: Ranker) -> None:
    asked = ask("feed", context=PageContext(category="tools"), weight=0.0)
    assert shown(ranker.trending(asked)) == ["i2", "i5", "i8", "i11"]


def ad(name: str, bid: int, **fields: object) -> AdUpdate:
    plain = {"campaign_id": f"c-{name}", "advertiser_id": "x", "bid_for": "impression"}
    return AdUpdate(ad_id=name, bid_micros=bid, **{**plain, **fields})  # type: ignore[arg-type]


def test_ads_pay_the_least_bid_that_keeps_their_place(store: StateStore) -> None:
    """Equal but for the bid, so each pays what the next one bids, and the last the reserve."""
    table = {"ads": {"reserve_micros": 1_000}}
    ranker = Ranker(fakes.bundle(settings=Settings.parse(table)), store)
    store.append([ad("a", 90_000), ad("b", 50_000), ad("c", 30_000), ad("poor", 900)], NOW_MS)
    decision = ranker.decide(ask("ads"), [Placement("top", 2), Placement("side", 2)])
    top, side = decision.placements
    assert [p.ad_id for p in top.items] == ["a", "b"]
    assert [p.price_micros for p in top.items] == pytest.approx([50_000, 30_000], abs=2)
    assert [(p.ad_id, p.price_micros) for p in side.items] == [("c", 1_000)]
    assert {p.propensity for p in top.items} == {1.0}


def test_a_winner_with_its_price_as_its_bid_still_wins_and_with_less_loses(store: StateStore) -> None:
    rivals = [ad("a", 700_000, bid_for="click", item_id="i3"), ad("b", 40_000, item_id="i9")]
    store.append(rivals, NOW_MS)
    ranker = Ranker(fakes.bundle(), store)
    first = ranker.decide(ask("ads"), [Placement("top")]).placements[0].items[0]
    for change, wins in ((0, True), (-200, False)):
        other = MemoryStore()
        bids = {ad.ad_id: ad.bid_micros for ad in rivals} | {first.ad_id: first.price_micros + change}
        other.append(
            [ad(r.ad_id, bids[r.ad_id], bid_for=r.bid_for, item_id=r.item_id) for r in rivals], NOW_MS
        )
        again = Ranker(fakes.bundle(), other).decide(ask("ads"), [Placement("top")])
        assert (again.placements[0].items[0].ad_id == first.ad_id) is wins


def test_ads_keep_to_time_targeting_and_budget(store: StateStore) -> None:
    store.append(
        [
            ad("late", 90_000, starts_ms=NOW_MS + 1),
            ad("over", 90_000, ends_ms=NOW_MS),
            ad("elsewhere", 90_000, targeting={"surfaces": ["search"]}),
            ad("broke", 90_000, budget_micros=10),
            ad("fits", 20_000, targeting={"keywords": ["Milk"]}),
        ],
        NOW_MS,
    )
    decision = Ranker(fakes.bundle(), store).decide(ask("ads", text="fresh milk"), [Placement("top", 3)])
    assert [p.ad_id for p in decision.placements[0].items] == ["fits"]


def test_a_campaign_spends_no_faster_than_its_pace(store: StateStore) -> None:
    """A tenth of the time has gone: 12 % of the budget may be spent, which is one showing at 100."""
    day = {"starts_ms": NOW_MS - 100, "ends_ms": NOW_MS + 900, "budget_micros": 1_000}
    store.append([ad("a", 100, **day)], NOW_MS)
    ranker = Ranker(fakes.bundle(settings=Settings.parse({"ads": {"reserve_micros": 100}})), store)
    shown_now = [
        len(ranker.decide(ask("ads", id=QueryId(q)), [Placement("top")]).placements[0].items) for q in "ab"
    ]
    assert shown_now == [1, 0]
    later = ask("ads", id=QueryId("c"), time_ms=NOW_MS + 100)
    assert len(ranker.decide(later, [Placement("top")]).placements[0].items) == 1


def test_a_decision_explains_itself(store: StateStore) -> None:
    store.append([ad("a", 90_000, item_id="i3")], NOW_MS)
    decision = Ranker(fakes.bundle(), store).decide(ask("ads", explain=True), [Placement("top")])
    assert "an advertiser's showing worth 0.09" in " ".join(
        reason.text for reason in decision.placements[0].items[0].reasons
    )


def test_documents_are_scored_by_themselves_between_zero_and_one(ranker: Ranker) -> None:
    def scores(*texts: str) -> Floats:
        sent = Candidates(item_ids=ids(*[""] * len(texts)), texts=dict(enumerate(map(Wording, texts))))
        return ranker.score(ask(text="the i3"), sent)

    found = scores("the i3", "something else", "the i3")
    assert found[0] == found[2] > found[1] > 0
    np.testing.assert_array_equal(found[1:2], scores("something else"))


def test_a_filtered_document_scores_zero(ranker: Ranker) -> None:
    acme = ask(filters=(Filter(field="brand", op="eq", value="acme"),))
    scores = ranker.score(acme, Candidates.of(["i0", "i1"]))
    assert scores[0] > 0
    assert scores[1] == 0


def test_every_ranking_is_recorded_as_it_was_served(tmp_path: Path, store: StateStore) -> None:
    writer = RecordWriter(tmp_path)
    ranking = Ranker(fakes.bundle(), store, writer).rank(ask(), Candidates.of(ALL))
    writer.close()
    (record,) = list(RecordReader(tmp_path))
    assert [record.item_ids[place] for place in record.order] == shown(ranking)
    np.testing.assert_array_equal(record.propensities, [item.propensity for item in ranking.items])
    assert record.signals.shape[0] == 12


def test_a_decision_is_recorded_too(tmp_path: Path, store: StateStore) -> None:
    store.append([ad("a", 90_000), ad("b", 50_000)], NOW_MS)
    writer = RecordWriter(tmp_path)
    Ranker(fakes.bundle(), store, writer).decide(ask("ads"), [Placement("top")])
    writer.close()
    (record,) = list(RecordReader(tmp_path))
    assert (record.surface, record.item_ids, record.order.tolist()) == ("ads", ("a", "b"), [0])


def test_without_the_store_nothing_is_sold(store: StateStore) -> None:
    class Frozen(MemoryStore):
        def hold(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
            raise StoreError("disk full")

    frozen = Frozen()
    frozen.append([ad("a", 90_000)], NOW_MS)
    decision = Ranker(fakes.bundle(), frozen).decide(ask("ads"), [Placement("top")])
    assert decision.placements[0].items == ()
    assert decision.degraded == ("state",)


def test_a_campaigns_item_joins_the_feed(store: StateStore) -> None:
    """The interest model proposes nothing here, so that only the ad can bring i7 in."""
    table = {"feed": {"retrieve": 0, "trending": 3, "own": 0}}
    ranker = Ranker(fakes.bundle(settings=Settings.parse(table)), store)
    assert sorted(shown(ranker.feed(ask("feed")))) == ["i0", "i1", "i2"]
    store.append([ad("a", 90_000, item_id="i7", targeting={"surfaces": ["feed"]})], NOW_MS)
    ranking = ranker.feed(ask("feed", explain=True))
    reasons = {item.item_id: {r.signal for r in item.reasons} for item in ranking.items}
    assert {item for item, signals in reasons.items() if "ad_value" in signals} == {"i7"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(text=st.text(max_size=12))
def test_any_text_is_answered(ranker: Ranker, text: str) -> None:
    assert len(ranker.rank(ask(text=text), Candidates.of(ALL)).items) == 10


def test_many_threads_may_ask_while_items_change(store: StateStore) -> None:
    ranker = Ranker(fakes.bundle(), store)

    def ask_often(thread: int) -> int:
        answers = [
            ranker.rank(ask(id=QueryId(f"{thread}/{n}"), length=99), Candidates.of([*ALL, f"new{n}"]))
            for n in range(40)
        ]
        return sum(len(answer.items) for answer in answers)

    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(ask_often, thread) for thread in range(4)]
        for n in range(40):
            store.append([fakes.item(f"new{n}"), click(f"new{n}")], NOW_MS)
        assert [count.result() for count in counts] == [40 * 13] * 4
