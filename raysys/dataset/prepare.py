"""A log becomes a dataset on disk, in memory that does not grow with it: spill, key, clean file by file.

Every step maps a function over files, so Ray tasks may do it. A file holds all of its users' interactions,
and neither the number of files nor that of tasks changes what is written.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
import polars as pl

from raysys.dataset.clean import (
    ORDER,
    TWICE,
    CleanSettings,
    without_duplicates,
    without_impossible,
    without_robots,
)
from raysys.dataset.queries import ASKED as ASKED_COLUMNS
from raysys.dataset.queries import QUERIES, before_robots, placed
from raysys.dataset.read import Read
from raysys.dataset.spill import BATCH, Batches, Spill, hashed, repeated
from raysys.dataset.split import WeightSettings, sessions, weighted
from raysys.dataset.wishes import GONE, Owners, Wishes
from raysys.events import ItemUpdate, encode_event

Run: TypeAlias = Callable[[Callable[[Any], Any], list[Any]], Iterable[Any]]
"""Runs a function over tasks, in order: `map` here, Ray tasks in `tuning/dataset.py`."""
BUCKETS = 1024
"""Users are scattered over so many; a file is some buckets that follow each other."""
FILE_ROWS = 250_000
"""Interactions from which on a file is full; memory grows with it."""
WORK, KEYED, ASKED, INTERACTIONS = ".work", "keyed", "asked", "interactions"
PARTS = (INTERACTIONS, QUERIES, "impressions.jsonl", "items.jsonl")

TOLD = ("user", "item", "kind", "time_ms", "value", "session")
"""Columns of interactions that the fingerprint is of."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """What is known of a batch once its rows have users."""

    sizes: Counter[int]
    """Rows by bucket."""
    named: pl.DataFrame
    gone: int
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to be made: of the buckets from `first` to `last`."""

    work: Path
    name: str
    first: int
    last: int
    now_ms: int
    clean: CleanSettings
    weights: WeightSettings


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of a file."""

    rows: int
    users: int
    kinds: Counter[str]
    items: pl.Series
    times: tuple[int, ...]
    """The first and the last moment, of a file with rows."""
    digests: tuple[str, ...]
    """Of each bucket with rows."""
    removed: Counter[str]
    queries: int
    asked: tuple[str, ...]
    """Digests of the queries of each bucket with any."""


def prepare(
    chunks: Iterable[Read],
    folder: Path,
    *,
    clean: CleanSettings | None = None,
    weights: WeightSettings | None = None,
    run: Run = map,
    quarantine: Path | None = None,
    file_rows: int = FILE_ROWS,
    batch_rows: int = BATCH,
) -> dict[str, Any]:
    """Write a dataset of everything read into `folder` and return its report.

    Interactions at one time stay in the order in which they were read. Weights are as of the last
    moment of the log.

    Args:
        chunks: from `read.read` or `read.of_events`.
        run: maps a function over tasks, in order; they read and write in `folder`.
        quarantine: file for refused rows, written only if there are some.
        file_rows, batch_rows: bound the memory; they change nothing else.
    """
    work = folder / WORK
    shutil.rmtree(work, ignore_errors=True)
    for name in (KEYED, ASKED, INTERACTIONS, QUERIES):
        (work / name).mkdir(parents=True)
    spill = Spill(work / "read", quarantine, batch_rows)
    for chunk in chunks:
        spill.add(chunk)
    spill.close()
    wishes = Wishes.of(spill.others)
    owners = wishes.owners(spill.pairs(wishes.users))
    owners.save(work)
    shown, unseen = _write_impressions(spill.impressions, owners, work)
    keyed = list(run(key_batch, [(work, path) for path in spill.interactions.paths]))
    twice = repeated(pl.concat(part.named for part in keyed))
    twice.to_frame().write_parquet(work / "twice.parquet")
    told = {
        "work": work,
        "now_ms": max(part.last_ms for part in keyed),
        "clean": clean or CleanSettings(),
        "weights": weights or WeightSettings(),
    }
    spans = _spans(sum((part.sizes for part in keyed), Counter()), file_rows)
    names = (f"{number:06}.parquet" for number in range(len(spans)))
    files = [
        File(name=name, first=first, last=last, **told)
        for name, (first, last) in zip(names, spans, strict=False)
    ]
    written = list(run(clean_file, files))
    removed = sum((part.removed for part in written), Counter({TWICE: len(twice)}))
    removed[GONE] = sum(part.gone for part in keyed) + unseen
    items = [event for event in spill.others if isinstance(event, ItemUpdate)]
    with (work / "items.jsonl").open("wb") as file:
        file.writelines(encode_event(item) + b"\n" for item in items)
    report = _report(spill, written, shown, items, removed)
    _publish(work, folder, report)
    return report


def key_batch(task: tuple[Path, Path]) -> Keyed:
    """Give the rows of one batch their users, take out what is to be forgotten, and sort by bucket."""
    work, batch = task
    marked = Owners.load(work).marked(pl.read_parquet(batch))
    kept = marked.filter(~pl.col("gone")).drop("gone")
    kept = kept.join(_buckets(kept["user"]), on="user", how="left", maintain_order="left")
    kept = kept.with_columns(pl.col("bucket").fill_null(0)).sort("bucket", maintain_order=True)
    kept.write_parquet(work / KEYED / batch.name, compression="lz4", row_group_size=BATCH // 32)
    sizes = Counter(dict(kept["bucket"].value_counts().iter_rows()))
    return Keyed(sizes, hashed(kept), len(marked) - len(kept), int(kept["time_ms"].max() or 0))  # type: ignore[arg-type]


def clean_file(file: File) -> Written:
    """Write the believable interactions of some users, all of theirs."""
    removed: Counter[str] = Counter()
    twice = pl.read_parquet(file.work / "twice.parquet")["place"]
    frame = (
        pl.scan_parquet(file.work / KEYED / "*.parquet")
        .filter(pl.col("bucket").is_between(file.first, file.last))
        .filter(~pl.col("place").is_in(twice.implode()))
        .collect()
        .sort(ORDER)
    )
    frame = without_impossible(without_duplicates(frame, removed), file.clean, removed)
    people = without_robots(frame.rename({"item_id": "item"}), file.clean, removed)
    asked = _write_asked(file, frame, people)
    frame = sessions(people)
    frame = weighted(frame.drop("user_id", "session_id", "event_id"), file.now_ms, file.weights)
    frame.drop("bucket").write_parquet(file.work / INTERACTIONS / file.name)
    return Written(
        rows=len(frame),
        users=frame["user"].n_unique(),
        kinds=Counter(dict(frame["kind"].value_counts().iter_rows())),
        items=frame["item"].unique(),
        times=(frame["time_ms"].min(), frame["time_ms"].max()) if len(frame) else (),  # type: ignore[arg-type]
        digests=tuple(_digest(part, *TOLD) for part in _by_bucket(frame)),
        removed=removed,
        queries=len(asked),
        asked=tuple(_digest(part, *ASKED_COLUMNS) for part in _by_bucket(asked)),
    )


def _write_asked(file: File, frame: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Write what the users of a file asked for, of whom `people` is what is left of `frame`."""
    keyed = pl.scan_parquet(sorted((file.work / ASKED).glob("*.parquet")))
    here = pl.col("bucket").is_between(file.first, file.last) & (pl.col("time_ms") >= file.clean.earliest_ms)
    asked = keyed.filter(here).collect()
    if len(asked):
        asked = placed(people, before_robots(asked, frame, people)).sort("bucket", maintain_order=True)
    if len(asked):
        asked.select(*ASKED_COLUMNS).write_parquet(file.work / QUERIES / file.name)
    return asked


