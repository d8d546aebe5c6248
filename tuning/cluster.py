"""One Ray for every job: the one that runs already, or a lean one of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def ray_running(cpus: int | None = None) -> Iterator[None]:
    """Ray for the length of a job; one that was not started here is left running.

    Args:
        cpus: of a Ray that is started here; None takes what the machine has.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    env = {"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}}
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        num_cpus=None if "RAY_ADDRESS" in os.environ else cpus,
        include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
        log_to_driver=False,
        runtime_env=env,
    )
    try:
        yield
    finally:
        ray.shutdown()
