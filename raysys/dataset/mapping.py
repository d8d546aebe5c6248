"""Other people's columns in our words: a mapping file renames, translates and fills in."""

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from raysys.config import read_settings, read_toml
from raysys.errors import ConfigError

TIME_UNITS = ("ms", "s", "us", "iso")
NUMBERS = {"time_ms": pl.Int64, "price_micros": pl.Int64, "value": pl.Float64, "margin": pl.Float64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """How the columns of a CSV, Parquet or JSON Lines file become fields of events."""

    columns: Dict[str, str] = field(default_factory=dict)
    """Our field by their column (`user_id = "visitorid"`); columns not named here are left out."""
    constants: Dict[str, Any] = field(default_factory=dict)
    """Fields that every row gets (`kind = "purchase"`)."""
    kinds: Dict[str, str] = field(default_factory=dict)
    """Our kind by their word (`transaction = "purchase"`)."""
    type: str = "interaction"
    """What a row is where it does not say."""
    time_unit: str = "ms"

    def __post_init__(self) -> None:
        if self.time_unit not in TIME_UNITS:
            raise ConfigError(f"time_unit is {self.time_unit!r}, expected one of {TIME_UNITS}")

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """From a TOML file with `columns`, `constants` and `kinds` tables."""
        return read_settings(cls, read_toml(path))

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Their rows under our names; a number that cannot be read becomes null (and is refused later)."""
        if self.columns:
            if missing := sorted(set(self.columns.values()) - set(frame.columns)):
                raise ConfigError(f"the file has no column {missing}; it has {frame.columns}")
            frame = frame.select(pl.col(theirs).alias(ours) for ours, theirs in self.columns.items())
        frame = frame.with_columns(pl.lit(value).alias(name) for name, value in self.constants.items())
        if "type" not in frame.columns:
            frame = frame.with_columns(pl.lit(self.type).alias("type"))
        if self.kinds and "kind" in frame.columns:
            frame = frame.with_columns(pl.col("kind").cast(pl.String).replace(dict(self.kinds)))
        return frame.with_columns(self._typed(name, frame.schema[name]) for name in frame.columns)

    def _typed(self, name: str, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(name)
        if name == "time_ms":
            return self._time(column, dtype)
        if name in NUMBERS:
            return column.cast(NUMBERS[name], strict=False)
        if name == "available":
            return column.cast(pl.String).str.to_lowercase().is_in(["true", "1", "yes"])
        if name.endswith("_id") or name in ("kind", "type", "title", "brand", "category", "description"):
            return column.cast(pl.String)
        return column

    def _time(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        if dtype.is_temporal():
            return column.cast(pl.Datetime("ms")).dt.epoch("ms")
        if self.time_unit == "iso":
            return column.cast(pl.String).str.to_datetime(time_unit="ms", strict=False).dt.epoch("ms")
        factor = {"ms": 1.0, "s": 1e3, "us": 1e-3}[self.time_unit]
        if factor == 1.0:
            return column.cast(pl.Int64, strict=False)
        return (column.cast(pl.Float64, strict=False) * factor).cast(pl.Int64, strict=False)
