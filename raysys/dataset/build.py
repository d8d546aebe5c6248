"""A log becomes training data: read, validate, clean, sessionize, weight, and say what was done."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import polars as pl

from raysys.dataset.clean import (
    ORDER,
    CleanSettings,
    keyed,
    linked,
    without_duplicates,
    without_impossible,
    without_robots,
)
from raysys.dataset.read import Read, distinct, together, write_quarantine
from raysys.dataset.split import WeightSettings, sessions, weighted
from raysys.dataset.wishes import GONE, Wishes
from raysys.errors import DataError
from raysys.events import Impression, ItemUpdate, encode_event

Shard: TypeAlias = tuple[pl.DataFrame, CleanSettings]
Cleaned: TypeAlias = tuple[pl.DataFrame, Counter[str]]
Run: TypeAlias = Callable[[Callable[[Shard], Cleaned], list[Shard]], Iterable[Cleaned]]
"""Runs a function over shards: `map` here, Ray tasks in `tuning/dataset.py`."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Interactions (user, item, kind, time_ms, value, weight, rating, session, query_id, ad_id) and more."""

    interactions: pl.DataFrame
    impressions: list[Impression]
    items: list[ItemUpdate]
    report: dict[str, Any]
    """Counts of what was read, refused and removed, and the fingerprint."""

    def save(self, folder: Path) -> None:
        """Write Parquet, JSON Lines and `report.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.interactions.write_parquet(folder / "interactions.parquet")
        for name, events in (("impressions", self.impressions), ("items", self.items)):
            lines = b"".join(encode_event(event) + b"\n" for event in events)
            (folder / f"{name}.jsonl").write_bytes(lines)
        (folder / "report.json").write_text(json.dumps(self.report, indent=1))

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what `save` wrote."""
        try:
            return cls(
                pl.read_parquet(folder / "interactions.parquet"),
                _lines(folder / "impressions.jsonl", Impression),
                _lines(folder / "items.jsonl", ItemUpdate),
                json.loads((folder / "report.json").read_text()),
            )
        except OSError as error:
            raise DataError(f"{folder} holds no dataset: {error}; run tuning.dataset first") from error


def _lines(path: Path, kind: Any) -> list[Any]:
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def build(
    chunks: Iterable[Read],
    *,
    clean: CleanSettings | None = None,
    weights: WeightSettings | None = None,
    shards: int = 1,
    run: Run = map,
    quarantine: Path | None = None,
) -> Dataset:
    """A dataset of everything read; the number of shards changes the speed, not the result.

    Args:
        chunks: from `read.read` or `read.of_events`.
        run: maps a function over the shards, in order.
        quarantine: file for refused rows, written only if there are some.
    """
    clean, weights = clean or CleanSettings(), weights or WeightSettings()
    read = together(chunks)
    if read.refused and quarantine is not None:
        write_quarantine(read.refused, quarantine)
    removed: Counter[str] = Counter()
    others = distinct(read.others)
    shown = [event for event in others if isinstance(event, Impression)]
    kept, impressions = Wishes.of(others).kept(read.interactions, shown)
    removed[GONE] = len(read.interactions) - len(kept) + len(shown) - len(impressions)
    frame = keyed(kept, linked(kept, impressions))
    once = without_duplicates(frame)
    removed["sent twice"] = len(frame) - len(once)
    parts = []
    for part, counts in run(clean_shard, [(part, clean) for part in _by_user(once, shards)]):
        parts.append(part)
        removed.update(counts)
    interactions = pl.concat(parts).sort(*ORDER, "query_id", "ad_id", nulls_last=True)
    now_ms = int(interactions["time_ms"].max() or 0)  # type: ignore[arg-type]
    interactions = weighted(interactions, now_ms, weights)
    items = [event for event in others if isinstance(event, ItemUpdate)]
    report = _report(read, interactions, impressions, items, removed)
    return Dataset(interactions, impressions, items, report)


def clean_shard(shard: Shard) -> Cleaned:
    """The believable interactions of some users, all of theirs, and counts of what was removed."""
    frame, settings = shard
    removed: Counter[str] = Counter()
    frame = without_impossible(frame, settings, removed).rename({"item_id": "item"})
    frame = sessions(without_robots(frame, settings, removed))
    return frame.drop("user_id", "session_id", "event_id"), removed


def fingerprint(frame: pl.DataFrame) -> str:
    """16 hex digits of the interactions' content; equal data gives equal digits on any machine."""
    digest = hashlib.sha256()
    told = frame.select("user", "item", "kind", "time_ms", "value", "session")
    for start in range(0, len(told), 500_000):
        digest.update(told[start : start + 500_000].write_csv(include_header=False).encode())
    return digest.hexdigest()[:16]


def _by_user(frame: pl.DataFrame, shards: int) -> list[pl.DataFrame]:
    if shards == 1:
        return [frame]
    return [frame.filter(pl.col("user").fill_null("").hash() % shards == n) for n in range(shards)]


def _report(
    read: Read,
    frame: pl.DataFrame,
    impressions: list[Impression],
    items: list[ItemUpdate],
    removed: Counter[str],
) -> dict[str, Any]:
    return {
        "rows": read.rows,
        "refused": len(read.refused),
        "refused_fields": dict(read.reasons()),
        "removed": {why: count for why, count in sorted(removed.items()) if count},
        "interactions": len(frame),
        "kinds": dict(sorted(frame["kind"].value_counts().iter_rows())),
        "users": frame["user"].n_unique(),
        "items": frame["item"].n_unique(),
        "unknown_items": len(set(frame["item"].unique()) - {item.item_id for item in items}),
        "impressions": len(impressions),
        "click_only": not impressions,
        "first_ms": frame["time_ms"].min(),
        "last_ms": frame["time_ms"].max(),
        "fingerprint": fingerprint(frame),
    }
