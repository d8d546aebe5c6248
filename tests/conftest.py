"""What the whole suite shares: one bundle of the synthetic world, one Ray, one running Serve."""

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
os.environ.setdefault("RAY_worker_register_timeout_seconds", "120")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from raysys.behavior.world import World
from tuning.world import world_bundle

settings.register_profile("patient", deadline=None)  # a loaded machine must not fail a property
settings.load_profile("patient")

WORLD = World()


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles of the world, the later one learned from more days."""
    folder = tmp_path_factory.mktemp("bundles")
    for name, days in (("first", 40), ("second", 50)):
        world_bundle(WORLD, days=days).save(folder / name)
    return folder / "first", folder / "second"


@dataclass(frozen=True, slots=True)
class Served:
    """A running Serve: where it answers, and what it was started with."""

    url: str
    bundles: tuple[Path, Path]
    state: str
    records: Path

    def release(self, bundle: Path) -> None:
        """What `serve run` does with a changed `user_config`."""
        from ray import serve

        from deployments.app import build

        serve.run(build({"bundle": str(bundle), "state": self.state, "records": str(self.records)}))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def served(bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The all-in-one application on a free port, with its state in SQLite."""
    import httpx
    import ray
    from ray import serve

    from deployments.app import build

    folder = tmp_path_factory.mktemp("served")
    state, records = f"sqlite:{folder / 'state.db'}", folder / "records"
    env = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[1])}}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=env)
    port = free_port()
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(build({"bundle": str(bundles[0]), "state": state, "records": str(records)}))
        url = f"http://127.0.0.1:{port}"
        for _ in range(120):
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.5)
        yield Served(url, bundles, state, records)
    finally:
        serve.shutdown()
        ray.shutdown()
