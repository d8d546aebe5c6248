"""Every line of bad_input.jsonl, sent to every route it names: a clear 4xx or a named tolerance, never a 5xx.

A line has a method, paths, the status that is expected, the field that the answer must name,
and a body: `text`, `json`, `hex`, `repeat` so many `times`, or `many` of one thing `within` a field.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.app import asgi_app
from deployments.live import LiveBundle
from raysys.state.sqlite import SqliteStore

LINES = [json.loads(line) for line in (Path(__file__).parent / "bad_input.jsonl").read_text().splitlines()]
PAGES = {
    "/rank": {"candidates": [{"item_id": "item00001"}, {"item_id": "a"}], "user_id": "ann"},
    "/feed": {"user_id": "ann"},
    "/feed/similar": {"item_id": "a"},
    "/ads/decide": {"placements": [{"placement_id": "top"}], "user_id": "ann"},
}


def body_of(line: dict[str, Any]) -> bytes:
    if "hex" in line:
        return bytes.fromhex(line["hex"])
    if "repeat" in line:
        return bytes(line["repeat"] * line["times"], "utf-8")
    if "many" in line:
        return json.dumps({**line.get("json", {}), line["within"]: [line["many"]] * line["times"]}).encode()
    return json.dumps(line["json"]).encode() if "json" in line else line["text"].encode()


class Door:
    """A service over a SQLite file, and what was kept of what came in."""

    def __init__(self, bundle: Path, file: Path) -> None:
        self.store = SqliteStore(file)
        live = LiveBundle(self.store, None)
        live.load_first(bundle)
        self._app = asgi_app(live, self.store, budget_ms=60_000)
        self._loop = asyncio.new_event_loop()
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=True)  # type: ignore[arg-type]
        self._client = httpx.AsyncClient(transport=transport, base_url="http://raysys")

    def send(self, method: str, path: str, body: bytes) -> httpx.Response:
        return self._loop.run_until_complete(self._client.request(method, path, content=body))

    def kept(self) -> list[tuple[int, Any]]:
        return list(self.store.events())

    def pages(self) -> set[int]:
        """What ordinary pages are answered with."""
        return {
            self.send("POST", path, json.dumps(body).encode()).status_code for path, body in PAGES.items()
        }


@pytest.fixture(scope="module")
def door(bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(bundles[0], tmp_path_factory.mktemp("door") / "state.db")
    yield door
    door.store.close()


@pytest.mark.parametrize("line", LINES, ids=[f"{n}: {line['why']}" for n, line in enumerate(LINES, 1)])
def test_bad_input_is_named_and_nothing_of_it_is_kept(door: Door, line: dict[str, Any]) -> None:
    body, before = body_of(line), door.kept()
    for path in line["paths"]:
        response = door.send(line["method"], path, body)
        assert response.status_code == line["status"], f"{path}: {response.text[:300]}"
        if line["status"] >= 400:
            told = response.json()
            error = told.get("error") or (told.get("rejected") or [told])[0]
            assert error["message"]
            if "field" in line:
                assert error["field"] == line["field"], f"{path}: {error}"
    assert door.kept() == before


ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**63) - 1, 2**63, 2**64, 0, -1, 10_001])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
WHOLE: dict[str, dict[str, Any]] = {
    "/rank": {
        "candidates": [{"item_id": "a", "engine_score": 1.0, "text": "tea", "attributes": {"x": 1}}],
        "query": "tea",
        "user_id": "ann",
        "length": 5,
        "offset": 0,
        "weight": 0.5,
        "filters": [{"field": "x", "op": "lt", "value": 3}, {"field": "brand", "op": "in", "value": ["a"]}],
        "rules": [
            {"kind": "boost", "match": [{"field": "x", "op": "eq", "value": 1}], "by": 1.0},
            {"kind": "pin", "item_id": "a", "position": 0},
            {"kind": "diversify", "field": "x", "max": 1, "within": 2},
        ],
        "context": {"page": "p", "category": "c", "item_id": "a"},
        "explain": True,
        "time_ms": 1_700_000_000_000,
    },
    "/feed": {
        "user_id": "ann",
        "context": {"category": "shop", "query": "tea"},
        "length": 3,
        "channel": "app",
    },
    "/feed/similar": {"item_id": "item00001", "length": 3},
    "/feed/trending": {"category": "shop/tea"},
    "/ads/decide": {"placements": [{"placement_id": "top", "length": 2}], "context": {"query": "tea"}},
    "/v2/rerank": {"query": "tea", "documents": ["green tea", {"text": "rum"}], "top_n": 1},
}
EVENTS: list[dict[str, Any]] = [
    {"type": "interaction", "kind": "purchase", "item_id": "a", "user_id": "ann", "time_ms": 9, "value": 1.5},
    {
        "type": "impression",
        "query_id": "q",
        "surface": "ads",
        "item_ids": ["a"],
        "user_id": "ann",
        "time_ms": 9,
    }
    | {"positions": [0], "propensities": [0.5], "query": "tea", "session_id": "s"},
    {"type": "item", "item_id": "a", "title": "tea", "category": "shop/tea", "brand": "elm", "margin": 0.2}
    | {"price_micros": 5, "attributes": {"x": 1}, "available": True, "image_embedding": [0.5]},
    {
        "type": "ad",
        "ad_id": "a",
        "campaign_id": "c",
        "advertiser_id": "v",
        "bid_micros": 5,
        "bid_for": "click",
    }
    | {"item_id": "a", "budget_micros": 9, "cap": 2, "targeting": {"keywords": ["tea"]}, "starts_ms": 0},
    {"type": "user", "user_id": "ann", "attributes": {"x": 1}, "consent": True},
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside `value`."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from places(below, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = changed(value[at[0]], at[1:], new)
    return copy


@given(data=st.data())
@settings(max_examples=250)
def test_a_question_with_anything_in_any_place_is_never_a_500(door: Door, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(WHOLE)))
    at = data.draw(st.sampled_from(list(places(WHOLE[path]))))
    body = json.dumps(changed(WHOLE[path], at, data.draw(ANY))).encode()
    assert door.send("POST", path, body).status_code in (200, 400), (path, at)


@given(data=st.data())
@settings(max_examples=250)
def test_an_event_with_anything_in_any_place_is_no_500_now_and_none_later(
    door: Door, data: st.DataObject
) -> None:
    event = data.draw(st.sampled_from(EVENTS))
    at = data.draw(st.sampled_from(list(places(event))))
    body = json.dumps(changed(event, at, data.draw(ANY))).encode()
    answer = door.send("POST", "/events", body)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert door.pages() == {200}, body
