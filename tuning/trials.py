"""Running a Tune search: a lean Ray, a progress bar, going on after a crash, and the table of its trials."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search.optuna import OptunaSearch
from tqdm import tqdm

from raysys.catalog import COLUMNS, Catalog
from raysys.errors import ConfigError, DataError
from raysys.interest.interactions import Interactions
from raysys.types import Floats, Ints

ROOT = Path(__file__).parents[1]
STATE = "search_gen_state-*.json"
"""What Tune writes last of a search's state."""
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of CPU that this container may use in a period of so many, as Linux tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search over settings by their reported metric, larger is better."""

    metric: str
    space: Mapping[str, Any]
    """By setting: a list of choices, or a table of low, high and, for a logarithmic scale, log = true."""
    first: Mapping[str, Any]
    """Settings of the first trial: what a search finds is never worse than these."""
    trials: int
    minutes: float
    also: Mapping[str, Any] = field(default_factory=dict)
    """What differs in the second trial from the first; nothing leaves it to the sampler."""
    epochs: int = 1
    """Most reports of one trial."""
    kept: int = 1
    """Trials that are wanted in the end: while there are no more, none is stopped early."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial as it went; the curves have one value a report."""

    settings: Mapping[str, Any]
    curves: Mapping[str, list[float]]
    checkpoint: Path | None
    """Folder of what it saved last."""
    error: str = ""

    def best(self, metric: str) -> float:
        """The largest value it ever reported, -inf without one."""
        return max((value for value in self.curves.get(metric, []) if value == value), default=float("-inf"))


def claim(folder: Path, asked: Iterable[bytes | npt.NDArray[Any]]) -> None:
    """Make `folder` that of a search of what is `asked`, or be sure that it is.

    Raises:
        ConfigError: it holds the search of something else.
    """
    digest = hashlib.sha256()
    for part in asked:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    fingerprint = digest.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "search.json"
    if not path.exists():
        partial = folder / "search.json.part"  # a run that is killed here leaves no empty claim
        partial.write_text(json.dumps({"fingerprint": fingerprint}))
        partial.replace(path)
    elif (found := json.loads(path.read_text()).get("fingerprint")) != fingerprint:
        raise ConfigError(
            f"{folder} holds the search {found} of other data or settings, this one is {fingerprint};"
            " name another folder or remove that one"
        )


def told(events: Interactions) -> Iterator[Ints]:
    """All that a log says, for `claim`."""
    yield from (events.user, events.row, events.kind, events.time_ms)
    asked = events.queries
    yield from (asked.user, asked.time_ms, asked.after, asked.start, asked.word)


def described(catalog: Catalog) -> Iterator[bytes | Floats]:
    """All that items say of themselves, for `claim`."""
    yield msgspec.json.encode([getattr(catalog, name) for name in COLUMNS])
    yield from (catalog.price_micros, catalog.text_vectors, catalog.image_vectors, catalog.audio_vectors)


