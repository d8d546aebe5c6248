"""The bank of profiles: cross-entropy searches as Tune trials, first for everybody, then for each segment."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from ray import tune
from tqdm import tqdm

from raysys.behavior.simulator import Simulator
from raysys.errors import ConfigError, DataError
from raysys.policy.learn import constant, profile_values, returns_of, unit_spread, varied
from raysys.policy.search import SearchConfig, search_weights
from raysys.policy.segments import Segment
from raysys.signals import SIGNALS
from raysys.types import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileSettings:
    """How the bank is searched."""

    generations: int = 10
    population: int = 20
    elites: int = 5
    spread: float = 0.4
    restarts: int = 2
    """Searches for everybody, each with its own chance."""
    sessions: int = 1000
    """What weights are worth is measured on so many."""
    profiles: int = 12
    """A, at most: the incumbent and the largest segments."""
    least: int = 100
    """Pages of a segment to be searched for."""

    def __post_init__(self) -> None:
        if self.profiles < 2 or self.restarts < 1 or self.sessions < 1:
            raise ConfigError("profiles must be 2 or more, restarts and sessions 1 or more")

    @property
    def search(self) -> SearchConfig:
        return SearchConfig(
            generations=self.generations,
            population=self.population,
            elites=self.elites,
            spread=self.spread,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search came to."""

    name: str
    weights: Floats
    """(S,) of unit spread."""
    curve: tuple[float, ...]
    """The best value so far, by generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """Profiles to choose from; profile 0 is the best constant one."""

    names: tuple[str, ...]
    weights: Floats
    """(A, S)"""
    searches: tuple[Found, ...]


def make_bank(
    simulator: Simulator, segments: Sequence[Segment], settings: ProfileSettings, out: Path, seed: int
) -> Bank:
    """Search the bank on a simulator whose only profile is where to start; Ray must run.

    Profile 0 is the one of the bank that is worth most to everybody.
    """
    rng = np.random.default_rng([seed, 0])
    size = min(settings.sessions, len(simulator.sessions))
    few = simulator.situations.take(rng.choice(simulator.sessions, size, replace=False))
    small = varied(simulator, situations=few)
    everybody: list[Segment | None] = [None] * settings.restarts
    first = _search(small, everybody, settings, out, seed)
    best = first[int(np.argmax([found.curve[-1] for found in first]))]
    chosen = list(segments[: settings.profiles - 1])
    begin = varied(small, weights=best.weights[None])
    here = _search(begin, chosen, settings, out, seed + 1) if chosen else []
    names = ("everybody", *(segment.name for segment in chosen))
    bank = np.stack([best.weights, *(found.weights for found in here)])
    played = varied(simulator, weights=bank)
    worth = [returns_of(played, constant(profile), [seed]).mean() for profile in range(len(bank))]
    order = [int(np.argmax(worth)), *(p for p in range(len(bank)) if p != int(np.argmax(worth)))]
    return Bank(names=tuple(names[place] for place in order), weights=bank[order], searches=(*first, *here))


def _search(
    simulator: Simulator,
    segments: Sequence[Segment | None],
    settings: ProfileSettings,
    out: Path,
    seed: int,
) -> list[Found]:
    """One Tune trial for each of `segments`, beginning at the simulator's profile 0."""
    trainable = tune.with_parameters(
        trial, simulator=simulator, segments=list(segments), config=settings.search, seed=seed
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={"search": tune.grid_search(list(range(len(segments))))},
        tune_config=tune.TuneConfig(metric="value", mode="max", reuse_actors=True),
        run_config=tune.RunConfig(
            name=f"profiles-{uuid4().hex[:8]}",
            storage_path=str(out.resolve() / "trials"),
            verbose=0,
            callbacks=[_Bar(len(segments) * settings.generations)],
        ),
    )
    grid = tuner.fit()
    if grid.errors:
        raise DataError(f"a search for a profile failed: {grid.errors[0]}")
    found = sorted(grid, key=lambda result: int(result.config["search"]))
    return [_found(result, segment, simulator) for result, segment in zip(found, segments, strict=True)]


def _found(result: Any, segment: Segment | None, simulator: Simulator) -> Found:
    weights = np.array([result.metrics[f"weight/{name}"] for name in SIGNALS])
    return Found(
        name="everybody" if segment is None else segment.name,
        weights=unit_spread(weights, simulator.situations),
        curve=tuple(float(value) for value in result.metrics_dataframe["value"]),
    )


def trial(
    sample: dict[str, Any],
    *,
    simulator: Simulator,
    segments: Sequence[Segment | None],
    config: SearchConfig,
    seed: int,
) -> None:
    """One Tune trial: search the weights of one segment and report every generation."""
    number = int(sample["search"])
    values = profile_values(simulator, segments[number], [seed])
    start = simulator.weights[0]
    for generation in search_weights(values, start, _free(simulator), config, seed=1000 * seed + number):
        weights = {f"weight/{name}": w for name, w in zip(SIGNALS, generation.weights, strict=True)}
        tune.report({"value": generation.value, "generation": generation.number, **weights})


def _free(simulator: Simulator) -> Bools:
    """Which weights (S,) can be told anything about: those whose signal varies in the situations."""
    here = simulator.situations
    return np.asarray(here.signals[here.present].std(axis=0) > 1e-6)


class _Bar(tune.Callback):
    """A progress bar over the generations of all trials."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_bar": None}  # a bar holds the terminal, which no checkpoint can

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if self._bar is None:
            self._bar = tqdm(total=self._total, desc="profiles", unit="generation", mininterval=1.0)
        self._bar.update(1)

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        if self._bar is not None:
            self._bar.close()
