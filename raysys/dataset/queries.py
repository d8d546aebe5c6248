"""What people asked for between their interactions: where in a history each query stands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

QUERIES = "queries"
"""Folder of a dataset with a file for each file of interactions whose users asked for something."""
ASKED: dict[str, Any] = {
    "user": pl.String, "time_ms": pl.Int64, "after": pl.Int64, "query": pl.String,
}  # fmt: skip
"""Of a query; `after` is how many of the user's interactions came before it."""


def placed(interactions: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """The queries of users who did anything, by user and time, with what columns they have and `after`.

    Args:
        interactions: (user, time_ms, place), `place` in the order in which they were read.
        asked: (user, time_ms, read, place, ...), `read` how many interactions were read before, `place` in
            their own order.
    """
    mine = asked.join(interactions.select("user").unique(), on="user", how="semi")
    done = interactions.select("user", "time_ms", at=2 * pl.col("place") + 1)
    both = pl.concat([done, mine.with_columns(at=2 * pl.col("read"))], how="diagonal")
    both = both.sort("user", "time_ms", "at", "place")
    counted = both.with_columns(after=pl.col("read").is_null().cum_sum().over("user").cast(pl.Int64))
    return counted.filter(pl.col("read").is_not_null()).drop("at", "read", "place")


def before_robots(asked: pl.DataFrame, frame: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Of who became a robot, what was asked before: `people` is what is left of the interactions `frame`."""
    gone = frame.join(people, on="place", how="anti")
    ends = gone.group_by("user").agg(end=pl.col("time_ms").min())
    told = asked.join(ends, on="user", how="left", maintain_order="left")
    return told.filter(pl.col("end").is_null() | (pl.col("time_ms") < pl.col("end"))).drop("end")


def read_queries(files: Sequence[Path]) -> pl.DataFrame:
    """The queries beside some files of interactions, in their order."""
    beside = [file.parent.parent / QUERIES / file.name for file in files]
    parts = [pl.read_parquet(path) for path in beside if path.exists()]
    return pl.concat([pl.DataFrame(schema=ASKED), *parts])


def woven(frame: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
    """Interactions with the queries between them, as rows of `user`, `time_ms` and `query` alone.

    Args:
        frame: rows of one user follow each other in order of time.
        asked: of the same users, in the same order of users.
    """
    frame = frame.with_columns(query=pl.lit(None, pl.String))
    if not len(asked):
        return frame
    row = frame.with_row_index("row").cast({"row": pl.Int64})
    first = row.group_by("user", maintain_order=True).agg(pl.col("row").first())
    at = asked.join(first, on="user", how="inner", maintain_order="left")
    at = at.select("user", "time_ms", "query", at=2 * (pl.col("row") + pl.col("after")))
    done = row.with_columns(at=2 * pl.col("row") + 1).drop("row")
    return pl.concat([done, at], how="diagonal").sort("at", maintain_order=True).drop("at")
