"""One event more: how a state changes, as a pure function (event sourcing)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from raysys.events import KINDS, Event, Forget, Impression, Interaction, ItemUpdate, Kind, UserUpdate
from raysys.state.protocol import FAST_DAYS, HISTORY, OWN_ITEMS, QUERIES, RESPONDED, SLOW_DAYS, State
from raysys.types import DAY_MS

KIND_WEIGHTS: Mapping[Kind, float] = {
    "view": 0.1,
    "click": 0.2,
    "dwell": 0.2,
    "cart": 0.5,
    "purchase": 1.0,
    "conversion": 1.0,
    "rating": 0.0,
    "hide": 0.0,
}
"""How much one interaction of a kind counts in the decayed sums of an own item."""
ACQUIRED: frozenset[Kind] = frozenset({"purchase", "conversion"})
PAUSE_MS = 30 * 60_000
"""A session ends with a pause this long."""
HIDDEN = 256
ADS = 128
QUERY_CHARS = 256
ATTRIBUTE_BYTES = 4096
"""Bounds of what else a state holds; the oldest entries go first."""


class _Own(NamedTuple):
    """One row of the own-item columns."""

    bought: int
    touched: int
    slow: float
    fast: float
    first_ms: int
    last_ms: int
    bought_ms: int


def fold(state: State | None, event: Event, version: int) -> State:
    """The state after one more event of its key; late events count in order of arrival."""
    state = state or State()
    match event:
        case Impression():
            changes = _impression(state, event)
        case Interaction():
            changes = _interaction(state, event)
        case UserUpdate():
            changes = {"attributes": _attributes(state.attributes, event.attributes or {})}
        case _:
            changes = {}
    return msgspec.structs.replace(state, version=version, **changes)


def fold_all(events: Iterable[tuple[int, Event]]) -> State | None:
    """The state from (sequence number, event) pairs of one key; None if there are none."""
    state: State | None = None
    for version, event in events:
        state = None if isinstance(event, Forget) else fold(state, event, version)
    return state


def merged_item(old: ItemUpdate, new: ItemUpdate) -> ItemUpdate:
    """What is known of an item after `new`: fields given replace, fields absent stay."""
    given = {name: value for name, value in msgspec.structs.asdict(new).items() if value is not None}
    return msgspec.structs.replace(old, **given)


def decayed(value: float, from_ms: int, to_ms: int, half_life_days: float) -> float:
    """A decayed sum that stood at `value` at `from_ms`, as of `to_ms`."""
    days = max(to_ms - from_ms, 0) / DAY_MS
    return float(value * 0.5 ** (days / half_life_days))


def _impression(state: State, event: Impression) -> dict[str, Any]:
    resting = event.time_ms - max(state.last_ms, state.query_ms[-1] if state.query_ms else 0)
    changes: dict[str, Any] = {"steps": 1 if resting > PAUSE_MS else state.steps + 1}
    if event.query:
        changes["queries"] = (*state.queries, event.query[:QUERY_CHARS])[-QUERIES:]
        changes["query_ms"] = (*state.query_ms, event.time_ms)[-QUERIES:]
        changes["query_deeds"] = (*state.query_deeds, state.deeds)[-QUERIES:]
    if event.surface == "ads":
        changes["ads"] = _showings(state.ads, event)
    changes["last_ms"] = max(state.last_ms, event.time_ms)
    changes["first_ms"] = state.first_ms or event.time_ms
    return changes


def _attributes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes given replace, a null deletes; the least recently given go when there are too many."""
    merged = {name: value for name, value in old.items() if name not in new}
    merged |= {name: value for name, value in new.items() if value is not None}
    room, kept = ATTRIBUTE_BYTES, dict[str, Any]()
    for name in reversed(merged):
        room -= len(msgspec.msgpack.encode((name, merged[name])))
        if room < 0:
            break
        kept[name] = merged[name]
    return dict(reversed(kept.items()))


