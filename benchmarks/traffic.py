"""Traffic for the serving benchmark: pages of the synthetic world, and clients that time them."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

from raysys.behavior.world import World
from raysys.types import Floats

WORLD = World(users=400, items=2_000)
PEOPLE = 200
NOW_MS = 1_703_000_000_000


def questions(candidates: int) -> list[bytes]:
    """Bodies of /rank by known people with known candidates."""
    rng = np.random.default_rng(candidates)
    return [
        json.dumps(
            {
                "user_id": f"u{rng.integers(PEOPLE)}",
                "budget_ms": 60_000,  # a loaded machine is to be slow, not to answer less
                "query_id": f"q{n}",
                "query": "green tea",
                "candidates": [
                    {"item_id": f"item{row:05d}"}
                    for row in rng.choice(WORLD.items, candidates, replace=False).tolist()
                ],
            }
        ).encode()
        for n in range(64)
    ]


def pages() -> dict[str, tuple[str, list[bytes]]]:
    """What is asked, by name: a path and the bodies that take turns."""
    who = [{"user_id": f"u{n}", "query_id": f"q{n}", "budget_ms": 60_000} for n in range(64)]
    place = {"placements": [{"placement_id": "top", "length": 3}]}
    asked = {f"rank {size}": ("/rank", questions(size)) for size in (100, 300, 1_000)}
    asked["feed"] = ("/feed", [json.dumps(w).encode() for w in who])
    asked["ads"] = ("/ads/decide", [json.dumps({**w, **place}).encode() for w in who])
    return asked


def history() -> bytes:
    """Events that make PEOPLE known, and two hundred ads."""
    rng = np.random.default_rng(7)
    events: list[dict[str, Any]] = []
    for person in range(PEOPLE):
        for step in range(40):
            deed = {
                "kind": ("click", "purchase")[step % 2],
                "item_id": f"item{rng.integers(WORLD.items):05d}",
            }
            when = {"user_id": f"u{person}", "time_ms": NOW_MS - 3_600_000 * (40 - step)}
            events.append({"type": "interaction", **deed, **when})
    for n in range(200):
        ad = {"ad_id": f"a{n}", "campaign_id": f"c{n % 20}", "advertiser_id": "v", "bid_for": "click"}
        events.append({"type": "ad", **ad, "bid_micros": 50_000 + n, "item_id": f"item{n:05d}"})
    return json.dumps(events).encode()


@dataclass(frozen=True, slots=True)
class Took:
    """One way, one page, one concurrency."""

    wall_ms: Floats
    cpu_us: float
    """Of all serving processes, per request."""

    def row(self) -> dict[str, float]:
        p50, p99 = np.percentile(self.wall_ms, [50, 99]).tolist()
        return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "cpu_us": round(self.cpu_us)}


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """User and system time of processes that may come and go."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.Error:
            continue
    return total


def drive(port: int, path: str, bodies: list[bytes], number: int, clients: int) -> Floats:
    """Wall time in ms of `number` requests over `clients` keep-alive connections."""

    def work(client: int) -> list[float]:
        line, took = http.client.HTTPConnection("127.0.0.1", port, timeout=60), []
        for n in range(number // clients):
            body = bodies[(n * clients + client) % len(bodies)]
            started = time.perf_counter()
            line.request("POST", path, body, {"content-type": "application/json"})
            response = line.getresponse()
            answer = response.read()
            took.append((time.perf_counter() - started) * 1e3)
            if response.status != 200 or b'"degraded":[]' not in answer:
                raise SystemExit(f"{path}: {response.status} {answer[:300]!r}")
        return took

    with ThreadPoolExecutor(clients) as pool:
        return np.array([ms for each in pool.map(work, range(clients)) for ms in each])


def measured(
    port: int, page: tuple[str, list[bytes]], number: int, clients: int, processes: list[psutil.Process]
) -> Took:
    drive(port, *page, max(64, number // 10), clients)
    before = cpu_seconds(processes)
    wall = drive(port, *page, number, clients)
    return Took(wall, (cpu_seconds(processes) - before) / len(wall) * 1e6)


def post_history(port: int) -> None:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("POST", "/events", history())
    if (answer := json.loads(line.getresponse().read()))["rejected"]:
        raise SystemExit(f"the history was refused: {answer}")


def wait_for(port: int) -> None:
    for _ in range(600):
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/health")
            if line.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"nothing serves at port {port}")