def cores() -> int:
    """CPU cores that this process may use: of its affinity, and of what its container is given."""
    able = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_MAX.read_text().split()
    except (OSError, ValueError):
        return able
    return able if quota == "max" else max(min(able, int(quota) // int(period)), 1)


def start_ray(cpus: int) -> None:
    """The cluster that RAY_ADDRESS names, else a small Ray on this machine, unless one is running already.

    Raises:
        DataError: it does not start, as where others need the machine.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # only the newest checkpoint of a trial is kept, so its state is written after every epoch
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    env = {"env_vars": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}}
    # a cluster has its own cores, and refuses to be told how many
    own: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": cpus}
    try:
        ray.init(**own, include_dashboard=False, log_to_driver=False, runtime_env=env)
    except Exception as error:  # Ray's own word for a machine that has no time to start it
        raise DataError(f"Ray does not start: {error}") from error


def run_search(
    trainable: Callable[..., None], search: Search, folder: Path, *, resources: Mapping[str, float]
) -> list[Trial]:
    """Run a search in `folder`, or go on with what was started there; finished trials are not repeated."""
    folder = folder.resolve()  # Tune takes a relative path for the address of a remote store
    if tune.Tuner.can_restore(str(folder)) and not any(folder.glob(STATE)):
        shutil.rmtree(folder)  # killed before Tune wrote what it goes on from
    if tune.Tuner.can_restore(str(folder)):
        tuner = tune.Tuner.restore(
            str(folder),
            tune.with_resources(trainable, dict(resources)),
            resume_unfinished=True,
            restart_errored=True,
        )
    else:
        tuner = _new_tuner(trainable, search, folder, resources)
    grid = tuner.fit()
    return [_trial(grid[number]) for number in range(len(grid))]


def _new_tuner(
    trainable: Callable[..., None], search: Search, folder: Path, resources: Mapping[str, float]
) -> tune.Tuner:
    second = {**search.first, **search.also}
    offered = {
        name: with_first(with_first(choice, search.first[name]), second[name])
        for name, choice in search.space.items()
    }
    space = {name: domain(name, choice) for name, choice in offered.items()}
    first = {name: search.first[name] for name in space}
    points = [first, *([{name: second[name] for name in space}] if search.also else [])]
    sampler = OptunaSearch(metric=search.metric, mode="max", seed=search.seed, points_to_evaluate=points)
    stopping = ASHAScheduler(max_t=search.epochs, grace_period=min(2, search.epochs), reduction_factor=2)
    scheduler = stopping if search.trials > search.kept else FIFOScheduler()
    return tune.Tuner(
        tune.with_resources(trainable, dict(resources)),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric=search.metric,
            mode="max",
            search_alg=sampler,
            scheduler=scheduler,
            num_samples=search.trials,
            time_budget_s=search.minutes * 60.0,
        ),
        run_config=tune.RunConfig(
            name=folder.name,
            storage_path=str(folder.parent),
            verbose=0,
            callbacks=[Progress(search)],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    )


def domain(name: str, choice: Any) -> Any:
    """The Tune domain of one entry of a search space."""
    if isinstance(choice, list | tuple) and choice:
        return tune.choice(list(choice))
    if isinstance(choice, Mapping) and {"low", "high"} <= set(choice) <= {"low", "high", "log"}:
        draw = tune.loguniform if choice.get("log") else tune.uniform
        return draw(float(choice["low"]), float(choice["high"]))
    raise ConfigError(f"space of {name} is {choice!r}, expected a list or a table of low, high and log")


def with_first(choice: Any, first: Any) -> Any:
    """The same choice, wide enough for the setting that the search begins with."""
    if isinstance(choice, list | tuple):
        return [*choice, *(() if first in choice else (first,))]
    if isinstance(choice, Mapping) and {"low", "high"} <= set(choice):
        return {**choice, "low": min(choice["low"], first), "high": max(choice["high"], first)}
    return choice


def _trial(result: Any) -> Trial:
    frame = result.metrics_dataframe
    columns = [] if frame is None else [c for c in frame if not c.startswith("config/")]
    numbers = [c for c in columns if frame[c].dtype.kind in "if"]
    return Trial(
        settings=dict(result.config or {}),
        curves={column: [float(value) for value in frame[column]] for column in numbers},
        checkpoint=None if result.checkpoint is None else Path(result.checkpoint.path),
        error="" if result.error is None else str(result.error).strip().splitlines()[-1],
    )


class Progress(tune.Callback):
    """A bar that counts reports; a trial that was stopped early takes its missing ones off the total."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._bar: Any = None
        self._best = float("-inf")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bar": None}  # a bar holds the terminal, which no checkpoint can

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._best = max(self._best, float(result.get(self._search.metric, float("-inf"))))
        self._show(trials)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._show(trials)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        self._show(trials)
        self._bar.close()

    def _show(self, trials: list[Any]) -> None:
        if self._bar is None:
            self._bar = tqdm(desc="searching", unit="epoch")
        done = [int((trial.last_result or {}).get("training_iteration", 0)) for trial in trials]
        ended = [trial.is_finished() for trial in trials]
        left = sum(self._search.epochs - epochs for epochs, over in zip(done, ended, strict=True) if not over)
        waiting = max(self._search.trials - len(trials), 0) * self._search.epochs
        self._bar.total, self._bar.n = sum(done) + left + waiting, sum(done)
        told = f"{self._best:.4f}" if self._best > float("-inf") else "-"
        self._bar.set_postfix_str(f"trials {sum(ended)}/{self._search.trials}, best {told}")
