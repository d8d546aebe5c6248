"""Tests shared by all state stores."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raysys.events import (
    KINDS,
    AdUpdate,
    Event,
    Forget,
    Impression,
    Interaction,
    ItemUpdate,
    Kind,
    UserUpdate,
)
from raysys.state.holds import UNMATCHED
from raysys.state.protocol import HISTORY, OWN_ITEMS, Hold, StateStore
from raysys.types import DAY_MS, Key

ANN, SESSION = Key("u:ann"), Key("s:tab")
SHARED_STORE = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
"""One store for all examples is meant: what came before must not matter."""
TIMES = st.integers(0, 4 * DAY_MS)
WHO: dict[str, Any] = {
    "user_id": st.sampled_from([None, "ann", "bob"]),
    "session_id": st.sampled_from([None, "tab", "tap"]),
}
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Interaction, kind=st.sampled_from(KINDS), item_id=st.sampled_from("abc"), time_ms=TIMES, **WHO),
    st.builds(
        Impression,
        query_id=st.sampled_from("pq"),
        surface=st.sampled_from(["search", "ads"]),
        item_ids=st.lists(st.sampled_from("abc"), max_size=3, unique=True),
        query=st.sampled_from(["", "milk"]),
        time_ms=TIMES,
        **WHO,
    ),
    st.builds(
        UserUpdate,
        user_id=st.sampled_from(["ann", "bob"]),
        consent=st.sampled_from([None, True, False]),
        attributes=st.sampled_from([None, {"town": "Oslo"}, {"town": None}]),
    ),
    st.builds(Forget, user_id=st.sampled_from(["ann", "bob"])),
)


def deed(item: str, time_ms: int, kind: Kind = "purchase", **who: str) -> Interaction:
    return Interaction(kind=kind, item_id=item, time_ms=time_ms, **(who or {"user_id": "ann"}))


class StateStoreContract(ABC):
    """A store inherits this and says how it is opened."""

    @abstractmethod
    def make(self, folder: Path) -> StateStore: ...

    @pytest.fixture
    def store(self, tmp_path: Path):  # type: ignore[no-untyped-def]
        store = self.make(tmp_path)
        yield store
        store.close()

    def test_an_acknowledged_event_is_in_the_very_next_read(self, store: StateStore) -> None:
        for n in range(50):
            receipt = store.append([deed(f"i{n}", n)], now_ms=n)
            state = store.live(ANN)
            assert state is not None
            assert state.history_items[-1] == f"i{n}"
            assert state.version == receipt.version

    def test_sending_an_event_twice_changes_nothing(self, store: StateStore) -> None:
        store.append([deed("a", 1)], 1)
        before = store.live(ANN)
        receipt = store.append([deed("a", 1), deed("a", 1)], 2)
        assert (receipt.accepted, receipt.duplicates) == (0, 2)
        assert store.live(ANN) == before

    def test_training_sees_nothing_from_the_moment_itself(self, store: StateStore) -> None:
        store.append([deed("a", 1), deed("b", 2)], 3)
        state = store.as_of(ANN, 2)
        assert state is not None
        assert state.history_items == ("a",)

    def test_the_live_state_is_the_state_as_of_the_end(self, store: StateStore) -> None:
        events: list[Event] = [
            deed(f"i{n % 7}", n * DAY_MS // 3, "purchase" if n % 3 else "click") for n in range(40)
        ]
        store.append(events, 1)
        assert store.live(ANN) == store.as_of(ANN, 10**15)

    def test_the_first_event_with_both_ids_links_the_session_to_the_user(self, store: StateStore) -> None:
        store.append([deed("a", 1, session_id="tab")], 1)
        store.append([deed("b", 2)], 2)
        store.append([deed("c", 3, user_id="ann", session_id="tab")], 3)
        store.append([deed("d", 4, session_id="tab")], 4)
        state = store.live(ANN)
        assert state is not None
        assert state.history_items == ("a", "b", "c", "d")
        assert store.live(SESSION) == state

    def test_nothing_is_kept_of_nobody(self, store: StateStore) -> None:
        store.append([Interaction(kind="click", item_id="a", time_ms=1)], 1)
        assert list(store.events()) == []
        assert store.live(None) is None

    def test_without_consent_nothing_is_read_or_written(self, store: StateStore) -> None:
        store.append([deed("a", 1)], 1)
        store.append([UserUpdate(user_id="ann", consent=False), deed("b", 2)], 2)
        assert store.live(ANN) is None
        assert store.as_of(ANN, 10) is None
        store.append([UserUpdate(user_id="ann", consent=True), deed("c", 3)], 3)
        state = store.live(ANN)
        assert state is not None
        assert state.history_items == ("a", "c")

    @pytest.mark.parametrize("by_event", [True, False])
    def test_forgetting_leaves_no_trace_and_says_what_went(self, store: StateStore, by_event: bool) -> None:
        store.append([deed("a", 1, user_id="ann", session_id="tab"), deed("b", 1, user_id="bob")], 1)
        if by_event:
            store.append([Forget(user_id="ann")], 2)
        else:
            assert store.forget("ann", 2) == {"events": 1, "states": 1, "sessions": 1}
        assert store.live(ANN) is None
        assert store.live(SESSION) is None
        assert store.known("ann")["events"] == []
        assert len(list(store.events())) == 1

    def test_what_is_known_of_a_user_can_be_shown(self, store: StateStore) -> None:
        store.append([deed("a", 1)], 1)
        known = store.known("ann")
        assert known["events"][0]["item_id"] == "a"
        assert list(known["state"]["own_items"]) == ["a"]

    def test_two_receipts_of_one_day_are_one_purchase(self, store: StateStore) -> None:
        store.append([deed("a", 1), deed("a", 2), deed("a", DAY_MS + 1)], 1)
        state = store.live(ANN)
        assert state is not None
        assert state.own_bought == (2,)
        assert state.own_slow[0] == pytest.approx(1 + 0.5 ** (1 / 112))

    def test_a_state_stays_bounded(self, store: StateStore) -> None:
        store.append([deed(f"i{n}", n) for n in range(OWN_ITEMS + 50)], 1)
        state = store.live(ANN)
        assert state is not None
        assert len(state.history_items) == HISTORY
        assert len(state.own_items) == OWN_ITEMS
        assert state.own_items[-1] == f"i{OWN_ITEMS + 49}"

    def test_showings_of_an_ad_are_counted_by_day(self, store: StateStore) -> None:
        def shown(time_ms: int) -> Impression:
            return Impression(
                query_id=f"q{time_ms}", surface="ads", item_ids=["ad"], time_ms=time_ms, user_id="ann"
            )

        store.append([shown(1), shown(2)], 1)
        state = store.live(ANN)
        assert state is not None
        assert state.ads == {"ad": (0, 2)}
        store.append([shown(DAY_MS)], 1)
        state = store.live(ANN)
        assert state is not None
        assert state.ads == {"ad": (1, 1)}

    def test_item_fields_given_replace_and_fields_absent_stay(self, store: StateStore) -> None:
        store.append([ItemUpdate(item_id="i", title="milk"), ItemUpdate(item_id="j", title="tea")], 1)
        version = store.items_version()
        store.append([ItemUpdate(item_id="i", price_micros=5)], 2)
        assert store.items_version() > version
        (changed,) = store.items_since(version)
        assert (changed.item_id, changed.title, changed.price_micros) == ("i", "milk", 5)
        assert [item.item_id for item in store.items_since(0)] == ["i", "j"]

    def test_the_latest_event_of_an_ad_counts(self, store: StateStore) -> None:
        ad = {"ad_id": "x", "campaign_id": "c", "advertiser_id": "v", "bid_for": "click"}
        store.append([AdUpdate(bid_micros=1, **ad), AdUpdate(bid_micros=2, **ad)], 1)
        assert store.ads()["x"].bid_micros == 2

    def test_a_counter_never_passes_its_limit(self, store: StateStore) -> None:
        assert store.add("spend", 3, limit=5) == 3
        assert store.add("spend", 3, limit=5) is None
        assert store.add("spend", -1) == 2
        assert store.counters(["spend", "other"]) == [2, 0]

    def test_a_hold_ends_once_settled_lapsed_or_given_back(self, store: StateStore) -> None:
        def hold(query: str, micros: int, until_ms: int) -> int | None:
            asked = Hold(
                query_id=query, ad_id="a", account="spend", micros=micros, bid_for="click",
                until_ms=until_ms, limit=10,
            )  # fmt: skip
            return store.hold([asked], now_ms=until_ms - 10)[0]

        def click(query: str, time_ms: int) -> Interaction:
            return Interaction(kind="click", item_id="i", ad_id="a", query_id=query, time_ms=time_ms)

        assert [hold("settled", 4, 20), hold("lapsed", 5, 20), hold("none", 2, 20)] == [4, 5, None]
        assert hold("settled", 9, 20) == 4
        assert store.append([click("settled", 20)], 20).unmatched == 0
        assert store.append([click("lapsed", 21), click("never", 21)], 21).unmatched == 2
        assert store.held(["spend", "other"], 20) == [9, 0]
        assert store.held(["spend", "other"], 21) == [4, 0]
        assert hold("given back", 6, 40) == 6
        assert store.counters(["spend", UNMATCHED]) == [10, 2]
        assert [store.release("given back", ["a", "b"]), store.release("settled", ["a"])] == [6, 0]
        assert store.held(["spend"], 99) == [4]

    def test_deciding_is_no_showing_and_another_surface_shows_no_ad(self, store: StateStore) -> None:
        ad = AdUpdate(ad_id="a", campaign_id="c", advertiser_id="v", bid_micros=1, bid_for="impression")
        asked = Hold(query_id="q", ad_id="a", account="spend", micros=1, bid_for="impression", until_ms=9)
        store.append([ad, deed("b", 1)], 1)
        store.hold([asked], 1)
        shown = {"query_id": "q", "item_ids": ["a"], "time_ms": 2, "user_id": "ann"}
        store.append([Impression(surface="search", **shown)], 2)  # type: ignore[arg-type]
        state = store.live(ANN)
        assert state is not None
        assert (state.ads, store.held(["spend"], 99)) == ({}, [0])
        store.append([Impression(surface="ads", **shown)], 2)  # type: ignore[arg-type]
        state = store.live(ANN)
        assert state is not None
        assert (state.ads, store.held(["spend"], 99)) == ({"a": (0, 1)}, [1])

    def test_who_was_forgotten_does_not_come_back_with_a_late_copy(self, store: StateStore) -> None:
        old = [deed("a", 1, user_id="ann", session_id="tab"), deed("b", 2, session_id="tab")]
        store.append(old, 2)
        store.forget("ann", 5)
        store.append(old, 6)
        assert store.known("ann")["sessions"] == []
        assert store.live(ANN) is None
        assert store.live(SESSION) is None
        store.append([deed("c", 7)], 7)
        state = store.live(ANN)
        assert state is not None
        assert state.history_items == ("c",)

    def test_a_refusal_outlives_being_forgotten_and_its_own_repetition(self, store: StateStore) -> None:
        no = UserUpdate(user_id="ann", consent=False, event_id="no")
        store.append([no], 1)
        store.forget("ann", 2)
        store.append([deed("a", 3)], 3)
        assert store.live(ANN) is None
        assert not store.known("ann")["consent"]
        store.append([no, UserUpdate(user_id="ann", consent=True), deed("b", 4)], 4)
        store.append([UserUpdate(user_id="ann", consent=True, event_id="yes"), deed("c", 5)], 5)
        state = store.live(ANN)
        assert state is not None
        assert state.history_items == ("b", "c")

    def test_training_reads_nothing_of_who_refused(self, store: StateStore) -> None:
        refusal = UserUpdate(user_id="ann", consent=False, attributes={"town": "Oslo"})
        store.append([deed("a", 1), deed("b", 1, user_id="bob"), refusal], 2)
        assert [event.user_id for _, event in store.events()] == ["bob"]  # type: ignore[union-attr]
        assert "Oslo" not in str(store.known("ann"))

    def test_the_session_of_who_refused_is_not_kept_either(self, store: StateStore) -> None:
        store.append([deed("a", 1, session_id="tab"), UserUpdate(user_id="ann", consent=False)], 1)
        store.append([deed("b", 2, user_id="ann", session_id="tab"), deed("c", 3, session_id="tab")], 3)
        assert store.live(SESSION) is None
        assert list(store.events()) == []
        assert [e for e in store.known("ann")["events"] if e["type"] != "user"] == []

    def test_a_repeated_event_links_nothing(self, store: StateStore) -> None:
        store.append([deed("a", 1, session_id="tab", event_id="e")], 1)
        store.append([deed("a", 1, user_id="ann", session_id="tab", event_id="e")], 2)
        assert store.known("ann")["sessions"] == []

    def test_an_items_past_copy_changes_nothing_but_a_new_one_always_counts(self, store: StateStore) -> None:
        for now_ms, price in enumerate([1, 2, 1]):
            store.append([ItemUpdate(item_id="i", title="milk", price_micros=price)], now_ms)
        (item,) = store.items_since(0)
        assert item.price_micros == 1

    @settings(max_examples=25, suppress_health_check=SHARED_STORE, deadline=None)
    @given(batches=st.lists(st.lists(EVENTS, max_size=6), max_size=6))
    def test_live_is_as_of_the_end_whatever_happened(self, store: StateStore, batches: list[Any]) -> None:
        for now_ms, batch in enumerate(batches):
            store.append(batch, now_ms)
        for key in (ANN, Key("u:bob"), SESSION, Key("s:tap")):
            assert store.live(key) == store.as_of(key, 10**15)