def _showings(ads: Mapping[str, tuple[int, int]], event: Impression) -> dict[str, tuple[int, int]]:
    day = event.time_ms // DAY_MS
    shown = dict(ads)
    for ad_id in event.item_ids:
        last_day, count = shown.pop(ad_id, (day, 0))
        shown[ad_id] = (day, count + 1 if last_day == day else 1)
    return dict(list(shown.items())[-ADS:])


def _interaction(state: State, event: Interaction) -> dict[str, Any]:
    new_day = event.time_ms // DAY_MS > max(state.history_ms, default=-1) // DAY_MS
    changes: dict[str, Any] = {
        "first_ms": state.first_ms or event.time_ms,
        "last_ms": max(state.last_ms, event.time_ms),
        "days": state.days + new_day,
        "deeds": state.deeds + 1,
        "history_items": (*state.history_items, event.item_id)[-HISTORY:],
        "history_kinds": (*state.history_kinds, KINDS.index(event.kind))[-HISTORY:],
        "history_ms": (*state.history_ms, event.time_ms)[-HISTORY:],
    }
    if event.kind == "hide":
        changes["hidden"] = (*(i for i in state.hidden if i != event.item_id), event.item_id)[-HIDDEN:]
        return changes
    if event.kind == "rating" and event.value is not None:
        changes |= {"rated": state.rated + 1, "stars": state.stars + event.value}
    if not KIND_WEIGHTS[event.kind]:
        return changes  # a rating may be praise or blame: it stays in the history, uncounted
    changes |= _own_columns(state, event)
    answer = f"{RESPONDED}{event.ad_id}"
    if event.ad_id and event.kind in ACQUIRED and event.item_id != answer:
        after = msgspec.structs.replace(state, **changes)
        changes |= _own_columns(after, msgspec.structs.replace(event, item_id=answer))
    return changes


def _own_columns(state: State, event: Interaction) -> dict[str, Any]:
    """The own-item columns with this item's row renewed and moved to the end."""
    columns = (
        state.own_bought,
        state.own_touched,
        state.own_slow,
        state.own_fast,
        state.own_first_ms,
        state.own_last_ms,
        state.own_bought_ms,
    )
    items = state.own_items
    old: _Own | None = None
    if event.item_id in items:
        at = items.index(event.item_id)
        old = _Own._make(column[at] for column in columns)
        items = items[:at] + items[at + 1 :]
        columns = tuple(column[:at] + column[at + 1 :] for column in columns)  # type: ignore[assignment]
    row = _renewed(old, event)
    keep = slice(-OWN_ITEMS, None)
    names = ("bought", "touched", "slow", "fast", "first_ms", "last_ms", "bought_ms")
    renewed = {
        f"own_{name}": (*column, value)[keep] for name, column, value in zip(names, columns, row, strict=True)
    }
    return renewed | {"own_items": (*items, event.item_id)[keep]}


def _renewed(old: _Own | None, event: Interaction) -> _Own:
    now, weight = event.time_ms, KIND_WEIGHTS[event.kind]
    acquired = event.kind in ACQUIRED
    if old is None:
        return _Own(int(acquired), int(not acquired), weight, weight, now, now, now if acquired else 0)
    day = now // DAY_MS
    again = acquired and old.bought > 0 and old.bought_ms // DAY_MS == day
    weight = 0.0 if again else weight  # two receipts of one day are one purchase
    last = max(old.last_ms, now)
    return _Own(
        bought=old.bought + (acquired and not again),
        touched=old.touched + (not acquired and old.last_ms // DAY_MS != day),
        slow=decayed(old.slow, old.last_ms, last, SLOW_DAYS) + decayed(weight, now, last, SLOW_DAYS),
        fast=decayed(old.fast, old.last_ms, last, FAST_DAYS) + decayed(weight, now, last, FAST_DAYS),
        first_ms=min(old.first_ms, now),
        last_ms=last,
        bought_ms=max(old.bought_ms, now) if acquired else old.bought_ms,
    )
