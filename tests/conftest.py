"""What the whole suite shares: one bundle of the synthetic world, one Ray, one running Serve."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from raysys.behavior.world import World
from tests.serving import FOLDER, ROOT, Served, free_port
from tuning.world import world_bundle

os.environ.setdefault("HF_HUB_OFFLINE", "1")
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


@pytest.fixture(scope="session")
def serving() -> Iterator[str]:
    """The one Ray and the one Serve of the suite, still without applications; where it answers."""
    import ray
    from ray import serve

    env = {"env_vars": {"PYTHONPATH": str(ROOT)}}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=env)
    port = free_port()
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()
        shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """The suite's Ray if it runs, else one that goes when the module is done."""
    import ray

    from tuning.trials import start_ray

    mine = not ray.is_initialized()
    start_ray(2)
    yield
    if mine:
        ray.shutdown()


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest,
    serving: str,
    bundles: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Served:
    """The running service: `local.yaml`, or the file that the module names in LAYOUT, with a fresh state.

    One layout runs at a time, for each answers at `/`: deploying a file ends what ran before.
    """
    folder = tmp_path_factory.mktemp("served")
    made = Served(
        url=serving,
        bundles=bundles,
        state=f"sqlite:{folder / 'state.db'}",
        records=folder / "records",
        layout=getattr(request.module, "LAYOUT", "local"),
        over=getattr(request.module, "OVER", {}),
        args=getattr(request.module, "ARGS", {}),
    )
    made.release(bundles[0])
    return made
