"""Sessions, weights and ratings, and the cut in time that nothing crosses backward."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from raysys.errors import ConfigError, DataError
from raysys.events import KINDS
from raysys.state.fold import KIND_WEIGHTS, PAUSE_MS
from raysys.types import DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSettings:
    """How much an interaction counts: by its kind, fading with age."""

    half_life_days: float = 112.0
    kinds: Mapping[str, float] = field(default_factory=lambda: {str(k): w for k, w in KIND_WEIGHTS.items()})

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ConfigError(f"weights for unknown kinds {unknown}; kinds are {KINDS}")
        if self.half_life_days <= 0:
            raise ConfigError(f"half_life_days is {self.half_life_days}, must be above 0")


def sessions(frame: pl.DataFrame, pause_ms: int = PAUSE_MS) -> pl.DataFrame:
    """Numbers each user's sessions from 0; a longer pause than `pause_ms` begins the next."""
    pause = pl.col("time_ms").diff().fill_null(0) > pause_ms
    return frame.with_columns(session=pause.cast(pl.Int32).cum_sum().over("user", order_by="time_ms"))


def weighted(frame: pl.DataFrame, now_ms: int, settings: WeightSettings) -> pl.DataFrame:
    """`weight` by kind and age at `now_ms`; `rating` standardized over the user's ratings in `frame`."""
    kind = pl.col("kind").replace_strict(dict(settings.kinds), default=0.0, return_dtype=pl.Float64)
    age = (now_ms - pl.col("time_ms")).clip(0) / DAY_MS
    stars = pl.when(pl.col("kind") == "rating").then(pl.col("value"))
    spread = stars.std(ddof=0).over("user")
    centered = stars - stars.mean().over("user")
    return frame.with_columns(
        weight=(kind * 0.5 ** (age / settings.half_life_days)).cast(pl.Float32),
        rating=pl.when(spread > 1e-9).then(centered / spread).otherwise(centered * 0.0).cast(pl.Float32),
    )


def by_time(
    frame: pl.DataFrame, cuts_ms: Sequence[int], settings: WeightSettings
) -> tuple[pl.DataFrame, ...]:
    """Parts before, between and after the cuts; a row at a cut belongs to the later part.

    The first part is weighted and standardized anew as of the first cut, from itself alone.
    """
    if not cuts_ms or list(cuts_ms) != sorted(set(cuts_ms)):
        raise DataError(f"cuts are {list(cuts_ms)}, expected at least one, rising")
    edges: list[int | None] = [None, *cuts_ms, None]
    parts = []
    for low, high in pairwise(edges):
        inside = pl.lit(True)
        if low is not None:
            inside &= pl.col("time_ms") >= low
        if high is not None:
            inside &= pl.col("time_ms") < high
        parts.append(frame.filter(inside))
    return weighted(parts[0], cuts_ms[0], settings), *parts[1:]


def matrix(frame: pl.DataFrame, users: Sequence[str], items: Sequence[str]) -> csr_array:
    """The sparse (U, I) matrix of summed weights; users and items not listed are left out."""
    row = frame["user"].replace_strict(
        list(users), np.arange(len(users)), default=None, return_dtype=pl.Int64
    )
    column = frame["item"].replace_strict(
        list(items), np.arange(len(items)), default=None, return_dtype=pl.Int64
    )
    known = (row.is_not_null() & column.is_not_null()).to_numpy()
    weight = frame["weight"].to_numpy()[known]
    place = (row.to_numpy()[known].astype(np.int64), column.to_numpy()[known].astype(np.int64))
    return csr_array((weight, place), shape=(len(users), len(items)))
