"""Continuous learning: a network that goes on from an older one against one from scratch, at equal CPU time.

`journey`: the demo's shop four weeks later. Few items and households are new there, so every tenth of both,
drawn at random, is made to arrive in those weeks: what they did before is taken out of every log.
`transfer`: the network of one shop (Amazon Beauty) begins another one (Amazon Toys), which shares no item
with it, through the texts. `--validate` judges on earlier weeks, or on the last interaction but one; choices
are made there.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from raysys.catalog import Catalog
from raysys.dataset import complete_journey
from raysys.interest.asked import Asked, leave_one_out
from raysys.interest.content import Content
from raysys.interest.defaults import network_config
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.questions import Questions, judge
from raysys.interest.sequences import Sequences
from raysys.interest.train import fit_network
from raysys.interest.warm import Older, begin
from raysys.types import DAY_MS, Floats, Ints
from tuning.events import read_events
from tuning.log import read_log

WEEKS_MS = 28 * DAY_MS
GENTLE = 0.3
"""Of the usual learning rates, in the variant that goes on carefully."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be learned after something older, and what it is judged by."""

    log: Interactions
    catalog: Catalog
    older: Older
    questions: Questions
    transfer: bool
    parts: Mapping[str, tuple[Questions, tuple[Ints, ...]]]
    """Other questions by name, with their answers."""


Begin = Callable[[Task, InterestNetwork], object]


def turned(task: Task, model: InterestNetwork) -> object:
    """As `raysys.interest.warm` does it."""
    return begin(model, task.older, task.catalog, transfer=task.transfer)


def unturned(task: Task, model: InterestNetwork) -> None:
    """New items begin by themselves, in no relation to the older space."""
    own = model.identity.weight.detach().clone()
    old = _kept(task, model)
    turned(task, model)
    with torch.no_grad():
        model.identity.weight[~old] = own[~old]


def by_content(task: Task, model: InterestNetwork) -> None:
    """New items begin where the older network's content tower sees them."""
    old = _kept(task, model)
    turned(task, model)
    vectors = task.older.vectors(Content.of(task.catalog), text_only=task.transfer)
    with torch.no_grad():
        model.identity.weight[~old] = torch.from_numpy(vectors)[~old]


def scratch(task: Task, model: InterestNetwork) -> None:
    """With nothing."""


def _kept(task: Task, model: InterestNetwork) -> torch.Tensor:
    """Whether (I,) an item has a vector of the older network."""
    names = np.array(task.older.item_ids)[np.asarray(task.older.known)] if not task.transfer else []
    return torch.from_numpy(np.isin(task.catalog.item_ids, names))


def fitted(
    log: Interactions, catalog: Catalog, config: NetworkConfig, prepare: Callable[[InterestNetwork], object]
) -> InterestNetwork:
    """A network after `config.cpu_seconds`, begun by `prepare`."""
    training = fit_network(log, catalog, config, device="cpu")
    prepare(training.model)
    list(tqdm(training, desc=f"{config.cpu_seconds:.0f} CPU seconds", total=4, unit="part"))
    return training.model


def aged(log: Interactions, catalog: Catalog, config: NetworkConfig) -> Older:
    """A network of the log, exported and read again."""
    model = fitted(log, catalog, config, lambda model: None)
    with tempfile.TemporaryDirectory() as folder:
        return Older.load(export_network(model, Path(folder) / "network"), catalog.item_ids)


def run(
    task: Task, ways: Mapping[str, tuple[Begin, dict[str, Any]]], config: NetworkConfig
) -> list[dict[str, Any]]:
    """Every way to begin at one budget; NDCG@10 with its standard error, and against the first way."""
    rows, first = list[dict[str, Any]](), None
    for name, (way, changes) in ways.items():
        log = task.log.since(changes.get("since_ms", 0))
        rates = {part: GENTLE * getattr(config, part) for part in ("learning_rate", "hidden_rate")}
        mine = replace(config, **rates) if changes.get("gentle") else config
        model = fitted(log, task.catalog, mine, lambda model, way=way: way(task, model))  # type: ignore[misc]
        gains = task.questions.gains(model)
        first = gains if first is None else first
        row = {"way": name, "cpu_seconds": config.cpu_seconds, **_mean("ndcg@10", gains)}
        row |= _mean("more", gains - first)
        for part, (questions, truth) in task.parts.items():
            row |= _mean(part, judge(questions.scores(model), truth))
        rows.append(row)
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}), flush=True)
    return rows


def _mean(name: str, gains: Floats) -> dict[str, float]:
    if not len(gains):
        return {name: float("nan"), f"{name}_se": float("nan")}
    return {name: float(gains.mean()), f"{name}_se": float(gains.std() / np.sqrt(len(gains)))}


