"""What each part of the interest model adds: measured by leaving it out, paired with the full model.

Each row is kept under var/bench/results/ablation once it is there; the tables are printed from what is.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import ablation_network as network
from benchmarks import ablation_parts as parts
from benchmarks.ablation_pages import prepared
from benchmarks.sets import OUT
from raysys.types import Floats

RESULTS = OUT / "results" / "ablation"
FULL = "full"

Row = dict[str, Any]


def kept(side: str, name: str, variant: str, seed: int) -> Path:
    """Where the row of a variant lies, and beside it what everybody asked gained."""
    plain = "".join(c if c.isalnum() or c == "." else "_" for c in variant)
    return RESULTS / side / name / f"{plain}-{seed}.json"


def keep(path: Path, row: Row, gains: Mapping[str, Floats]) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path.with_suffix(".npz"), **gains)  # type: ignore[arg-type]
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(row, indent=1))
    partial.replace(path)


def run_network(name: str, cpu_seconds: float, seed: int, only: Sequence[str]) -> None:
    """The variants of the network that are not there yet."""
    missing = [
        variant
        for variant in only or network.OF_SETS.get(name, network.COMMON)
        if not kept("network", name, variant, seed).exists()
    ]
    task = network.task_of(name, cpu_seconds, seed) if missing else None
    for variant in missing:
        assert task is not None
        print(f"{name}: {variant}, seed {seed}", flush=True)
        row, gains = network.run(task, network.VARIANTS[variant])
        row |= {"variant": variant, "seed": seed, "passes": task.config.epochs}
        keep(kept("network", name, variant, seed), row, {"ndcg@10": gains})
        print(json.dumps(row), flush=True)


def run_parts(name: str, cpu_seconds: float, seed: int, only: Sequence[str]) -> None:
    """The variants of the combination that are not there yet."""
    missing = [v for v in only or parts.VARIANTS if not kept("parts", name, v, seed).exists()]
    found = prepared(name, cpu_seconds, seed) if missing else {}
    for variant in missing:
        row, gains = parts.run(found, parts.VARIANTS[variant], seed)
        row |= {"variant": variant, "seed": seed}
        keep(kept("parts", name, variant, seed), row, gains)
        print(json.dumps(row), flush=True)


def table(side: str, name: str) -> list[str]:
    """Lines of one table, in Markdown: every variant beside the full one, paired by user and seed."""
    rows = [json.loads(path.read_text()) for path in sorted((RESULTS / side / name).glob("*.json"))]
    gains = {
        (r["variant"], r["seed"]): dict(
            np.load(kept(side, name, r["variant"], r["seed"]).with_suffix(".npz"))
        )
        for r in rows
    }
    parts = sorted({part for found in gains.values() for part in found})
    more = [key for key in ("coverage", "popularity", "fit_cpu_seconds") if any(key in r for r in rows)]
    head = ["", *(c for part in parts for c in (part, "less the full one")), *more, "seeds"]
    lines = [f"\n{side}, {name}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for variant in sorted({r["variant"] for r in rows}, key=lambda v: (v != FULL, v)):
        seeds = [r["seed"] for r in rows if r["variant"] == variant and (FULL, r["seed"]) in gains]
        if not seeds:
            continue
        cells = [variant]
        for part in parts:
            mine = np.mean([gains[variant, seed][part] for seed in seeds], axis=0)
            full = np.mean([gains[FULL, seed][part] for seed in seeds], axis=0)
            cells += [_mean(mine), "" if variant == FULL else _mean(mine - full, signed=True)]
        cells += [
            f"{np.mean([r[key] for r in rows if r['variant'] == variant and key in r]):.4g}" for key in more
        ]
        lines.append("| " + " | ".join([*cells, str(len(seeds))]) + " |")
    return lines


def _mean(values: Floats, *, signed: bool = False) -> str:
    mean, error = float(values.mean()), float(values.std() / np.sqrt(len(values)))
    return f"{mean:+.4f} ± {error:.4f}" if signed else f"{mean:.4f} ± {error:.4f}"


SIDES: Mapping[str, Callable[..., None]] = {"parts": run_parts, "network": run_network}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("side", choices=list(SIDES))
    parser.add_argument("--sets", nargs="+", default=["beauty"])
    parser.add_argument("--variants", nargs="*", default=[], help="only these")
    parser.add_argument("--cpu-seconds", type=float, default=40.0, help="of a network, about")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--print", action="store_true", help="run nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in options.sets:
        for seed in () if options.print else options.seeds:
            SIDES[options.side](name, options.cpu_seconds, seed, options.variants)
        print("\n".join(table(options.side, name)), flush=True)


if __name__ == "__main__":
    main()
