"""The HTTP contract, in process: what is asked is answered, and bad input gets a clear error."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.app import asgi_app
from deployments.live import LiveBundle
from deployments.wire import ranking_table
from raysys.log import RecordWriter, read_records
from raysys.state.memory import MemoryStore
from raysys.types import QueryId, Ranking, Understood

NOW = 1_703_000_000_000
CANDIDATES = [{"item_id": f"item{n:05d}"} for n in range(30)]


class Client:
    """Synchronous calls of the ASGI application."""

    def __init__(self, live: LiveBundle, store: MemoryStore, keys: Sequence[str] = ()) -> None:
        self.app, self.live, self.store = asgi_app(live, store, keys), live, store

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
                return await client.request(method, path, **more)

        return asyncio.run(once())

    def post(self, path: str, body: Any) -> httpx.Response:
        return self.call("POST", path, json=body)


@pytest.fixture
def client(bundles: tuple[Path, Path]) -> Client:
    store = MemoryStore()
    live = LiveBundle(store, None)
    live.load_first(bundles[0])
    return Client(live, store)


def test_a_page_is_ranked_with_reasons_that_add_up(client: Client) -> None:
    answer = client.post("/rank", {"candidates": CANDIDATES, "query": "green tea", "explain": True}).json()
    assert len(answer["items"]) == 20
    assert answer["total"] == 30
    for item in answer["items"]:
        assert sum(reason["value"] for reason in item["reasons"]) == pytest.approx(item["score"], abs=1e-6)


def test_an_explained_answer_tells_how_its_query_was_read() -> None:
    read = Understood(words=("tea",), query_class="head", categories=(("shop/tea", 0.5),))
    ranking = Ranking(
        query_id=QueryId("q"), items=(), profile=0, profile_prob=1.0, explored=False, bundle_id="b",
        policy_id="p", state_version=0, understood=read,
    )  # fmt: skip
    told = ranking_table(ranking, explain=True)["query"]
    assert (told["class"], told["words"], told["brands"]) == ("head", ("tea",), [])
    assert told["categories"] == [{"name": "shop/tea", "prob": 0.5}]
    assert "query" not in ranking_table(replace(ranking, understood=None), explain=True)


def test_pages_are_slices_of_one_ranking(client: Client) -> None:
    def page(offset: int, length: int) -> list[str]:
        asked = {"candidates": CANDIDATES, "query_id": "q", "offset": offset, "length": length}
        return [item["item_id"] for item in client.post("/rank", asked).json()["items"]]

    assert page(0, 10) + page(10, 10) == page(0, 20)


def test_a_dial_of_zero_keeps_the_engines_order(client: Client) -> None:
    asked = [{"item_id": f"item{n:05d}", "engine_score": float(n)} for n in range(10)]
    answer = client.post("/rank", {"candidates": asked, "weight": 0}).json()
    assert [item["item_id"] for item in answer["items"]] == [f"item{n:05d}" for n in reversed(range(10))]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rank", {"candidates": []}),
        ("/rank", {"candidates": [{"item_id": "never seen", "text": "tea"}], "user_id": "nobody"}),
        ("/feed", {}),
        ("/feed", {"user_id": "nobody", "length": 0}),
        ("/feed/similar", {"item_id": "never seen"}),
        ("/feed/trending", {"category": "shop/tea"}),
        ("/ads/decide", {"placements": []}),
        ("/v2/rerank", {"query": "", "documents": [""], "top_n": None, "anything": 1}),
        ("/v2/rerank", {"query": "x", "documents": []}),
    ],
)
def test_the_unknown_and_the_empty_are_answered_and_not_degraded(
    client: Client, path: str, body: Any
) -> None:
    response = client.post(path, body)
    assert response.status_code == 200
    assert response.json().get("degraded", []) == []


@pytest.mark.parametrize(
    "path", ["/rank", "/feed", "/feed/similar", "/feed/trending", "/ads/decide", "/events"]
)
@pytest.mark.parametrize(
    "body", [b"{", b"[1", b"\xff\xfe", b'{"a": NaN}', b"null", b"3", b'"x"', b"[" * 5000]
)
def test_a_malformed_body_is_a_clear_4xx(client: Client, path: str, body: bytes) -> None:
    response = client.call("POST", path, content=body)
    assert response.status_code == 400
    told = response.json()
    assert told.get("rejected") or told["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/rank", {}, "candidates"),
        ("/rank", {"candidates": [{"item_id": "a"}, {"item_id": 3}]}, "candidates[1].item_id"),
        ("/rank", {"candidates": [], "weight": 2}, "weight"),
        ("/rank", {"candidates": [], "wieght": 1}, "wieght"),
        ("/rank", {"candidates": [], "time_ms": 99999999999999}, "time_ms"),
        (
            "/rank",
            {"candidates": [], "filters": [{"field": "brand", "op": "like", "value": 1}]},
            "filters[0].op",
        ),
        ("/feed", {"channel": "fax"}, "channel"),
        ("/feed/similar", {}, "item_id"),
        ("/ads/decide", {"placements": [{"placement_id": "a", "length": 0}]}, "placements[0].length"),
    ],
)
def test_an_error_names_the_field(client: Client, path: str, body: Any, field: str) -> None:
    response = client.post(path, body)
    assert response.status_code == 400
    assert response.json()["error"]["field"] == field


def test_a_body_over_the_limit_is_413_and_an_unknown_route_404_and_a_wrong_method_405(client: Client) -> None:
    assert client.call("POST", "/rank", content=b" " * ((16 << 20) + 1)).status_code == 413
    assert client.post("/nowhere", {}).status_code == 404
    assert client.call("GET", "/rank").status_code == 405


def test_good_events_go_on_when_a_bad_one_is_among_them(client: Client) -> None:
    click = {"type": "interaction", "kind": "click", "item_id": "item00001", "user_id": "ann", "time_ms": 5}
    lines = "\n".join([json.dumps(click), "nonsense", json.dumps(click)])
    answer = client.call("POST", "/events", content=lines).json()
    assert (answer["accepted"], answer["duplicates"]) == (1, 1)
    assert [line["index"] for line in answer["rejected"]] == [1]
    assert answer["durable"] is False  # this store is in memory, and says so


def test_an_event_moves_the_next_answer_on_every_surface(client: Client) -> None:
    def answers() -> list[Any]:
        who = {"user_id": "ann", "query_id": "q", "length": 10}
        return [
            [
                item["score"]
                for item in client.post("/rank", {"candidates": CANDIDATES, **who}).json()["items"]
            ],
            [item["item_id"] for item in client.post("/feed", who).json()["items"]],
            client.post("/ads/decide", {"placements": [], **who}).json()["state_version"],
        ]

    before = answers()
    bought = [
        {
            "type": "interaction",
            "kind": kind,
            "item_id": "item00008",
            "user_id": "ann",
            "time_ms": NOW,
        }
        for kind in ("click", "purchase")
    ]
    assert client.post("/events", bought).json()["accepted"] == 2
    after = answers()
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_a_sold_out_item_is_gone_and_a_new_one_is_there_at_once(client: Client) -> None:
    def shown() -> list[str]:
        asked = {
            "candidates": [*CANDIDATES[:3], {"item_id": "new"}],
            "filters": [{"field": "brand", "op": "exists", "value": True}],
        }
        return sorted(item["item_id"] for item in client.post("/rank", asked).json()["items"])

    assert shown() == ["item00000", "item00001", "item00002"]
    client.post("/events", [{"type": "item", "item_id": "item00001", "available": False}])
    client.post("/events", [{"type": "item", "item_id": "new", "title": "new tea", "brand": "Elm"}])
    assert shown() == ["item00000", "item00002", "new"]


def test_an_ad_is_shown_until_its_cap_and_forgotten_people_are_gone(client: Client) -> None:
    ad = {"type": "ad", "ad_id": "x", "campaign_id": "c", "advertiser_id": "v", "bid_micros": 500_000}
    client.post("/events", {**ad, "bid_for": "click", "item_id": "item00001", "cap": 1})
    asked = {"placements": [{"placement_id": "top"}], "user_id": "ann", "time_ms": NOW}

    def shown() -> list[str]:
        return [ad["ad_id"] for ad in client.post("/ads/decide", asked).json()["placements"][0]["items"]]

    assert shown() == ["x"]
    seen = {"type": "impression", "query_id": "q", "surface": "ads", "item_ids": ["x"], "user_id": "ann"}
    client.post("/events", {**seen, "time_ms": NOW})
    assert shown() == []
    assert client.call("GET", "/events/users/ann").json()["events"] != []
    assert client.call("DELETE", "/events/users/ann").json()["deleted"]["events"] == 1
    assert client.call("GET", "/events/users/ann").json()["events"] == []
    assert shown() == ["x"]


def test_the_rerank_dialect_returns_every_document_once_with_short_floats(client: Client) -> None:
    documents = ["green tea", "rum", "", {"text": "tea"}, {"title": "strong", "kind": "tea"}]
    response = client.post("/v2/rerank", {"query": "tea", "documents": documents})
    results = response.json()["results"]
    assert sorted(result["index"] for result in results) == [0, 1, 2, 3, 4]
    assert [set(result) for result in results] == [{"index", "relevance_score"}] * 5
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert response.text.index('"results"') < response.text.index('"meta"')
    assert all(len(repr(score)) <= 18 and isinstance(score, float) for score in scores)
    one = client.post("/v2/rerank", {"query": "tea", "documents": documents, "top_n": 1}).json()["results"]
    assert one == results[:1]


def test_keys_are_asked_for_where_some_are_set(bundles: tuple[Path, Path]) -> None:
    live = LiveBundle(MemoryStore(), None)
    live.load_first(bundles[0])
    client = Client(live, MemoryStore(), ["one", "two"])
    assert client.post("/feed", {}).status_code == 401
    assert client.call("GET", "/health").status_code == 200
    for given in ("Bearer two", "bearer one", "two"):
        assert client.call("POST", "/feed", json={}, headers={"Authorization": given}).status_code == 200
    assert client.call("POST", "/feed", json={}, headers={"Authorization": "Bearer on"}).status_code == 401


def test_a_bundle_that_fails_leaves_the_old_one_serving_and_is_named(client: Client, tmp_path: Path) -> None:
    before = client.call("GET", "/version").json()["bundle_id"]
    (tmp_path / "broken").mkdir()
    client.live.release(tmp_path / "broken").join()
    version = client.call("GET", "/version").json()
    assert version["bundle_id"] == before
    assert "manifest.json" in version["refused"][str(tmp_path / "broken")]
    assert client.post("/feed", {}).json()["bundle_id"] == before


def test_a_replica_that_starts_with_a_bad_bundle_serves_the_last_good_one(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    LiveBundle(MemoryStore(), None, tmp_path).load_first(bundles[0])
    again = LiveBundle(MemoryStore(), None, tmp_path)
    again.load_first(tmp_path / "absent")
    assert again.path == bundles[0]


def test_records_name_only_those_who_are_known_and_nobody_once_forgotten(
    bundles: tuple[Path, Path], tmp_path: Path
) -> None:
    store, writer = MemoryStore(), RecordWriter(tmp_path)
    live = LiveBundle(store, writer)
    live.load_first(bundles[0])
    client = Client(live, store)
    click = {"type": "interaction", "kind": "click", "item_id": "item00001", "user_id": "ann", "time_ms": NOW}
    client.post("/events", click)
    client.post("/events", {"type": "user", "user_id": "bob", "consent": False})
    for user in ("ann", "bob"):
        client.post("/feed", {"user_id": user, "query_id": f"of {user}"})
    writer.close()
    keys = {record.query_id: record.key for record in read_records(tmp_path)}
    assert (keys["of ann"], keys["of bob"]) == ("u:ann", None)
    forgetting = asgi_app(live, store, (), tmp_path)
    client.app = forgetting
    assert client.call("DELETE", "/events/users/ann").json()["deleted"]["records"] == 1
    assert {record.key for record in read_records(tmp_path)} == {None}
