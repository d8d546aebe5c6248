"""RetailRocket's views, carts and purchases: what predicting all kinds does for the next purchase.

Two tasks, each over the whole catalog. `file`: the purchases that the files hold out; the item is nowhere
else in the user's history, so what is one's own is out of the question. `live`: everybody's last purchase
whose time is known, asked for a moment before it from all that was known then; most of these items were
in the cart. Settings are compared on the validation: the same kind of purchase, held out of the files'
log (`file`), or of the other half of the users (`live`). `--validate` looks at nothing else,
and leaves out the whole model, which learns from the validation.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.sets import bench_set
from raysys.catalog import Catalog
from raysys.evaluation.metrics import mean_error
from raysys.evaluation.next_item import NextItemMetrics
from raysys.events import KINDS
from raysys.interest.asked import Asked
from raysys.interest.defaults import network_config
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import InterestConfig, Lesson, fit_lessons, relearned
from raysys.interest.habits import Habits
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.network import NetworkConfig
from raysys.interest.partners import Following
from raysys.interest.recall import RecallSizes
from raysys.interest.source import NetworkSource
from raysys.types import Bools, Floats, Ints
from tuning.baselines import FOREVER, Log, sampled, tune_baselines
from tuning.events import read_events
from tuning.fit import fit_and_export
from tuning.questions import read_asked
from tuning.ranked import Scores, ranked, whole

PURCHASE, CART = KINDS.index("purchase"), KINDS.index("cart")
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "purchases only": {"targets": ("purchase",)},
    "all kinds": {"targets": ("view", "cart", "purchase")},
}
"""What differs in the networks that are compared."""
TUNED_ON = 200
"""People of the validation on whom the simple systems are tuned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is learned from, and what is asked for."""

    name: str
    train: Interactions
    """What is learned from when the validation is asked."""
    valid: Asked
    known: Interactions
    """What is learned from when the test is asked."""
    test: Asked


def read_task(name: str) -> tuple[Task, Catalog]:
    """The task of that name, and the items."""
    files = bench_set("retailrocket")
    log = read_events([files.events], [files.items])
    if name == "live":
        return live_task(log.events), log.catalog
    assert files.ask is not None
    return file_task(log.events, read_asked(files.ask, log)), log.catalog


def file_task(events: Interactions, test: Asked) -> Task:
    """The files' test; the validation is everybody's last purchase, taken out of the log as theirs was."""
    last = last_purchases(events)
    pair = events.user * (int(events.row.max()) + 1) + events.row
    train = events.where(~np.isin(pair, pair[last]))
    last = last[np.isin(events.user[last], train.user)]
    users = events.user[last]
    after = np.zeros(int(events.user.max()) + 1, np.int64)
    np.maximum.at(after, train.user, train.time_ms + 1)
    valid = _asked(events, train, last, after[users], new_only=True)
    return Task(name="file", train=train, valid=valid, known=events, test=test)


def live_task(events: Interactions) -> Task:
    """Everybody's last purchase, asked for when it happened; half of the users are the validation."""
    last = last_purchases(events)
    at_ms = np.full(int(events.user.max()) + 1, np.iinfo(np.int64).max)
    at_ms[events.user[last]] = events.time_ms[last]
    train = events.where(events.time_ms < at_ms[events.user])
    last = last[np.isin(events.user[last], train.user)]
    asked = _asked(events, train, last, events.time_ms[last], new_only=False)
    half = np.random.default_rng(0).random(len(asked)) < 0.5
    return Task(name="live", train=train, valid=asked.of(half), known=train, test=asked.of(~half))


def last_purchases(events: Interactions) -> Ints:
    """Place of the last purchase of each user who has one, in order of the users."""
    place = np.flatnonzero(events.kind == PURCHASE)
    place = place[np.argsort(events.user[place], kind="stable")]
    return np.asarray(place[np.append(np.diff(events.user[place]) > 0, True)])


def _asked(events: Interactions, before: Interactions, place: Ints, now_ms: Ints, *, new_only: bool) -> Asked:
    truth = tuple(events.row[place][:, None])
    after = events.where(np.isin(np.arange(len(events)), place))
    user = events.user[place]
    return Asked(before=before, user=user, now_ms=now_ms, truth=truth, new_only=new_only, after=after)


def slices(asked: Asked, learned: Interactions) -> dict[str, Bools]:
    """Who (n,) is asked for what kind of item."""
    truth = np.concatenate(asked.truth)
    wide = int(max(truth.max(), asked.before.row.max())) + 1
    mine, pairs = asked.user * wide + truth, asked.before.user * wide + asked.before.row
    carted = np.isin(mine, pairs[asked.before.kind == CART])
    own = np.isin(mine, pairs)
    cold = ~np.isin(truth, learned.row)
    return {"carted": carted, "own, not carted": own & ~carted, "new to the user": ~own, "cold": cold}


