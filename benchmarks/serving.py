"""What a request costs: through the HAProxy ingress, straight to uvicorn, in process, and by stage.

`python -m benchmarks.serving` (or `make bench-serving`) does everything in one run on one state, so
that the ratios hold whatever else the machine does. Bundle and traffic are of the synthetic
world: this measures the machine, not the quality of anything.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.traffic import WORLD, Took, measured, pages, post_history, wait_for

ROOT = Path(__file__).parents[1]


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


def in_process(call: Any, page: tuple[str, list[bytes]], number: int) -> Took:
    """The application called without a socket, one request at a time."""
    path, bodies = page

    async def work() -> Took:
        for body in bodies:
            await call(path, body)
        wall, cpu = [], time.process_time()
        for n in range(number):
            started = time.perf_counter()
            await call(path, bodies[n % len(bodies)])
            wall.append((time.perf_counter() - started) * 1e3)
        return Took(np.array(wall), (time.process_time() - cpu) / number * 1e6)

    return asyncio.run(work())


def stage_times(live: Any) -> dict[str, tuple[float, float]]:
    """Seconds and count of each stage so far."""
    found: dict[str, dict[str, float]] = {"sum": {}, "count": {}}
    for family in live.meters.registry.collect():
        for sample in family.samples:
            kind = sample.name.rpartition("_")[2]
            if family.name == "raysys_stage_seconds" and kind in found:
                found[kind][sample.labels["stage"]] = sample.value
    return {name: (found["sum"][name], found["count"][name]) for name in found["sum"]}


def stages_between(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """Mean µs of each stage that went on between two `stage_times`."""
    told = {}
    for name, (seconds, count) in after.items():
        if count > before[name][1]:
            told[name] = round((seconds - before[name][0]) / (count - before[name][1]) * 1e6)
    return told


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
    parser.add_argument("--number", type=int, default=400, help="requests of each kind in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--uvicorn", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.uvicorn:
        import uvicorn as server

        port, bundle, state = given.uvicorn
        app, _ = application(Path(bundle), Path(state))
        server.run(app, host="127.0.0.1", port=int(port), log_level="warning", timeout_keep_alive=75)
        return
    with tempfile.TemporaryDirectory(prefix="rb") as name:
        folder = Path(name)
        os.environ.update(settings(folder))
        run(folder, given.number, given.rounds)


def run(folder: Path, number: int, rounds: int) -> list[dict[str, Any]]:
    """Every page and concurrency in every way, one way after the other in each of several rounds.

    Whatever else the machine does changes within minutes; neighbors in a round share it.
    """
    from raysys.ads.scorer import ResponseScorer
    from tuning.world import world_bundle

    bundle, state, asked = folder / "bundle", folder / "state.db", pages()
    encoder = ROOT / "var" / "encoder"
    made = world_bundle(WORLD, days=40, encoder=encoder if encoder.exists() else None)
    replace(made, response=ResponseScorer.constant()).save(bundle)
    told = []
    with uvicorn(bundle, state) as bare, haproxy(bundle, state) as served:
        post_history(bare[0])
        app, live = application(bundle, state)
        call = caller(app)
        for page, clients in ((page, clients) for page in asked for clients in (1, 8)):
            took: dict[str, list[Took]] = {}
            before = stage_times(live)
            for _ in range(rounds):
                for name, (port, processes) in (("uvicorn", bare), ("haproxy", served)):
                    found = measured(port, asked[page], number, clients, processes)
                    took.setdefault(name, []).append(found)
                if clients == 1:
                    took.setdefault("process", []).append(in_process(call, asked[page], number))
            row = {name: middle(rounds_) for name, rounds_ in took.items()}
            row |= {"ratio": ratios(took)}
            if clients == 1:
                row["stages_us"] = stages_between(before, stage_times(live))
            told.append({"page": page, "clients": clients, "load": os.getloadavg()[0], **row})
            print(json.dumps(told[-1]), flush=True)
    return told


def middle(rounds: list[Took]) -> dict[str, float]:
    """The median over rounds of each number."""
    rows = [took.row() for took in rounds]
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def ratios(took: dict[str, list[Took]]) -> dict[str, float]:
    """HAProxy beside uvicorn: the median over rounds of the ratio within each."""
    pairs = [(a.row(), b.row()) for a, b in zip(took["haproxy"], took["uvicorn"], strict=True)]
    return {name: round(float(np.median([a[name] / b[name] for a, b in pairs])), 2) for name in pairs[0][0]}


if __name__ == "__main__":
    main()