def _by_bucket(frame: pl.DataFrame) -> list[pl.DataFrame]:
    return frame.partition_by("bucket", maintain_order=True) if len(frame) else []


def _digest(frame: pl.DataFrame, *columns: str) -> str:
    return hashlib.sha256(frame.select(columns).write_csv(include_header=False).encode()).hexdigest()


def _buckets(users: pl.Series) -> pl.DataFrame:
    """The bucket of each user, the same on any machine."""
    distinct = users.drop_nulls().unique()
    codes = (crc32(user.encode(errors="surrogatepass")) % BUCKETS for user in distinct)
    return pl.DataFrame({"user": distinct, "bucket": np.fromiter(codes, np.int64, len(distinct))})


def _spans(sizes: Counter[int], rows: int) -> list[tuple[int, int]]:
    """First and last bucket of each file: full as soon as it holds `rows`."""
    spans, first, held = [], 0, 0
    for bucket in range(BUCKETS):
        held += sizes[bucket]
        if held >= rows or bucket == BUCKETS - 1:
            spans.append((first, bucket))
            first, held = bucket + 1, 0
    return spans


def _write_impressions(shown: Batches, owners: Owners, work: Path) -> tuple[int, int]:
    """Write those that may be learned from, each once, and what they asked for by user.

    Returns:
        How many they are, and how many may not be learned from.
    """
    twice = repeated(pl.concat(hashed(pl.read_parquet(batch)) for batch in shown.paths))
    kept = gone = 0
    with (work / "impressions.jsonl").open("wb") as file:
        for batch in shown.paths:
            once = pl.read_parquet(batch).filter(~pl.col("place").is_in(twice.implode()))
            stays = owners.marked(once).filter(~pl.col("gone"))
            file.writelines(stays["line"])
            asked = stays.filter(pl.col("query") != "").drop_nulls("user")
            asked = asked.join(_buckets(asked["user"]), on="user", how="left", maintain_order="left")
            asked.select("user", "time_ms", "read", "place", "query", "bucket").write_parquet(
                work / ASKED / batch.name, compression="lz4"
            )
            kept += len(stays)
            gone += len(once) - len(stays)
    return kept, gone


def _report(
    spill: Spill,
    written: Sequence[Written],
    shown: int,
    items: Sequence[ItemUpdate],
    removed: Counter[str],
) -> dict[str, Any]:
    seen = pl.concat(part.items for part in written).unique()
    times = [time for part in written for time in part.times]
    digests = "".join(digest for part in written for digest in part.digests)
    digests += "".join(digest for part in written for digest in part.asked)
    return {
        "rows": spill.rows,
        "refused": spill.reasons.total(),
        "refused_fields": dict(spill.reasons),
        "removed": {why: count for why, count in sorted(removed.items()) if count},
        "interactions": sum(part.rows for part in written),
        "kinds": dict(sorted(sum((part.kinds for part in written), Counter()).items())),
        "users": sum(part.users for part in written),
        "items": len(seen),
        "unknown_items": len(set(seen) - {item.item_id for item in items}),
        "impressions": shown,
        "queries": sum(part.queries for part in written),
        "click_only": not shown,
        "first_ms": min(times, default=None),
        "last_ms": max(times, default=None),
        "fingerprint": hashlib.sha256(digests.encode()).hexdigest()[:16],
    }


def _publish(work: Path, folder: Path, report: dict[str, Any]) -> None:
    """Put the new parts in place of the old; without a report a folder is no dataset."""
    (folder / "report.json").unlink(missing_ok=True)
    for name in (INTERACTIONS, QUERIES):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in PARTS:
        (work / name).replace(folder / name)
    draft = work / "report.json"
    draft.write_text(json.dumps(report, indent=1))
    draft.replace(folder / "report.json")
    shutil.rmtree(work)