def journey(data: Path, seconds: float, validate: bool, seed: int) -> tuple[Task, NetworkConfig]:
    """The shop of the demo: a network of the log until four weeks ago, and the log of today."""
    events, catalog = read_log(data, None)
    tune_ms, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    now_ms = tune_ms if validate else test_ms
    events = arriving(events, len(catalog), now_ms - WEEKS_MS)
    before, log = events.before(now_ms - WEEKS_MS), events.before(now_ms)
    after = events.since(now_ms).before(now_ms + WEEKS_MS)
    config = network_config(before, len(catalog), seconds, seed=seed)
    asked = Questions.of(log, after, config)
    new_item = np.setdiff1d(log.row, before.row)
    new_user = np.setdiff1d(log.user, before.user)
    print(f"{len(new_item)} items and {len(new_user)} users are new in the four weeks")
    strangers = of_users(asked, np.isin(asked.users, new_user))
    mine = [np.intersect1d(true, new_item) for true in asked.truth]
    takers = np.array([len(true) > 0 for true in mine])
    fresh = of_users(asked, takers)
    parts = {
        f"new_users({len(strangers)})": (strangers, strangers.truth),
        f"new_items({len(fresh)})": (fresh, tuple(true for true in mine if len(true))),
    }
    task = Task(
        log=log,
        catalog=catalog,
        older=aged(before, catalog, config),
        questions=asked,
        transfer=False,
        parts=parts,
    )
    return task, config


def arriving(events: Interactions, items: int, at_ms: int, share: float = 0.1) -> Interactions:
    """The log as if a share of users and items, the same ones every time, had come at a moment."""
    rng = np.random.default_rng(0)
    late_user = rng.random(int(events.user.max()) + 1) < share
    late_item = rng.random(items) < share
    return events.where((events.time_ms >= at_ms) | ~(late_user[events.user] | late_item[events.row]))


def transfer(
    old: Path, new: Path, encoder: Path, seconds: float, validate: bool, seed: int
) -> tuple[Task, NetworkConfig]:
    """Another shop: its users' last interaction is asked for."""
    one, other = (read_events([path], encoder=encoder) for path in (old, new))
    config = network_config(one.events, len(one.catalog), seconds, seed=seed)
    split = leave_one_out(other.events)
    asked = split.valid if validate else split.test
    task = Task(
        log=asked.before,
        catalog=other.catalog,
        older=aged(one.events, one.catalog, config),
        questions=questions_of(asked),
        transfer=True,
        parts={},
    )
    return task, config


def questions_of(asked: Asked) -> Questions:
    return Questions(
        sequences=Sequences.of(asked.before),
        users=asked.user,
        now_ms=asked.now_ms,
        truth=asked.truth,
        keep_seen=not asked.new_only,
    )


def of_users(questions: Questions, keep: Any) -> Questions:
    """The questions of some users."""
    truth = tuple(true for true, kept in zip(questions.truth, keep.tolist(), strict=True) if kept)
    return replace(questions, users=questions.users[keep], now_ms=questions.now_ms[keep], truth=truth)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the two, print every row and write them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.continual", description=__doc__)
    parser.add_argument("which", choices=["journey", "transfer"])
    parser.add_argument("--data", type=Path, default=Path("var/journey_full"))
    parser.add_argument("--old", type=Path, default=Path("var/bench/beauty"))
    parser.add_argument("--new", type=Path, default=Path("var/bench/toys"))
    parser.add_argument("--encoder", type=Path, default=Path("var/encoder"))
    parser.add_argument("--older-seconds", type=float, default=30.0, help="CPU seconds of the older network")
    parser.add_argument("--seconds", type=float, nargs="+", default=[10.0, 20.0, 40.0])
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("var/continual"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    how = options.older_seconds, options.validate, options.seed
    task, config = (
        journey(options.data, *how)
        if options.which == "journey"
        else transfer(options.old, options.new, options.encoder, *how)
    )
    ways: dict[str, tuple[Begin, dict[str, Any]]] = {"scratch": (scratch, {}), "warm": (turned, {})}
    if options.validate:
        ways |= {
            "warm, gentle": (turned, {"gentle": True}),
            "warm, new items by content": (by_content, {}),
            "warm, new items by themselves": (unturned, {}),
        }
        if not task.transfer:
            since_ms = int(task.log.time_ms[-1]) - WEEKS_MS
            ways |= {"warm, new weeks alone": (turned, {"since_ms": since_ms})}
    rows = [row for budget in options.seconds for row in run(task, ways, replace(config, cpu_seconds=budget))]
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"{options.which}-{'validation' if options.validate else 'test'}-{options.seed}.json"
    (options.out / name).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
