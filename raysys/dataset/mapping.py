"""Other people's columns in our words: a mapping file renames, translates and fills in."""

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from raysys.config import read_settings, read_toml
from raysys.errors import ConfigError

UNITS = {"ms": 1.0, "s": 1e3, "us": 1e-3}
"""Milliseconds of each."""
TIME_UNITS = (*UNITS, "iso")
ISO = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
"""Ways of saying a moment by ISO 8601, after `T` and the names of UTC are out of the way."""
TEXTS = ("kind", "type", "title", "brand", "category", "description")
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
    """One of TIME_UNITS, or a pattern (`%d/%m/%Y`); a time that says no zone is UTC."""
    separator: str = ""
    """What stands between columns of text; if empty, a comma and in `.tsv` a tab."""
    header: Sequence[str] = ()
    """The names of the columns of a text file that does not say them in its first line."""

    def __post_init__(self) -> None:
        for name in ("columns", "constants", "kinds"):
            if not isinstance(table := getattr(self, name), Dict):
                raise ConfigError(f"{name} is {table!r}, expected a table, as [{name}] and lines below it")
        if isinstance(self.header, str):
            raise ConfigError(f"header is {self.header!r}, expected a list of names")
        if self.time_unit not in TIME_UNITS and "%" not in self.time_unit:
            raise ConfigError(
                f"time_unit is {self.time_unit!r}, expected one of {TIME_UNITS} or a pattern as '%d/%m/%Y'"
            )

    @property
    def plain(self) -> bool:
        """Whether rows have our names already, and nothing but their type may go without saying."""
        return self == Mapping(type=self.type)

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """From a TOML file with `columns`, `constants` and `kinds` tables."""
        return read_settings(cls, read_toml(path))

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Their rows under our names; a number that cannot be read becomes null (and is refused later)."""
        if self.columns:
            if missing := sorted(set(self.columns.values()) - set(frame.columns)):
                raise ConfigError(
                    f"the file has no column {missing}; it has {frame.columns}. The mapping may also say"
                    " its separator, and its header if the first line is none"
                )
            frame = frame.select(pl.col(theirs).alias(ours) for ours, theirs in self.columns.items())
        frame = frame.with_columns(pl.lit(value).alias(name) for name, value in self.constants.items())
        if "type" not in frame.columns:
            frame = frame.with_columns(pl.lit(self.type).alias("type"))
        if self.kinds and "kind" in frame.columns and not frame.schema["kind"].is_nested():
            frame = frame.with_columns(pl.col("kind").cast(pl.String).replace(dict(self.kinds)))
        return frame.with_columns(self._typed(name, frame.schema[name]) for name in frame.columns)

    def _typed(self, name: str, dtype: pl.DataType) -> pl.Expr:
        column = pl.col(name)
        if dtype.is_nested():
            return column  # the contract refuses it where it expects a number or words
        if name == "time_ms":
            return self._time(column, dtype)
        if name in NUMBERS:
            return column.cast(NUMBERS[name], strict=False)
        if name == "available":
            return column.cast(pl.String).str.to_lowercase().is_in(["true", "1", "yes"])
        if name.endswith("_id") and dtype.is_float():  # whole numbers, of a column that lacks some
            whole = column.cast(pl.Int64, strict=False)
            return pl.when(whole == column).then(whole.cast(pl.String)).otherwise(column.fill_nan(None))
        return column.cast(pl.String) if name.endswith("_id") or name in TEXTS else column

    def _time(self, column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        if isinstance(dtype, pl.Duration | pl.Time):
            raise ConfigError(f"its times are of type {dtype}; expected moments, or numbers since 1970")
        if dtype.is_temporal():
            return column.cast(pl.Datetime("ms")).dt.epoch("ms")
        if self.time_unit not in UNITS:
            return _told(column.cast(pl.String).str.strip_chars(), self.time_unit)
        factor = UNITS[self.time_unit]
        if factor == 1.0:
            return column.cast(pl.Int64, strict=False)
        return (column.cast(pl.Float64, strict=False) * factor).cast(pl.Int64, strict=False)


def _told(text: pl.Expr, pattern: str) -> pl.Expr:
    """Milliseconds of times in words; null where they cannot be read."""
    if pattern != "iso":
        return text.str.to_datetime(pattern, time_unit="ms", strict=False).dt.epoch("ms")
    text = text.str.replace(r"^(\S{10})T", "$1 ").str.replace(r" ?(Z|UTC|GMT)$", "+00:00")
    return pl.coalesce(text.str.to_datetime(way, time_unit="ms", strict=False).dt.epoch("ms") for way in ISO)
