"""What a request costs: through the HAProxy ingress, straight to uvicorn, in process, and by stage.

`python -m benchmarks.serving` (or `make bench-serving`) does everything in one run on one state, so
that the ratios hold whatever else the machine does. Bundle and traffic are of the synthetic
world: this measures the machine, not the quality of anything.
"""

import argparse
import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from raysys.behavior.world import World
from raysys.types import Floats

ROOT = Path(__file__).parents[1]
WORLD = World(users=400, items=2_000)
PEOPLE = 200
NOW_MS = 1_703_000_000_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings(folder: Path) -> dict[str, str]:
    """`serve.env` with ports and sockets of this run."""
    lines = (ROOT / "deployments" / "serve.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    files = ("CONFIG_FILE_LOC", "SOCKET_PATH", "SERVER_STATE_FILE", "METRICS_SOCKET_PATH")
    env |= {f"RAY_SERVE_HAPROXY_{name}": str(folder / name.lower()[:6]) for name in files}
    first = 29_200 + os.getpid() % 7 * 100
    ports = ("HAPROXY_METRICS", "HAPROXY_STATS", "FALLBACK_PROXY_HTTP", "FALLBACK_PROXY_GRPC")
    env |= {f"RAY_SERVE_{name}_PORT": str(first + n) for n, name in enumerate(ports)}
    env["RAY_SERVE_HAPROXY_SERVER_STATE_BASE"] = str(folder)
    env["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] = str(first + 10)
    return env | {"RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(first + 99)}


def questions(candidates: int) -> list[bytes]:
    """Bodies of /rank by known people with known candidates."""
    rng = np.random.default_rng(candidates)
    return [
        json.dumps(
            {
                "user_id": f"u{rng.integers(PEOPLE)}",
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
    who = [{"user_id": f"u{n}", "query_id": f"q{n}"} for n in range(64)]
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
    took: list[list[float]] = [[] for _ in range(clients)]

    def work(client: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for n in range(number // clients):
            body = bodies[(n * clients + client) % len(bodies)]
            started = time.perf_counter()
            line.request("POST", path, body, {"content-type": "application/json"})
            response = line.getresponse()
            answer = response.read()
            took[client].append((time.perf_counter() - started) * 1e3)
            if response.status != 200 or b'"degraded":[]' not in answer:
                raise SystemExit(f"{path}: {response.status} {answer[:300]!r}")

    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array([ms for each in took for ms in each])


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


@contextmanager
def uvicorn(bundle: Path, state: Path) -> Iterator[tuple[int, list[psutil.Process]]]:
    """The same application behind bare uvicorn, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving", "--uvicorn", str(port), str(bundle), str(state)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        wait_for(port)
        yield port, [psutil.Process(process.pid)]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def haproxy(bundle: Path, state: Path) -> Iterator[tuple[int, list[psutil.Process]]]:
    """`local.yaml` on Ray Serve behind HAProxy."""
    import ray
    import yaml
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    port = free_port()
    config = yaml.safe_load((ROOT / "deployments" / "local.yaml").read_text())
    (app,) = config["applications"]
    app["args"] = {"bundle": str(bundle), "state": f"sqlite:{state}", "records": str(state.parent / "served")}
    app["deployments"][0]["user_config"] = {"bundle": str(bundle)}
    env = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=env)
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config), _blocking=False)
        wait_for(port)
        yield port, serving_processes()
    finally:
        serve.shutdown()
        ray.shutdown()


def serving_processes() -> list[psutil.Process]:
    """What works for requests: replicas, HAProxy and its manager, but not the idle rest of Ray."""
    found = []
    for process in psutil.Process().children(recursive=True):
        name = " ".join(process.cmdline()[:1])
        if "ServeReplica" in name or "haproxy" in name.lower() or "Proxy" in name:
            found.append(process)
    return found


def in_process(bundle: Path, state: Path, asked: dict[str, Any], number: int) -> dict[str, Any]:
    """The application called without a socket, one request at a time: CPU, and the mean of every stage."""
    from prometheus_client import generate_latest

    told: dict[str, Any] = {}
    for name, (path, bodies) in asked.items():
        app, live = application(bundle, state)
        call = caller(app)

        async def work(path: str = path, bodies: list[bytes] = bodies, call: Any = call) -> Took:
            for body in bodies:
                await call(path, body)
            wall, cpu = [], time.process_time()
            for n in range(number):
                started = time.perf_counter()
                await call(path, bodies[n % len(bodies)])
                wall.append((time.perf_counter() - started) * 1e3)
            return Took(np.array(wall), (time.process_time() - cpu) / number * 1e6)

        told[name] = asyncio.run(work()).row() | {"stages_us": stages(generate_latest(live.meters.registry))}
    return told


def stages(page: bytes) -> dict[str, float]:
    """Mean µs of each stage, from a page of metrics."""
    sums: dict[str, dict[str, float]] = {"sum": {}, "count": {}}
    for line in page.decode().splitlines():
        for kind, values in sums.items():
            if line.startswith(f"raysys_stage_seconds_{kind}{{"):
                values[line.split('"')[1]] = float(line.rpartition(" ")[2])
    return {name: round(sums["sum"][name] / n * 1e6, 1) for name, n in sums["count"].items() if n}


def application(bundle: Path, state: Path) -> Any:
    """The ASGI callable of everything, with records written as a replica writes them, and its bundle."""
    from deployments.app import asgi_app
    from deployments.live import LiveBundle
    from raysys.log import RecordWriter
    from raysys.state.sqlite import SqliteStore

    store = SqliteStore(state)
    live = LiveBundle(store, RecordWriter(Path(tempfile.mkdtemp(dir=state.parent))))
    live.load_first(bundle)
    return asgi_app(live, store), live


def caller(app: Any) -> Callable[[str, bytes], Any]:
    """Calls an ASGI application with a body."""

    async def call(path: str, body: bytes) -> None:
        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(scope, receive, send)
        if sent[0]["status"] != 200:
            raise SystemExit(f"{path}: {sent}")

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=2_000, help="requests of each kind")
    parser.add_argument("--only", default="", help="uvicorn, haproxy or process")
    parser.add_argument("--uvicorn", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.uvicorn:
        import uvicorn as server

        port, bundle, state = given.uvicorn
        app, _ = application(Path(bundle), Path(state))
        server.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
        return
    with tempfile.TemporaryDirectory(prefix="rb") as name:
        folder = Path(name)
        os.environ.update(settings(folder))
        told = run(folder, given.number, given.only)
    print(json.dumps(told, indent=1))


def run(folder: Path, number: int, only: str) -> dict[str, Any]:
    """Every way in turn, over one bundle and one state."""
    from raysys.ads.scorer import ResponseScorer
    from tuning.world import world_bundle

    bundle, state, asked = folder / "bundle", folder / "state.db", pages()
    encoder = ROOT / "var" / "encoder"
    made = world_bundle(WORLD, days=40, encoder=encoder if encoder.exists() else None)
    replace(made, response=ResponseScorer.constant()).save(bundle)
    told: dict[str, Any] = {"number": number, "encoder": encoder.exists(), "load_before": os.getloadavg()}
    for name, way in (("uvicorn", uvicorn), ("haproxy", haproxy)):
        if only not in ("", name):
            continue
        with way(bundle, state) as (port, processes):
            post_history(port)
            told[name] = {
                f"{page} x{clients}": measured(port, asked[page], number, clients, processes).row()
                for page in asked
                for clients in (1, 8)
            }
    if only == "process":
        with uvicorn(bundle, state) as (port, _):
            post_history(port)
    if only in ("", "process"):
        told["process"] = in_process(bundle, state, asked, number)
    return told | {"load_after": os.getloadavg()}


if __name__ == "__main__":
    main()
