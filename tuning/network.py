"""Job: find the interest network's settings with Ray Tune."""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from raysys.bundle import read_manifest
from raysys.catalog import Catalog
from raysys.config import read_settings, read_toml
from raysys.errors import BundleError, ConfigError, DataError
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.train import REPORTS, EpochReport, fit_network
from raysys.interest.warm import SPACE, Older, begin
from raysys.types import DAY_MS
from tuning.fit import older_of
from tuning.log import read_log
from tuning.trials import Search, Trial, claim, cores, described, run_search, start_ray, told

SETTINGS = Path(__file__).with_name("settings.toml")
METRIC = "ndcg"
NEAR = 0.9
"""Share of the best trial's metric that another must reach for its network to be kept beside it."""
CHECKPOINT, TABLE, NETWORK = "training.pt", "trials.json", "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """The table [interest]: what is searched, and how long."""

    trials: int = 8
    minutes: float = 20.0
    """No trial starts or goes on after that."""
    horizon_days: float = 28.0
    """The last days of the log, whose first shopping day of each user judges a trial."""
    cpus: int = 0
    """Trials at a time, one core each; 0 takes all cores."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Where the search starts: fields of `NetworkConfig` that differ from its defaults."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """What is searched: fields of `NetworkConfig`."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What differs in the second trial from the first; nothing leaves it to the sampler."""

    def __post_init__(self) -> None:
        for name in ("trials", "minutes", "horizon_days"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0")
        known = set(NetworkConfig.__dataclass_fields__)
        if unknown := sorted(set(self.space) - known):
            raise ConfigError(f"space names {unknown}; NetworkConfig has {sorted(known)}")

    @classmethod
    def read(cls, path: Path = SETTINGS) -> "SearchSettings":
        return read_settings(cls, read_toml(path).get("interest", {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What a search found."""

    config: NetworkConfig
    """The best trial's, with as many epochs as were best."""
    ndcg: float
    """NDCG@10 of that trial on the days that were held out."""
    network: Path
    """Folder of the best trial's network, exported; it has not seen the days held out."""
    best: Mapping[str, Any]
    """The row of the best one."""
    others: tuple[tuple[NetworkConfig, Path], ...] = ()
    """Settings and networks of the next best trials, if some were asked for."""
    table: Path
    """`trials.json`: settings and learning curves of every trial."""
    trials: tuple[Mapping[str, Any], ...]
    """Its rows: `settings`, `curves` by metric with one value an epoch, `error`."""

    @classmethod
    def load(cls, out: Path) -> "Tuned":
        """Read what a search left in its folder."""
        try:
            table = json.loads((out / TABLE).read_bytes())
        except (OSError, ValueError) as error:
            raise BundleError(f"{out / TABLE}: {error}; run the search again") from error
        return cls(
            config=read_settings(NetworkConfig, table["config"]),
            ndcg=table["ndcg"],
            network=out / NETWORK,
            others=tuple(
                (read_settings(NetworkConfig, config), out / f"{NETWORK}_{place}")
                for place, config in enumerate(table["others"], start=2)
            ),
            table=out / TABLE,
            trials=tuple(table["trials"]),
            best=table["trials"][table["best"]],
        )


def tune_network(
    events: Interactions,
    catalog: Catalog,
    out: Path,
    *,
    config: NetworkConfig | None = None,
    settings: SearchSettings | None = None,
    until_ms: int | None = None,
    warm: Path | None = None,
) -> Tuned:
    """Search for the best settings on a log, all but the last `horizon_days` of it.

    Called again with the same arguments it goes on where it was stopped, and a finished search
    is not repeated. TensorBoard reads `out`/trials.

    Args:
        out: folder of the trials, the table and the best network.
        config: where the search starts; that of `settings` if not given.
        until_ms: what happened then or later is not looked at.
        warm: a bundle whose network every trial of its width, heads and temperature goes on from;
            the search starts with those.

    Raises:
        ConfigError: `out` holds the search of something else.
        DataError: no trial came to an end.
    """
    settings = settings or SearchSettings.read()
    config = config or read_settings(NetworkConfig, settings.network)
    events = events if until_ms is None else events.before(until_ms)
    end = until_ms if until_ms is not None else int(events.time_ms[-1]) + 1 if len(events) else 0
    cut = end - int(settings.horizon_days * DAY_MS)
    before, valid = events.before(cut), events.since(cut)
    if not len(before) or not len(valid):
        raise DataError(
            f"{len(before)} interactions before the last {settings.horizon_days} days and {len(valid)}"
            " in them; both are needed: send a longer log or lower horizon_days"
        )
    return search_network(before, valid, catalog, out, config, settings, warm=warm)


def search_network(
    before: Interactions,
    valid: Interactions,
    catalog: Catalog,
    out: Path,
    config: NetworkConfig,
    settings: SearchSettings,
    *,
    keep_seen: bool = True,
    networks: int = 1,
    warm: Path | None = None,
) -> Tuned:
    """Search for the settings that, learned from `before`, best tell what users do in `valid`.

    Args:
        keep_seen: whether an item of a user's history may be an answer.
        networks: of so many of the best trials, at most, the network is kept.
        warm: as of `tune_network`.

    Raises:
        ConfigError: `out` holds the search of something else.
        DataError: no trial came to an end.
    """
    older = None if warm is None else older_of(warm)
    if older is not None:
        config = replace(config, **{name: getattr(older.config, name) for name in SPACE})
    asked: dict[str, Any] = {"network": asdict(config), "space": settings.space, "trials": settings.trials}
    asked |= {"also": settings.also, "keep_seen": keep_seen, "networks": networks}
    if warm is not None:
        asked["warm"] = read_manifest(warm)["id"]
    what = json.dumps(asked, sort_keys=True).encode()
    claim(out, [what, *told(before), *told(valid), *described(catalog)])
    if (out / TABLE).exists():
        return Tuned.load(out)
    search = Search(
        metric=METRIC,
        space=settings.space,
        first=asdict(config),
        also=settings.also,
        trials=settings.trials,
        minutes=settings.minutes,
        epochs=config.epochs,
        kept=networks,
        seed=config.seed,
    )
    start_ray(settings.cpus or cores())
    resources = {"cpu": 1.0, "gpu": 1.0 if torch.cuda.is_available() else 0.0}
    log = {"before": before, "valid": valid, "catalog": catalog}
    job = tune.with_parameters(trial, base=config, **log, older=older, keep_seen=keep_seen)
    trials = run_search(job, search, out / "trials", resources=resources)
    return _finish(trials, before, valid, catalog, config, out, networks)


def trial(
    sample: dict[str, Any],
    *,
    base: NetworkConfig,
    before: Interactions,
    valid: Interactions,
    catalog: Catalog,
    older: Older | None,
    keep_seen: bool,
) -> None:
    """One Tune trial: build, fit, report, and keep what is needed to go on."""
    torch.set_num_threads(1)
    training = fit_network(before, catalog, replace(base, **sample), valid, keep_seen=keep_seen)
    if older is not None and older.fits(training.config):
        begin(training.model, older, catalog)
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            training.resume(Path(folder) / CHECKPOINT)
    for report in training:
        with tempfile.TemporaryDirectory() as folder:
            training.save(Path(folder) / CHECKPOINT)
            tune.report(asdict(report), checkpoint=tune.Checkpoint.from_directory(folder))


def _finish(
    trials: list[Trial],
    before: Interactions,
    valid: Interactions,
    catalog: Catalog,
    base: NetworkConfig,
    out: Path,
    networks: int,
) -> Tuned:
    def reached(one: Trial) -> float:
        # a run bounded by CPU time ends with its last network, and is none if it was stopped before
        if base.cpu_seconds is None:
            return one.best(METRIC)
        curve = one.curves[METRIC]
        return curve[-1] - (len(curve) < REPORTS)

    judged = [one for one in trials if one.checkpoint is not None and one.best(METRIC) > float("-inf")]
    # of little time on a large catalog nothing may be left to train in
    judged = [one for one in judged if sum(one.curves["events"]) > 0]
    if not judged:
        why = sorted({one.error for one in trials if one.error}) or "allow more minutes or horizon_days"
        raise DataError(f"none of {len(trials)} trials was judged: {why}")
    first, *others = sorted(judged, key=reached, reverse=True)[:networks]
    others = [one for one in others if reached(one) >= NEAR * reached(first)]
    configs = []
    for place, one in enumerate((first, *others), start=1):
        config = replace(base, **one.settings)
        training = fit_network(before, catalog, config, valid, device="cpu")
        assert one.checkpoint is not None
        training.resume(one.checkpoint / CHECKPOINT)
        folder = out / (NETWORK if place == 1 else f"{NETWORK}_{place}")
        shutil.rmtree(folder, ignore_errors=True)
        export_network(training.finish(), folder)
        configs.append(asdict(replace(config, epochs=1 + int(np.nanargmax(one.curves[METRIC])))))
    table = {
        "metric": METRIC,
        "ndcg": reached(first),
        "config": configs[0],
        "others": configs[1:],
        "best": trials.index(first),
        "trials": [_row(one) for one in trials],
    }
    partial = out / f"{TABLE}.part"
    partial.write_text(json.dumps(table, indent=1))
    partial.replace(out / TABLE)  # its presence says that the search is over
    return Tuned.load(out)


def _row(one: Trial) -> dict[str, Any]:
    curves = {name: one.curves[name] for name in EpochReport.__dataclass_fields__ if name in one.curves}
    return {"settings": dict(one.settings), "curves": curves, "error": one.error}


def main(arguments: list[str] | None = None) -> None:
    """Search, then print the trials and the best settings."""
    parser = argparse.ArgumentParser(prog="python -m tuning.network", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of tuning.dataset")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder", type=Path, help="folder of a text encoder, for titles")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--until-ms", type=int, help="look at nothing from then on")
    parser.add_argument("--warm", type=Path, help="a bundle whose network is gone on from")
    options = parser.parse_args(arguments)
    given = {name: value for name in ("trials", "minutes") if (value := getattr(options, name))}
    settings = replace(SearchSettings.read(options.settings), **given)
    events, catalog = read_log(options.data, options.encoder)
    tuned = tune_network(
        events, catalog, options.out, settings=settings, until_ms=options.until_ms, warm=options.warm
    )
    for number, one in enumerate(tuned.trials):
        curve = one["curves"].get(METRIC, [])
        print(f"trial {number}: {max(curve, default=0.0):.4f} in {len(curve)} epochs {one['settings']}")
    print(f"best {METRIC}@10 {tuned.ndcg:.4f}; network in {tuned.network}, table in {tuned.table}")


if __name__ == "__main__":
    main()
