"""What an ad costs, over HTTP: a decision sets its price aside, the click makes it final, once."""

import pytest

from deployments.live import LiveBundle
from raysys.events import AdUpdate, encode_event
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from tests import fakes
from tests.deployments.test_app import NOW, Client


def _client() -> Client:
    store = MemoryStore()
    live = LiveBundle(store, None)
    live.ranker = Ranker(fakes.bundle(), store)
    return Client(live, store)


def test_a_click_on_a_decided_ad_is_charged_once_and_an_unknown_one_is_taken_and_counted() -> None:
    client = _client()
    ad = {"advertiser_id": "v", "bid_for": "click", "budget_micros": 1_000_000}
    for name, bid in (("a", 900_000), ("b", 400_000)):
        told = AdUpdate(ad_id=name, campaign_id=f"c-{name}", bid_micros=bid, **ad)  # type: ignore[arg-type]
        assert client.call("POST", "/events", content=encode_event(told)).status_code == 200
    asked = {"placements": [{"placement_id": "top"}], "time_ms": NOW, "query_id": "q", "explain": True}
    (placed,) = client.post("/ads/decide", asked).json()["placements"][0]["items"]
    assert (placed["ad_id"], placed["token"]) == ("a", "q:a")
    told_why = sum(reason["value"] for reason in placed["reasons"])
    assert told_why == pytest.approx(placed["score"], abs=1e-6)
    assert client.store.held(["spend:c-a"], NOW) == [placed["price_micros"]]
    click = {"type": "interaction", "kind": "click", "item_id": "x", "ad_id": "a", "time_ms": NOW + 1}
    for query, unmatched in (("q", [0, 0]), ("never", [1, 0])):
        sent = {**click, "query_id": query, "user_id": "ann"}
        answers = [client.post("/events", sent).json() for _ in range(2)]
        assert [(answer["accepted"], answer["duplicates"]) for answer in answers] == [(1, 0), (0, 1)]
        assert [answer.get("unmatched", 0) for answer in answers] == unmatched
    assert client.store.held(["spend:c-a"], NOW + 10**9) == [placed["price_micros"]]
