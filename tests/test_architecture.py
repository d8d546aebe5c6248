"""What import-linter cannot see: what a process really loads."""

import subprocess
import sys

import pytest

from raysys.behavior.world import World
from tuning.world import world_bundle

TRAINING = ("torch", "polars", "pandas", "gymnasium", "sentence_transformers", "ray.tune", "ray.rllib")

LOADS = """
import importlib, pkgutil, sys
{body}
print(sorted(name for name in {names!r} if name in sys.modules))
"""

RANKS = """
from raysys.ranker import Ranker
from raysys.types import Candidates, Query, QueryId
query = Query(id=QueryId("q"), surface="search", time_ms=1741000000000, length=3, text="milk")
assert Ranker.load({path!r}).rank(query, Candidates.of(["item00001", "item00002"])).items
"""


def loaded(body: str, names: tuple[str, ...]) -> str:
    """Which of `names` a fresh interpreter has loaded after `body`."""
    code = LOADS.format(body=body, names=names)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return out.stdout.strip().splitlines()[-1]


def test_the_library_loads_neither_ray_nor_http() -> None:
    body = "import raysys.ranker, raysys.bundle, raysys.state.open, raysys.log"
    assert loaded(body, ("ray", "fastapi", "pydantic", "uvicorn", "starlette", *TRAINING)) == "[]"


def test_a_replica_that_loads_a_bundle_and_ranks_never_imports_the_training_stack(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("bundles") / "small"
    world_bundle(World(users=60, items=80), days=30).save(path)
    assert loaded(RANKS.format(path=str(path)), ("ray", "sklearn", "lightgbm", *TRAINING)) == "[]"


def test_no_deployment_module_imports_the_training_stack() -> None:
    body = (
        "import deployments\n"
        "for found in pkgutil.walk_packages(deployments.__path__, 'deployments.'):\n"
        "    importlib.import_module(found.name)"
    )
    brought_by_serve = {"pandas"}  # `import ray.serve` alone loads it
    assert loaded(body, tuple(set(TRAINING) - brought_by_serve)) == "[]"
