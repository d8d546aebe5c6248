"""Four applications behind one HAProxy: each by itself, all of one mind."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import ray

from tests.deployments.test_serve import NOW, click, replicas
from tests.serving import FOLDER, Served

LAYOUT = "surfaces"
OVER = {"ads": {"max_ongoing_requests": 1, "max_queued_requests": 1}}
"""Narrow enough for a test to overrun."""
CANDIDATES = [{"item_id": f"item{n:05d}"} for n in range(30)]
PREFIXES = ("", "/ads", "/feed", "/events")
AD = {
    "type": "ad",
    "ad_id": "a",
    "campaign_id": "c",
    "advertiser_id": "shop",
    "bid_micros": 50_000,
    "bid_for": "impression",
    "item_id": "item00007",
    "cap": 1,
}


@pytest.fixture
def client(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, timeout=60)


def answers(client: httpx.Client, user: str) -> dict[str, Any]:
    """What each surface says to a user."""
    who = {"user_id": user, "query_id": "q", "length": 10, "time_ms": NOW, "budget_ms": 60_000}
    asked = {
        "/rank": {"candidates": CANDIDATES, **who},
        "/feed": who,
        "/ads/decide": {"placements": [{"placement_id": "top"}], **who},
    }
    return {path: client.post(path, json=body).json() for path, body in asked.items()}


def test_requests_come_in_through_haproxy(served: Served) -> None:
    port = int(served.url.rpartition(":")[2])
    listening = {
        psutil.Process(link.pid).cmdline()[0].rpartition("/")[2]: psutil.Process(link.pid).cmdline()
        for link in psutil.net_connections("tcp")
        if link.status == psutil.CONN_LISTEN and link.laddr.port == port and link.pid
    }
    assert set(listening) == {"haproxy"}
    assert any(part.startswith(FOLDER) for part in listening["haproxy"])


def test_a_click_posted_to_events_changes_the_other_applications_at_once(client: httpx.Client) -> None:
    client.post("/events", json=AD)
    before = answers(client, "eve")
    assert [item["ad_id"] for item in before["/ads/decide"]["placements"][0]["items"]] == ["a"]
    for number in range(3):
        assert client.post("/events", json=click("eve", number)).json()["accepted"] == 1
    shown = {"type": "impression", "query_id": "q", "surface": "ads", "item_ids": ["a"], "user_id": "eve"}
    client.post("/events", json=shown | {"time_ms": NOW})
    after = answers(client, "eve")
    assert {answer["state_version"] for answer in before.values()} == {0}
    assert len({answer["state_version"] for answer in after.values()}) == 1
    assert after["/rank"]["state_version"] > 0
    for path in ("/rank", "/feed"):
        assert [i["score"] for i in before[path]["items"]] != [i["score"] for i in after[path]["items"]]
    assert after["/ads/decide"]["placements"][0]["items"] == []  # its cap is reached


def test_each_application_has_its_own_document_version_health_and_metrics(client: httpx.Client) -> None:
    for prefix in PREFIXES:
        paths = client.get(f"{prefix}/openapi.json").json()["paths"]
        assert {f"{prefix}/{name}" for name in ("version", "health", "metrics", "openapi.json")} <= set(paths)
        assert all(path.startswith(prefix) for path in paths)
        assert "raysys_http_answers_total" in client.get(f"{prefix}/metrics").text
    assert client.get("/version").json()["bundle_id"]
    assert client.get("/events/version").json()["bundle_id"] is None  # it ranks nothing
    assert client.post("/rank", content=b"{").status_code == 400
    page = client.get("/metrics").text
    assert 'raysys_http_answers_total{route="/rank",status="400"}' in page
    for stage in ("decode", "state", "predict", "order", "encode"):
        assert f'raysys_stage_seconds_count{{stage="{stage}"}}' in page


def test_a_request_keeps_its_id_through_the_ingress_and_gets_one_if_it_has_none(client: httpx.Client) -> None:
    given = client.post("/feed", json={}, headers={"X-Request-Id": "mine-1"})
    assert given.headers["x-request-id"] == "mine-1"
    made = [client.post("/feed", json={}).headers["x-request-id"] for _ in range(2)]
    assert made[0] != made[1]
    assert "state;dur=" in given.headers["server-timing"]


def test_who_comes_too_many_is_told_when_to_come_again(served: Served) -> None:
    """One request at a time, and one in line: of forty at once most are refused with 429, none with 5xx."""

    def ask(number: int) -> httpx.Response:
        asked = {"placements": [{"placement_id": "top"}] * 50, "query_id": f"flood-{number}"}
        return httpx.post(f"{served.url}/ads/decide", json=asked, timeout=60)

    with ThreadPoolExecutor(40) as pool:
        answers_ = list(pool.map(ask, range(200)))
    assert {answer.status_code for answer in answers_} == {200, 429}
    assert {answer.headers["retry-after"] for answer in answers_ if answer.status_code == 429} == {"1"}


def test_a_release_reaches_every_application_in_the_processes_that_run(
    served: Served, client: httpx.Client
) -> None:
    def versions() -> set[str]:
        return {client.get(f"{prefix}/version").json()["bundle_id"] for prefix in PREFIXES[:3]}

    before, ran = versions(), {process.pid for process in replicas()}
    served.release(served.bundles[1])
    for _ in range(300):
        if len(now := versions()) == 1 and now != before:
            break
    else:
        pytest.fail(f"released, but the applications serve {now}")
    assert {process.pid for process in replicas()} == ran


def test_a_bundle_that_is_refused_is_named_and_logged_as_json_while_the_old_one_serves(
    served: Served, client: httpx.Client, tmp_path: Path
) -> None:
    before = client.get("/feed/version").json()["bundle_id"]
    served.release(tmp_path / "no bundle")
    for _ in range(600):
        if refused := client.get("/feed/version").json()["refused"]:
            break
        time.sleep(0.05)
    assert list(refused) == [str(tmp_path / "no bundle")]
    assert client.post("/feed", json={}).json()["bundle_id"] == before
    session = Path(ray._private.worker._global_node.get_session_dir_path())
    lines = [
        json.loads(line)
        for log in (session / "logs" / "serve").glob("replica_feed_*.log")
        for line in log.read_text().splitlines()
    ]
    assert any("no bundle refused" in line["message"] and line["levelname"] == "ERROR" for line in lines)


def test_a_killed_events_replica_loses_nothing_while_the_other_applications_answer(served: Served) -> None:
    acknowledged: list[str] = []
    answered_after, killed_at, ranked = 0.0, 0.0, 0
    asked = {"candidates": CANDIDATES, "user_id": "killed", "length": 5, "budget_ms": 60_000}
    with httpx.Client(base_url=served.url, timeout=30) as client:
        started = time.monotonic()
        for number in range(1_000_000):
            if not killed_at and time.monotonic() > started + 1:
                for replica in replicas():
                    if ":events:" in replica.cmdline()[0]:
                        replica.kill()
                        killed_at = time.monotonic()
                assert killed_at, "no replica of the events application runs"
            try:
                event = click("killed", number) | {"event_id": f"killed-{number}"}
                if client.post("/events", json=event).status_code == 200:
                    acknowledged.append(event["event_id"])
                    answered_after = time.monotonic() - killed_at if killed_at else 0.0
            except httpx.HTTPError:
                time.sleep(0.05)
            answer = client.post("/rank", json=asked)
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == 5
            ranked += 1
            if answered_after > 3 or (killed_at and time.monotonic() > killed_at + 60):
                break
        kept = [event["event_id"] for event in client.get("/events/users/killed").json()["events"]]
    assert answered_after > 3
    assert ranked > 10
    assert len(kept) == len(set(kept))
    assert not set(acknowledged) - set(kept)
