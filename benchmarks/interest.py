"""raysys and its peers on the same splits: next item, full ranking, seen items removed (journey: not).

Each (set, system, seed) is run once and kept under var/bench/results; the tables are printed from what
is there. raysys is the command that everybody has, in a process of its own; the peers run in theirs.
"""

import argparse
import json
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from benchmarks.sets import NAMES, OUT, bench_set
from raysys.evaluation.next_item import judge_by_library
from raysys.interest.interactions import Interactions
from raysys.types import Bools, Floats, Ints
from tuning.document import DocumentNetwork
from tuning.events import LEAVE_ONE_OUT, read_events
from tuning.interest import study_of
from tuning.minutes import SETTINGS
from tuning.study import Study

RESULTS = OUT / "results"
PEER_PYTHON, PEERS_SCRIPT = Path("var/peers/venv/bin/python"), Path("benchmarks/peers/peers.py")
RAYSYS: Mapping[str, Sequence[str]] = {
    "raysys": (),
    "raysys strict": ("--strict",),
    "raysys strict, identity only": ("--strict", "--identity-only"),
}
"""Variants of the command. Strict: combined by answers inside the training log."""
PEERS = ("popularity", "item-knn", "als", "ease", "sasrec", "esasrec")
DOCUMENT = "document"
SETS = ("beauty", "sports", "toys", "movielens-exact", "movielens-skip", "movielens_int-exact")
LENGTH = 100
PUBLISHED: Mapping[str, Sequence[tuple[str, float, float]]] = {
    "beauty": (("SASRec+SS, eSASRec's README", 0.0921, 0.0531), ("eSASRec, its README", 0.0928, 0.0523)),
    "sports": (("SASRec+SS, eSASRec's README", 0.0569, 0.0314), ("eSASRec, its README", 0.0560, 0.0323)),
    "toys": (("SASRec+SS, eSASRec's README", 0.0970, 0.0580), ("eSASRec, its README", 0.0939, 0.0538)),
    "movielens-exact": (
        ("gSASRec, its README (6,040 users)", 0.3003, 0.1726),
        ("SASRec+ 3000 negatives, Klenitskiy & Vasilev (6,040 users)", 0.3159, 0.1857),
        ("HSTU-large, its README (own preprocessing)", 0.3294, 0.1893),
    ),
}
"""HR@10 and NDCG@10 that others published: identity only, single models, on GPUs."""

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interest", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=NAMES, default=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, default=7.5, help="wall minutes of raysys on all cores")
    parser.add_argument("--cpu-seconds", type=float, default=900.0, help="of training a peer's transformer")
    parser.add_argument("--systems", nargs="*", help="only these, of raysys' variants and the peers")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--print", action="store_true", help="run nothing")
    options = parser.parse_args(arguments)
    systems = options.systems or [*RAYSYS, *((*PEERS, DOCUMENT) if options.peers else ())]
    if unknown := sorted(set(systems) - {*RAYSYS, *PEERS, DOCUMENT}):
        parser.error(f"no system is called {unknown}; there are {[*RAYSYS, *PEERS, DOCUMENT]}")
    for name in options.sets:
        for seed in () if options.print else options.seeds:
            for system in systems:
                if not kept(name, system, seed).exists():
                    row = run(name, system, seed, options.minutes, options.cpu_seconds)
                    _write(kept(name, system, seed), row)
        print("\n".join(table(name)), flush=True)


def kept(name: str, system: str, seed: int) -> Path:
    """Where a result lies."""
    return RESULTS / name / f"{system.replace(', ', ' ').replace(' ', '_')}-{seed}.json"


def run(name: str, system: str, seed: int, minutes: float, cpu_seconds: float) -> Row:
    """One result: the metrics of the command, costs, and settings."""
    print(f"{name}: {system}, seed {seed}", flush=True)
    if system in RAYSYS:
        return run_raysys(name, RAYSYS[system], seed, minutes) | {"system": system, "seed": seed}
    study = plain(name, minutes)
    folder = plain_folder(name)
    if system == DOCUMENT:
        ranked, report = run_document(study, seed)
    else:
        command = [
            PEER_PYTHON,
            PEERS_SCRIPT,
            folder,
            system,
            f"--seed={seed}",
            f"--cpu-seconds={cpu_seconds}",
        ]
        subprocess.run([str(part) for part in command], check=True)
        ranked = np.load(folder / f"{system}-{seed}.npy")
        report = json.loads((folder / f"{system}-{seed}.json").read_text())
    return (
        judge_by_library(ranked, study.split.test.truth).summary() | report | {"system": system, "seed": seed}
    )


def run_raysys(name: str, more: Sequence[str], seed: int, minutes: float) -> Row:
    """The command in a process of its own; its simple systems come along."""
    out = OUT / "runs" / f"{name}{''.join(more)}-{seed}"
    command = [sys.executable, "-m", "tuning.interest", *bench_set(name).arguments(), *more]
    subprocess.run([*command, f"--seed={seed}", f"--minutes={minutes}", "--out", str(out)], check=True)
    found = json.loads((out / "metrics.json").read_text())
    row: Row = dict(found["test"]) | {"search_cpu_seconds": found["cpu_seconds"]}
    kept_keys = ("chosen", "baselines", "validation", "settings", "seconds")
    return row | found["training"] | {key: found[key] for key in kept_keys}


