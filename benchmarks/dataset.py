"""Rows per second and peak memory of building a dataset, each size in a process of its own."""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from raysys.dataset.build import build
from raysys.dataset.read import read

SIZES = (100_000, 1_000_000, 3_000_000)
FORMATS = ("parquet", "csv", "jsonl")


def write(path: Path, rows: int) -> None:
    """`rows` random clicks, a user of 50 and an item of 20,000 each."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "type": np.full(rows, "interaction"),
            "kind": np.full(rows, "click"),
            "user_id": rng.integers(0, max(1, rows // 50), rows),
            "item_id": rng.integers(0, 20_000, rows),
            "time_ms": 1_700_000_000_000 + rng.integers(0, 90 * 86_400_000, rows),
        }
    ).with_columns(pl.col("user_id", "item_id").cast(pl.String))
    writer = {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}
    writer[path.suffix[1:]](path)


def one(path: Path) -> None:
    """Build from one file and print rows, seconds and the process's peak."""
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    report = build(read([path])).report
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{path.suffix[1:]:>8} {report['rows']:>9,} rows  {took:5.1f} s {report['rows'] / took:>9,.0f} rows/s"
        f"  peak {peak:6,.0f} MiB (imports {base:,.0f})",
        flush=True,
    )


def main() -> None:
    """Every size and format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", type=Path, help="only this file, in this process")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=FORMATS)
    options = parser.parse_args()
    if options.one:
        return one(options.one)
    for rows in options.sizes:
        for form in options.formats:
            with TemporaryDirectory() as folder:
                path = Path(folder) / f"events.{form}"
                writing = f"from benchmarks.dataset import *; write(Path({str(path)!r}), {rows})"
                subprocess.run([sys.executable, "-c", writing], check=True)
                subprocess.run([sys.executable, "-m", "benchmarks.dataset", "--one", str(path)], check=True)


if __name__ == "__main__":
    main()
