"""A state changes with one event more, and stays bounded whatever is sent."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.events import Event, Impression, Interaction, UserUpdate
from raysys.state.fold import ATTRIBUTE_BYTES, decayed, fold, fold_all
from raysys.state.protocol import State
from raysys.types import DAY_MS
from tests.contracts.state_store import EVENTS, deed

STATE_BYTES = 256_000
"""No state is larger, with item ids of 64 characters."""


def seen(query_id: str, time_ms: int, **more: Any) -> Impression:
    return Impression(
        query_id=query_id, surface="search", item_ids=["a"], time_ms=time_ms, user_id="ann", **more
    )


def folded(*events: Event) -> State:
    state = fold_all(enumerate(events, 1))
    assert state is not None
    return state


@given(events=st.lists(EVENTS, max_size=30))
@settings(max_examples=50, deadline=None)
def test_columns_of_one_thing_have_one_length(events: list[Event]) -> None:
    state = fold_all(enumerate(events, 1)) or State()
    own = {len(getattr(state, name)) for name in State.__struct_fields__ if name.startswith("own_")}
    history = {len(getattr(state, name)) for name in State.__struct_fields__ if name.startswith("history_")}
    assert len(own) == len(history) == 1
    assert len(state.queries) == len(state.query_ms)
    assert len(set(state.own_items)) == len(state.own_items)


@given(events=st.lists(EVENTS, max_size=20))
@settings(max_examples=50, deadline=None)
def test_a_state_survives_its_encoding(events: list[Event]) -> None:
    state = fold_all(enumerate(events, 1)) or State()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State) == state


def test_a_day_with_an_impression_before_the_click_is_still_a_day() -> None:
    state = folded(
        seen("p", 1), deed("a", 2), seen("q", DAY_MS), deed("b", DAY_MS + 1), deed("c", DAY_MS + 2)
    )
    assert state.days == 2


def test_a_session_ends_with_a_pause_of_half_an_hour() -> None:
    minute = 60_000
    state = folded(seen("p", 0), seen("q", 29 * minute), seen("r", 58 * minute))
    assert state.steps == 3
    assert fold(state, seen("s", 89 * minute), 4).steps == 1


def test_a_click_does_not_make_a_purchase_and_a_rating_makes_neither() -> None:
    state = folded(deed("a", 1, "click"), deed("b", 2, "rating"), deed("c", 3, "hide"))
    assert (state.own_items, state.own_bought, state.own_touched) == (("a",), (0,), (1,))
    assert state.hidden == ("c",)
    assert len(state.history_items) == 3


def test_a_late_event_is_decayed_as_if_it_had_come_in_time() -> None:
    in_time = folded(deed("a", 0), deed("a", 14 * DAY_MS))
    late = folded(deed("a", 14 * DAY_MS), deed("a", 0))
    assert in_time.own_fast == late.own_fast == (1.5,)
    assert decayed(1.0, 0, 112 * DAY_MS, 112.0) == 0.5


def test_the_largest_state_is_bounded_in_bytes() -> None:
    ids = [f"{n:064d}" for n in range(1_200)]
    events: list[Event] = [deed(item, n * DAY_MS) for n, item in enumerate(ids)]
    events += [deed(item, n, "hide") for n, item in enumerate(ids[:400])]
    events += [seen(f"q{n}", n, query="long " * 1_000) for n in range(50)]
    events += [
        Impression(query_id=f"a{n}", surface="ads", item_ids=ids[n::200], time_ms=n, user_id="ann")
        for n in range(200)
    ]
    events += [UserUpdate(user_id="ann", attributes={f"k{n}": "v" * 500}) for n in range(100)]
    state = folded(*events)
    assert len(msgspec.msgpack.encode(state)) < STATE_BYTES
    assert len(msgspec.msgpack.encode(state.attributes)) <= ATTRIBUTE_BYTES + 16
    assert state.attributes["k99"] == "v" * 500


def test_a_null_attribute_is_deleted() -> None:
    state = folded(
        UserUpdate(user_id="ann", attributes={"town": "Oslo", "age": 3}),
        UserUpdate(user_id="ann", attributes={"town": None}),
        Interaction(kind="click", item_id="a", user_id="ann", time_ms=1),
    )
    assert state.attributes == {"age": 3}


def test_a_purchase_that_answers_an_ad_counts_for_the_item_and_for_the_ad() -> None:
    bought = {"kind": "purchase", "item_id": "tea", "user_id": "ann"}
    state = fold(None, Interaction(ad_id="a", time_ms=DAY_MS, **bought), 1)
    state = fold(state, Interaction(ad_id="a", time_ms=DAY_MS + 1, **bought), 2)
    state = fold(state, Interaction(time_ms=2 * DAY_MS, **bought), 3)
    assert dict(zip(state.own_items, state.own_bought, strict=True)) == {"ad:a": 1, "tea": 2}
    assert state.history_items == ("tea", "tea", "tea")