def study_of_set(name: str, minutes: float) -> Study:
    """The split that the command makes of a set."""
    files = bench_set(name)
    log = read_events([files.events], [files.items])
    told = Namespace(
        ask=files.ask,
        unseen=files.unseen,
        split=LEAVE_ONE_OUT,
        keep_seen=files.keep_seen,
        strict=False,
        identity_only=False,
        no_network=False,
        compress=False,
        budget_us=None,
        minutes=minutes,
        settings=SETTINGS,
        seed=0,
        out=OUT / "runs" / name,
    )
    return study_of(log, told)


def plain_folder(name: str) -> Path:
    """Where the peers find a split."""
    return OUT / "plain" / name


def plain(name: str, minutes: float) -> Study:
    """The same split as plain files for the peers, which know neither events nor our arrays."""
    study, folder = study_of_set(name, minutes), plain_folder(name)
    if (folder / "told.json").exists():
        return study
    folder.mkdir(parents=True, exist_ok=True)
    for part, log in (("train", study.split.train), ("history", study.split.test.before)):
        pl.DataFrame({"user": log.user, "item": log.row}).write_parquet(folder / f"{part}.parquet")
    for part, asked in (("valid", study.split.valid), ("test", study.split.test)):
        sizes = [len(rows) for rows in asked.truth]
        columns = {"user": np.repeat(asked.user, sizes), "item": np.concatenate(asked.truth)}
        pl.DataFrame(columns).write_parquet(folder / f"{part}.parquet")
    users = int(max(study.split.train.user.max(), study.split.test.before.user.max())) + 1
    _write(
        folder / "told.json",
        {"users": users, "items": len(study.catalog), "new_only": study.split.test.new_only},
    )
    return study


def run_document(study: Study, seed: int) -> tuple[Ints, Row]:
    """The document's own network: fitted to the matrix of all that is known when the test is asked."""
    test, items = study.split.test, len(study.catalog)
    matrix = counted(test.before, items)
    began = time.process_time()
    network = DocumentNetwork(matrix, seed=seed)
    spent = time.process_time() - began
    seen = [matrix[[user]].indices if test.new_only else [] for user in test.user.tolist()]
    ranked = [best(network.scores(user), own) for user, own in zip(test.user.tolist(), seen, strict=True)]
    costs = {"fit_cpu_seconds": spent, "search_cpu_seconds": spent, "events": len(test.before)}
    return np.stack(ranked), costs


def counted(events: Interactions, items: int) -> csr_array:
    """How often (U, I) each user had to do with each item."""
    shape = (int(events.user.max()) + 1, items)
    found = csr_array((np.ones(len(events)), (events.user, events.row)), shape=shape)
    found.sum_duplicates()
    return found


def best(scores: Floats, own: Ints) -> Ints:
    """The first LENGTH rows by (I,) scores, without what is one's own; -1 where there are no more."""
    allowed: Bools = np.ones(len(scores), np.bool_)
    allowed[own] = False
    order = np.argsort(-scores, kind="stable")
    order = order[allowed[order]][:LENGTH]
    return np.pad(order, (0, LENGTH - len(order)), constant_values=-1)


def table(name: str) -> list[str]:
    """Lines of one set's table, in Markdown: means over seeds, spread between seeds, costs."""
    found: dict[str, list[Row]] = {}
    for path in sorted((RESULTS / name).glob("*.json")):
        row = json.loads(path.read_text())
        found.setdefault(row["system"], []).append(row)
        for simple, value in row.get("baselines", {}).items():
            if row["system"] == "raysys":
                found.setdefault(f"{simple} (raysys' own)", []).append(value)
    head = "| ± se | HR@10 | NDCG@10 | between seeds | MRR | fit CPU s | with search | events / CPU s |"
    lines = [f"\n{name}", "", head, "|---" * 8 + "|"]
    lines += [
        line(system, found[system]) for system in sorted(found, key=lambda s: -_mean(found[s], "ndcg@10"))
    ]
    published = [f"| {who} | {hr:.4f} | {ndcg:.4f} | | | | | |" for who, hr, ndcg in PUBLISHED.get(name, ())]
    return lines + (["| *published by others* | | | | | | | |", *published] if published else [])


def line(system: str, rows: Sequence[Row]) -> str:
    """One system's line; nothing stands where nothing was measured."""
    ndcg = [row["ndcg@10"] for row in rows]
    spread = f"{np.std(ndcg, ddof=1):.4f} ({len(rows)})" if len(rows) > 1 else f"({len(rows)})"
    fit, search = _mean(rows, "fit_cpu_seconds"), _mean(rows, "search_cpu_seconds")
    speed = _mean(rows, "events") / fit if fit > 0 else float("nan")
    cells = [f"{value:,.0f}" if np.isfinite(value) else "" for value in (fit, search, speed)]
    hit, quality, reciprocal = (_told(rows, name) for name in ("hr@10", "ndcg@10", "mrr"))
    return f"| {system} | {hit} | {quality} | {spread} | {reciprocal} | {' | '.join(cells)} |"


def _told(rows: Sequence[Row], metric: str) -> str:
    mean, error = _mean(rows, metric), _mean(rows, f"{metric}_se")
    return f"{mean:.4f} ± {error:.4f}" if np.isfinite(error) else f"{mean:.4f}"


def _mean(rows: Sequence[Row], key: str) -> float:
    values = [row[key] for row in rows if key in row]
    return float(np.mean(values)) if values else float("nan")


def _write(path: Path, found: Row) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(found, indent=1))
    partial.replace(path)


if __name__ == "__main__":
    main()