def own_latest(log: Log) -> Scores:
    """What one put into the cart, the last one first, then what one viewed; then what is popular."""
    popular = log.popular()

    def scores(habits: Habits, now_ms: int) -> Floats:
        found = popular.copy()
        known = habits.history_rows >= 0
        rows, kinds = habits.history_rows[known], habits.history_kinds[known]
        for weight, mine in ((1e3, np.ones(len(rows), np.bool_)), (1e6, kinds == CART)):
            found[rows[mine]] = weight * (1.0 + np.flatnonzero(mine))  # of equal rows the last one counts
        return found

    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A task over a catalog, with the networks that were fitted for it."""

    task: Task
    catalog: Catalog
    out: Path
    cpu_seconds: float
    people: int
    seed: int

    def network(self, name: str, events: Interactions) -> NetworkSource:
        """A network of a log, fitted once and kept."""
        part = "train" if events is self.task.train else "known"
        folder = self.out / self.task.name / f"{name.replace(' ', '_')}-{part}-{self.seed}"
        if not folder.exists():
            rules = network_config(events, len(self.catalog), self.cpu_seconds, seed=self.seed)
            config: NetworkConfig = replace(rules, day_share=0.0, **NETWORKS[name])
            fit_and_export(events, self.catalog, config, folder)
        return NetworkSource.of(UserEncoder.load(folder), self.catalog)

    def systems(self, validate: bool) -> Iterator[tuple[str, Scores]]:
        """Everything that is compared, one after the other; the whole model learned from the validation."""
        task = self.task
        learned = task.train if validate else task.known
        simple = tune_baselines(task.train, sampled(task.valid, TUNED_ON), len(self.catalog))
        log = Log(events=learned, items=len(self.catalog))
        for name, system in simple.systems.items():
            yield name, system(log)
        yield "own latest", own_latest(log)
        for name in NETWORKS:
            yield f"network, {name}", self.network(name, learned).scores
        for name in () if validate else (None, *NETWORKS):
            inner = None if name is None else self.network(name, task.train)
            outer = None if name is None else self.network(name, learned)
            yield f"raysys, {name or 'no network'}", self.interest(simple.following, inner, outer)

    def interest(
        self, following: Following, inner: NetworkSource | None, outer: NetworkSource | None
    ) -> Scores:
        """The interest model as of the test, its combination fitted on the validation's answers."""
        task, size = self.task, 60
        config = InterestConfig(
            kinds=("purchase",), primary="purchase", following=following, new_only=task.valid.new_only,
            network_heard=inner is not None, content_heard=False, recalled=size, near=1, others=10, asked=0,
            aim="ndcg", sizes=RecallSizes(source=size, popular=size, leaf=size), people=self.people,
            seed=self.seed,
        )  # fmt: skip
        known_ms = int(task.train.time_ms[-1]) + 1
        lesson = Lesson(asked=task.valid, learned=task.train, known_ms=known_ms, network=inner)
        fitted = fit_lessons([lesson], task.train, self.catalog, config, inner)
        print(fitted.contests[0])
        scorer = relearned(replace(fitted.scorer, network=outer), task.known, self.catalog, config)
        now_ms = int(task.known.time_ms[-1]) + 1
        return whole(scorer, popularity(task.known, len(self.catalog), now_ms, FOREVER))


def run(bench: Bench, validate: bool) -> list[dict[str, Any]]:
    """A row for every system: metrics, paired gain over the first of its family, and each slice's NDCG@10."""
    task = bench.task
    asked = sampled(task.valid if validate else task.test, bench.people)
    parts = slices(asked, task.train if validate else task.known)
    rows: list[dict[str, Any]] = []
    firsts: dict[str, NextItemMetrics] = {}
    for name, scores in bench.systems(validate):
        begun = time.process_time()
        found = ranked(scores, asked).judged(asked)
        row: dict[str, Any] = {"system": name, **found.summary(), "cpu_s": time.process_time() - begun}
        row["slices"] = {part: _slice(found.ndcg[mine]) for part, mine in parts.items()}
        row["gain"] = found.gain(firsts.setdefault(name.partition(",")[0], found))
        rows.append(row)
        print(_line(row), flush=True)
    return rows


def _slice(ndcg: Floats) -> dict[str, float]:
    mean, error = mean_error(ndcg)
    return {"n": len(ndcg), "ndcg@10": mean, "ndcg@10_se": error}


def _line(row: Mapping[str, Any]) -> str:
    values, gain = row["slices"].items(), row["gain"]
    parts = "  ".join(f"{name} ({value['n']}) {value['ndcg@10']:.4f}" for name, value in values)
    return (
        f"{row['system']:<24} NDCG@10 {row['ndcg@10']:.4f} ± {row['ndcg@10_se']:.4f} HR@10 {row['hr@10']:.4f}"
        f" MRR {row['mrr']:.4f} more {gain['ndcg@10']:+.4f} ± {gain['ndcg@10_se']:.4f} | {parts}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the tasks, print every row and write them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.behaviors", description=__doc__)
    parser.add_argument("--tasks", nargs="+", choices=["file", "live"], default=["file", "live"])
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--cpu-seconds", type=float, default=20.0, help="of fitting a network")
    parser.add_argument("--people", type=int, default=5000, help="learned from, and asked, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("var/behaviors"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in options.tasks:
        task, catalog = read_task(name)
        bench = Bench(
            task=task,
            catalog=catalog,
            out=options.out,
            cpu_seconds=options.cpu_seconds,
            people=options.people,
            seed=options.seed,
        )
        rows = run(bench, options.validate)
        options.out.mkdir(parents=True, exist_ok=True)
        part = "validation" if options.validate else "test"
        (options.out / f"{name}-{part}-{options.seed}.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
