"""What was read goes to disk at once, in order of arrival, so that a log need not fit in memory."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from raysys.dataset.read import COLUMNS, Read, distinct, write_quarantine
from raysys.events import Event, Impression, encode_event, identity

BATCH = 500_000
"""Rows of a file of interactions; memory grows with it."""
SHOWN: dict[str, Any] = {
    "user_id": pl.String, "session_id": pl.String, "time_ms": pl.Int64, "event_id": pl.String,
    "query": pl.String, "read": pl.Int64, "line": pl.Binary,
}  # fmt: skip
"""Of an impression: `event_id` is its identity, `read` how many interactions came before, `line` all."""
TOLD = ("session_id", "user_id", "time_ms")


class Batches:
    """Frames as Parquet files, every row with its `place` in the order of arrival."""

    def __init__(self, folder: Path, schema: dict[str, Any], rows: int) -> None:
        self._folder, self._size = folder, rows
        self._held = [pl.DataFrame(schema=schema)]
        self._waiting = self.rows = 0
        self.paths: list[Path] = []
        folder.mkdir(parents=True)

    def add(self, frame: pl.DataFrame) -> None:
        self._held.append(frame)
        self._waiting += len(frame)
        if self._waiting >= self._size:
            self.close()

    @property
    def size(self) -> int:
        """Rows that were added."""
        return self.rows + self._waiting

    def close(self) -> None:
        """Write what waits; there is a file even if there was nothing at all."""
        if self._waiting or not self.paths:
            place = pl.int_range(self.rows, self.rows + self._waiting, dtype=pl.Int64)
            self.paths.append(self._folder / f"{len(self.paths):06}.parquet")
            pl.concat(self._held).with_columns(place=place).write_parquet(self.paths[-1], compression="lz4")
            self.rows += self._waiting
            self._held, self._waiting = self._held[:1], 0


class Spill:
    """Everything that was read: interactions and impressions on disk, other events here."""

    def __init__(self, folder: Path, quarantine: Path | None, batch_rows: int = BATCH) -> None:
        self.interactions = Batches(folder / "interactions", COLUMNS, batch_rows)
        self.impressions = Batches(folder / "impressions", SHOWN, batch_rows)
        self.others: list[Event] = []
        self.reasons: Counter[str] = Counter()
        self.rows = 0
        self._quarantine = quarantine

    def add(self, chunk: Read) -> None:
        """Take in one chunk; only a chunk at a time need be in memory."""
        before = self.interactions.size
        told = zip(chunk.others, chunk.after, strict=True)
        shown = [(event, before + after) for event, after in told if isinstance(event, Impression)]
        self.interactions.add(chunk.interactions)
        self.impressions.add(_shown(shown))
        self.others += (event for event in chunk.others if not isinstance(event, Impression))
        if chunk.refused and self._quarantine is not None:
            write_quarantine(chunk.refused, self._quarantine, anew=not self.reasons)
        self.reasons += chunk.reasons()
        self.rows += chunk.rows

    def close(self) -> None:
        """Nothing more comes."""
        self.interactions.close()
        self.impressions.close()
        self.others = distinct(self.others)

    def pairs(self, exact: list[str]) -> pl.DataFrame:
        """Who was seen in which session (session_id, user_id, time_ms): the first time of each pair.

        Args:
            exact: users of whom every time is told.
        """
        both = pl.concat(
            pl.scan_parquet(batches.paths).select(TOLD) for batches in (self.interactions, self.impressions)
        ).drop_nulls()
        named = pl.col("user_id").is_in(exact)
        first = both.filter(~named).group_by("session_id", "user_id").agg(pl.col("time_ms").min())
        return pl.concat([first, both.filter(named).unique()]).collect(engine="streaming")


def _shown(told: list[tuple[Impression, int]]) -> pl.DataFrame:
    events = [event for event, _ in told]
    columns = {name: [getattr(event, name) for event in events] for name in (*TOLD, "query")}
    columns |= {"event_id": [identity(event) for event in events], "read": [read for _, read in told]}
    columns |= {"line": [encode_event(event) + b"\n" for event in events]}
    return pl.DataFrame({name: columns[name] for name in SHOWN}, schema=SHOWN)


def repeated(named: pl.DataFrame) -> pl.Series:
    """The `place`s (n,) of events whose id came before: earlier in time, then in order of arrival.

    Args:
        named: (time_ms, place) and two hashes of the id; two of 64 bits are never equal by chance.
    """
    again = named.filter(pl.struct("first_hash", "second_hash").is_duplicated()).sort("time_ms", "place")
    return again.filter(~pl.struct("first_hash", "second_hash").is_first_distinct())["place"]


def hashed(frame: pl.DataFrame) -> pl.DataFrame:
    """What `repeated` wants to know of the events with an id."""
    event = pl.col("event_id")
    return frame.filter(event.is_not_null()).select(
        "time_ms", "place", first_hash=event.hash(1), second_hash=event.hash(2)
    )
