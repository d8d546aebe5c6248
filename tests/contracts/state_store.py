"""Tests shared by all state stores."""

from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from raysys.events import AdUpdate, Event, Forget, Impression, Interaction, ItemUpdate, Kind, UserUpdate
from raysys.state.protocol import HISTORY, OWN_ITEMS, StateStore
from raysys.types import DAY_MS, Key

ANN, SESSION = Key("u:ann"), Key("s:tab")


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
        assert store.counter("spend") == 2
