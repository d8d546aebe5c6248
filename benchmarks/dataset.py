"""Rows per second and peak memory of building a dataset and of streaming it, every run in its own process."""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import numpy as np
import polars as pl
import psutil

from raysys.dataset.read import read
from raysys.dataset.stream import user_chunks
from tuning.dataset import make

ROWS = (100_000, 1_000_000, 3_000_000)
FORMATS = ("parquet", "csv", "jsonl")
BLOCK = 1_000_000
USERS = 1_000


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
    if path.suffix == ".jsonl":
        with path.open("wb") as file:
            for start in range(0, rows, BLOCK):
                frame[start : start + BLOCK].write_ndjson(file)
    else:
        {".parquet": frame.write_parquet, ".csv": frame.write_csv}[path.suffix](path)


def _held(process: psutil.Process) -> int:
    """Bytes of a process: its own and its part of what it shares."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


@contextmanager
def peak(found: list[float]) -> Iterator[None]:
    """Adds the most MiB that this process and all below it, Ray's too, held at once, seen every 0.1 s."""
    done, me, most = Event(), psutil.Process(), 0

    def watch() -> None:
        nonlocal most
        over = False
        while not over:
            over = done.wait(0.1)
            most = max(most, sum(_held(process) for process in (me, *me.children(recursive=True))))

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        found.append(most / 2**20)


def one(path: Path, shards: int) -> None:
    """Build from one file, stream an epoch of the result, and print both."""
    if shards > 1:
        from tuning.trials import start_ray

        start_ray(shards)
    held: list[float] = []
    start = time.perf_counter()
    with peak(held):
        report = make(read([path]), path.parent / "dataset", shards)
    took = time.perf_counter() - start
    print(
        f"{path.suffix[1:]:>8} {report['rows']:>10,} rows, {shards} shard{'s' * (shards > 1)}"
        f"  {took:6.1f} s {report['rows'] / took:>9,.0f} rows/s  peak {held[0]:6,.0f} MiB"
        f"  fingerprint {report['fingerprint']}",
        flush=True,
    )


def stream(folder: Path) -> None:
    """Read one epoch of a dataset in chunks of USERS users."""
    held: list[float] = []
    start = time.perf_counter()
    with peak(held):
        sizes = [len(chunk) for chunk in user_chunks(folder, USERS, 0)]
    took = time.perf_counter() - start
    print(
        f"streamed {sum(sizes):>10,} rows in {len(sizes)} chunks of {USERS} users  {took:6.1f} s"
        f" {sum(sizes) / took:>9,.0f} rows/s  peak {held[0]:6,.0f} MiB",
        flush=True,
    )


def _apart(call: str) -> None:
    """Run one call of this module in a process of its own."""
    program = f"from pathlib import Path; import benchmarks.dataset as b; b.{call}"
    subprocess.run([sys.executable, "-c", program], check=True)


def main() -> None:
    """Every size, format and number of shards."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dataset", description=__doc__)
    parser.add_argument("--rows", nargs="*", type=int, default=ROWS)
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=FORMATS)
    parser.add_argument("--shards", nargs="*", type=int, default=[1], help="1 is without Ray")
    parser.add_argument("--folder", type=Path, default=Path("var/bench_dataset"))
    options = parser.parse_args()
    for rows in options.rows:
        for form in options.formats:
            shutil.rmtree(options.folder, ignore_errors=True)
            options.folder.mkdir(parents=True)
            path = options.folder / f"events.{form}"
            _apart(f"write(Path({str(path)!r}), {rows})")
            for shards in options.shards:
                _apart(f"one(Path({str(path)!r}), {shards})")
        _apart(f"stream(Path({str(options.folder / 'dataset')!r}))")
    shutil.rmtree(options.folder)


if __name__ == "__main__":
    main()
