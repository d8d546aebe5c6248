"""A log becomes training data: read, validate, clean, sessionize, weight, and say what was done."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import polars as pl

from raysys.dataset.prepare import INTERACTIONS, prepare
from raysys.dataset.queries import ASKED, read_queries
from raysys.dataset.read import Read
from raysys.errors import DataError
from raysys.events import Impression, ItemUpdate


@dataclass(frozen=True, slots=True)
class Dataset:
    """Interactions (user, item, kind, time_ms, value, weight, rating, session, query_id, ad_id) and more."""

    interactions: pl.DataFrame
    """In order of time, and at one time in the order in which they were read."""
    impressions: list[Impression]
    items: list[ItemUpdate]
    report: dict[str, Any]
    """Counts of what was read, refused and removed, and the fingerprint: 16 hex digits of the content."""
    queries: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=ASKED))
    """What users asked for (user, time_ms, after, query), each one's in order."""

    @classmethod
    def load(cls, folder: Path) -> "Dataset":
        """Read what `prepare` wrote, all of it into memory; `stream.user_chunks` reads a part at a time."""
        try:
            report = json.loads((folder / "report.json").read_text())
            files = sorted((folder / INTERACTIONS).glob("*.parquet"))
            interactions = pl.read_parquet(files)
            return cls(
                interactions.sort("time_ms", "place").drop("place"),
                read_lines(folder / "impressions.jsonl", Impression),
                read_lines(folder / "items.jsonl", ItemUpdate),
                report,
                read_queries(files),
            )
        except (OSError, pl.exceptions.ComputeError) as error:
            raise DataError(f"{folder} holds no dataset: {error}; run tuning.dataset first") from error


def read_lines(path: Path, kind: Any) -> list[Any]:
    """The events of one kind in a part of a dataset, in the order in which they were read."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        return [decoder.decode(line) for line in file]


def build(chunks: Iterable[Read], **how: Any) -> Dataset:
    """A dataset in memory of everything read; `how` is as of `prepare`."""
    with TemporaryDirectory(prefix="raysys-") as folder:
        prepare(chunks, Path(folder), **how)
        return Dataset.load(Path(folder))
