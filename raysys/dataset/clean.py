"""What is taken out of a log before anything learns from it, and the count of each reason.

Every rule looks only backward in time (privacy aside), so a training set cut at any moment
is the same whatever happened after it.
"""

from collections import Counter
from dataclasses import dataclass

import polars as pl

from raysys.types import DAY_MS

TWICE = "sent twice"
ORDER = ("bucket", "user", "time_ms", "place")
"""The order of interactions: of a user by time, and at one time as they arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSettings:
    """Limits beyond which a log is not believed."""

    earliest_ms: int = 631_152_000_000
    """1990; earlier times are mostly seconds sent as milliseconds."""
    longest_dwell_s: float = 86_400.0
    robot_per_day: int = 1_000
    """From this many interactions in one UTC day on, a user is a robot for good."""
    robot_per_minute: int = 60
    """Views and clicks within a minute; purchases are exempt, a receipt has one time."""


def without_duplicates(frame: pl.DataFrame, removed: Counter[str]) -> pl.DataFrame:
    """The first of those that are the same in everything but their place."""
    content = [name for name in frame.columns if name != "place"]
    kept = frame.unique(content, keep="first", maintain_order=True)
    removed[TWICE] += len(frame) - len(kept)
    return kept


def impossible(settings: CleanSettings) -> pl.Expr:
    """Why an interaction cannot have happened as told; null where it can."""
    kind, value = pl.col("kind"), pl.col("value")
    return (
        pl.when(pl.col("user").is_null())
        .then(pl.lit("of nobody: neither user_id nor session_id"))
        .when(pl.col("time_ms") < settings.earliest_ms)
        .then(pl.lit("before 1990: are the times in seconds?"))
        .when((kind == "rating") & value.is_null())
        .then(pl.lit("a rating without a value"))
        .when(kind.is_in(["purchase", "conversion", "dwell"]) & (value < 0))
        .then(pl.lit("a negative amount or duration"))
        .when((kind == "dwell") & (value > settings.longest_dwell_s))
        .then(pl.lit("a dwell of more than a day"))
        .otherwise(None)
    )


def without_impossible(frame: pl.DataFrame, settings: CleanSettings, removed: Counter[str]) -> pl.DataFrame:
    """The possible interactions; the others are counted in `removed` by reason."""
    marked = frame.with_columns(_why=impossible(settings))
    for why, count in marked.drop_nulls("_why").group_by("_why").len().iter_rows():
        removed[why] += count
    return marked.filter(pl.col("_why").is_null()).drop("_why")


def without_robots(frame: pl.DataFrame, settings: CleanSettings, removed: Counter[str]) -> pl.DataFrame:
    """Users end where they become faster than people are; what they did before stays.

    `frame` is in order of time for each user.
    """
    looks = pl.col("kind").is_in(["view", "click"])
    day, minute = pl.col("time_ms") // DAY_MS, pl.col("time_ms") // 60_000
    busy = pl.int_range(pl.len()).over("user", day) >= settings.robot_per_day
    hasty = looks & (looks.cast(pl.Int32).cum_sum().over("user", minute) > settings.robot_per_minute)
    marked = frame.with_columns(_robot=busy | hasty)
    kept = marked.filter(pl.col("_robot").cast(pl.Int32).cum_sum().over("user") == 0).drop("_robot")
    if gone := len(frame) - len(kept):
        removed["done by a robot"] += gone
    return kept
