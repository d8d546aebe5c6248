"""The running service, over real sockets: nothing stale, nothing lost, nothing failed."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cohere
import httpx
import psutil

from tests.serving import Served

PAIRS, WORKERS = 5_000, 8
NOW = 1_703_000_000_000


def click(user: str, number: int) -> dict[str, Any]:
    return {
        "type": "interaction",
        "kind": "click",
        "item_id": f"item{number % 400:05d}",
        "user_id": user,
        "time_ms": NOW + number,
    }


class Line:
    """A keep-alive connection of the standard library: ten thousand calls of httpx take half a minute."""

    def __init__(self, url: str) -> None:
        self._line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)

    def post(self, path: str, body: Any) -> Any:
        self._line.request("POST", path, json.dumps(body))
        response = self._line.getresponse()
        assert response.status == 200
        return json.loads(response.read())


def test_five_thousand_writes_are_each_seen_by_the_next_read(served: Served) -> None:
    def work(worker: int) -> int:
        stale, version, line, user = 0, -1, Line(served.url), f"pair{worker}"
        for number in range(PAIRS // WORKERS):
            assert line.post("/events", click(user, number))["accepted"] == 1
            feed = line.post("/feed", {"user_id": user, "length": 1, "time_ms": NOW, "budget_ms": 60_000})
            stale += feed["state_version"] <= version
            version = feed["state_version"]
        return stale

    with ThreadPoolExecutor(WORKERS) as pool:
        assert sum(pool.map(work, range(WORKERS))) == 0


def test_the_cohere_sdk_reranks_unmodified(served: Served) -> None:
    client = cohere.ClientV2(api_key="any", base_url=served.url)
    response = client.rerank(model="raysys", query="green tea", documents=["rum", "green tea", "tea"])
    assert [result.index for result in response.results] == [1, 2, 0]
    assert response.results[0].relevance_score > 0.5


def test_a_release_under_load_fails_no_request(served: Served) -> None:
    stop, statuses, seen = threading.Event(), [], set()

    def load() -> None:
        with httpx.Client(base_url=served.url, timeout=60) as client:
            while not stop.is_set():
                response = client.post("/feed", json={"length": 3})
                statuses.append(response.status_code)
                seen.add(response.json().get("bundle_id"))

    workers = [threading.Thread(target=load) for _ in range(4)]
    for worker in workers:
        worker.start()
    served.release(served.bundles[1])
    deadline = time.monotonic() + 60
    while len(seen) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    stop.set()
    for worker in workers:
        worker.join()
    assert set(statuses) == {200}
    assert len(seen) == 2


def test_a_killed_replica_loses_no_acknowledged_event_and_comes_back_by_itself(served: Served) -> None:
    acknowledged: list[str] = []
    answered_after, killed_at = 0.0, 0.0
    with httpx.Client(base_url=served.url, timeout=10) as client:
        started = time.monotonic()
        for number in range(1_000_000):
            if not killed_at and time.monotonic() > started + 1:
                for replica in replicas():
                    replica.kill()
                killed_at = time.monotonic()
            try:
                event = click("killed", number) | {"event_id": f"killed-{number}"}
                if client.post("/events", json=event).status_code == 200:
                    acknowledged.append(event["event_id"])
                    answered_after = time.monotonic() - killed_at if killed_at else 0.0
            except httpx.HTTPError:
                time.sleep(0.05)
            if answered_after > 5 or (killed_at and time.monotonic() > killed_at + 60):
                break
        kept = [event["event_id"] for event in client.get("/events/users/killed").json()["events"]]
    assert answered_after > 5
    assert len(kept) == len(set(kept))
    assert not set(acknowledged) - set(kept)


def replicas() -> list[psutil.Process]:
    """The replicas of this very session's Ray."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::ServeReplica"):
                found.append(process)
        except psutil.Error:
            continue
    assert found
    return found
