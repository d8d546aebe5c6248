"""A log becomes training data: read, validate, clean, sessionize, weight, and say what was done."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import polars as pl

from raysys.dataset.clean import (
    ORDER,
    CleanSettings,
    keyed,
    without_duplicates,
    without_impossible,
    without_robots,
)
from raysys.dataset.read import Read, distinct, write_quarantine
from raysys.dataset.split import WeightSettings, sessions, weighted
from raysys.errors import DataError
from raysys.events import Event, Forget, Impression, ItemUpdate, UserUpdate, encode_event, key_of_event

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
    read = _together(chunks)
    if read.refused and quarantine is not None:
        write_quarantine(read.refused, quarantine)
    removed: Counter[str] = Counter()
    others = distinct(read.others)
    wishes = _Wishes.of(others)
    frame = wishes.interactions(keyed(read.interactions), removed)
    once = without_duplicates(frame)
    removed["sent twice"] = len(frame) - len(once)
    parts = []
    for part, counts in run(clean_shard, [(part, clean) for part in _by_user(once, shards)]):
        parts.append(part)
        removed.update(counts)
    interactions = pl.concat(parts).sort(*ORDER, "query_id", "ad_id", nulls_last=True)
    now_ms = int(interactions["time_ms"].max() or 0)  # type: ignore[arg-type]
    interactions = weighted(interactions, now_ms, weights)
    impressions = wishes.impressions(others, removed)
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


def _together(chunks: Iterable[Read]) -> Read:
    parts = list(chunks)
    whole = Read(
        others=[event for part in parts for event in part.others],
        refused=[refusal for part in parts for refusal in part.refused],
        rows=sum(part.rows for part in parts),
    )
    if parts:
        whole.interactions = pl.concat([part.interactions for part in parts])
    return whole


def _by_user(frame: pl.DataFrame, shards: int) -> list[pl.DataFrame]:
    if shards == 1:
        return [frame]
    return [frame.filter(pl.col("user").fill_null("").hash() % shards == n) for n in range(shards)]


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What people asked for: whom to leave out, and what to forget of whom."""

    refused: frozenset[str]
    """Keys whose latest word was a refusal."""
    forgotten: Mapping[str, int | None]
    """Keys to be forgotten up to a time; None is all of them."""

    @classmethod
    def of(cls, others: Sequence[Event]) -> "_Wishes":
        refused: dict[str, bool] = {}
        forgotten: dict[str, int | None] = {}
        for event in others:
            if isinstance(event, UserUpdate) and event.consent is not None:
                refused[f"u:{event.user_id}"] = not event.consent
            elif isinstance(event, Forget):
                forgotten[f"u:{event.user_id}"] = event.time_ms
        return cls(frozenset(user for user, no in refused.items() if no), forgotten)

    def interactions(self, frame: pl.DataFrame, removed: Counter[str]) -> pl.DataFrame:
        """Those that may be learned from."""
        gone = pl.col("user").is_in(sorted(self.refused))
        for user, until in self.forgotten.items():
            gone |= (pl.col("user") == user) & (pl.lit(True) if until is None else pl.col("time_ms") <= until)
        kept = frame.filter(~gone.fill_null(False))
        removed["forgotten or without consent"] += len(frame) - len(kept)
        return kept

    def impressions(self, events: Sequence[Event], removed: Counter[str]) -> list[Impression]:
        """Those of `events` that are impressions and may be learned from."""
        shown = [event for event in events if isinstance(event, Impression)]
        kept = [event for event in shown if not self._gone(event)]
        removed["forgotten or without consent"] += len(shown) - len(kept)
        return kept

    def _gone(self, event: Impression) -> bool:
        key = key_of_event(event)
        if key is not None and key in self.forgotten:
            until = self.forgotten[key]
            return until is None or event.time_ms <= until or key in self.refused
        return key in self.refused


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
