"""Files of events in: every row is held against the contract; bad ones go to quarantine."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from raysys.dataset.delimited import lines_of, tables
from raysys.dataset.mapping import Mapping
from raysys.errors import ConfigError, DataError
from raysys.events import EARLIEST_MS, KINDS, LARGEST, Event, Interaction, identity, parse_event

CHUNK = 100_000
SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""What stands between columns, by the end of a file's name."""
COLUMNS: dict[str, Any] = {
    "user_id": pl.String, "session_id": pl.String, "item_id": pl.String, "kind": pl.String,
    "time_ms": pl.Int64, "value": pl.Float64, "query_id": pl.String, "ad_id": pl.String,
    "event_id": pl.String,
}  # fmt: skip
"""Of an interaction; `event_id` is null where the sender gave none."""
NESTED = ("attributes", "about", "targeting", "item_ids", "positions", "propensities", "image_embedding",
          "audio_embedding")  # fmt: skip
IDS = ("user_id", "session_id", "item_id", "query_id", "ad_id")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is no valid event."""

    source: str
    line: int
    """Counts from 1, the header of a CSV included; of a Parquet file, the row."""
    field: str
    reason: str


@dataclass(slots=True)
class Read:
    """What a source held: interactions as one frame, other events as they are, and the refused."""

    interactions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COLUMNS))
    others: list[Event] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    rows: int = 0
    after: list[int] = field(default_factory=list)
    """How many of the interactions came before each of `others`."""

    def add(self, more: "Read") -> None:
        """Take in what another chunk held."""
        self.after += (len(self.interactions) + count for count in more.after)
        self.interactions = pl.concat([self.interactions, more.interactions])
        self.others += more.others
        self.refused += more.refused
        self.rows += more.rows

    def reasons(self) -> Counter[str]:
        """How often each field was at fault."""
        return Counter(refusal.field or "line" for refusal in self.refused)


def read(
    paths: Iterable[Path], mapping: Mapping | None = None, *, now_ms: int | None = None
) -> Iterator[Read]:
    """Chunks of events from JSON Lines, CSV and Parquet files; a folder means the files in it.

    Raises:
        ConfigError: a file lacks a column that the mapping names.
        DataError: a file is absent, damaged or of no known format. A bad row never raises.
    """
    for path in _files(paths):
        columns = mapping or Mapping()
        name = path.name.lower()
        text = name.removesuffix(".gz")
        separator = columns.separator or SEPARATORS.get(text[text.rfind(".") :], "")
        if text.endswith((".jsonl", ".ndjson", ".json")):
            yield from _read_lines(path, mapping, now_ms)
        elif name.endswith(".parquet"):
            yield from _read_parquet(path, columns, now_ms)
        elif separator:
            yield from _read_text(path, separator, columns, now_ms)
        else:
            raise DataError(
                f"{path.name} is of no known format; expected .jsonl, .csv or .tsv, packed as .gz or not, or"
                " .parquet, or a mapping that says what the separator of its columns is"
            )


def of_events(events: Iterable[Event]) -> Read:
    """Events that are valid already, as from the live log."""
    kept: list[Interaction] = []
    others: list[Event] = []
    after: list[int] = []
    for event in events:
        if isinstance(event, Interaction):
            kept.append(event)
        else:
            others.append(event)
            after.append(len(kept))
    return Read(_columns(kept), others, [], len(kept) + len(others), after)


def together(chunks: Iterable[Read]) -> Read:
    """Everything that the chunks hold."""
    parts = list(chunks)
    sizes = [len(part.interactions) for part in parts]
    whole = Read(
        others=[event for part in parts for event in part.others],
        refused=[refusal for part in parts for refusal in part.refused],
        rows=sum(part.rows for part in parts),
        after=[sum(sizes[:n]) + count for n, part in enumerate(parts) for count in part.after],
    )
    if parts:
        whole.interactions = pl.concat([part.interactions for part in parts])
    return whole


def write_quarantine(refused: Sequence[Refusal], path: Path, *, anew: bool = True) -> None:
    """One refused row a line, as JSON: where, which field, and why; after what is there unless `anew`."""
    with path.open("wb" if anew else "ab") as file:
        file.writelines(msgspec.json.encode(refusal) + b"\n" for refusal in refused)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            # what begins so is left there by those who wrote the others (`_SUCCESS`)
            inside = sorted(f for f in path.iterdir() if not f.name.startswith((".", "_")))
            if not (files := [f for f in inside if f.is_file()]):
                folders = ", ".join(f.name for f in inside[:3]) or "none"
                raise DataError(
                    f"there are no files in the folder {path}; folders in it are not looked into, name them:"
                    f" {folders}"
                )
            yield from files
        elif path.is_file():
            yield path
        else:
            raise DataError(f"there is no file {path}")


def _read_lines(path: Path, mapping: Mapping | None, now_ms: int | None) -> Iterator[Read]:
    whole = enumerate(lines_of(path), start=1)
    numbered: Iterator[tuple[int, bytes]] = ((n, line) for n, line in whole if line.strip())
    first = list(islice(numbered, 1))
    if first and first[0][1].lstrip().startswith(b"["):
        raise DataError(
            f"{path.name} is one JSON array, expected an object a line (JSON Lines); write each of its"
            " objects on a line"
        )
    numbered = chain(first, numbered)
    while chunk := list(islice(numbered, CHUNK)):
        if mapping is None:
            yield _parsed(chunk, path.name, now_ms)
        elif mapping.plain:
            yield _parsed(((n, _typed(line, mapping.type)) for n, line in chunk), path.name, now_ms)
        else:
            yield _mapped_lines(chunk, path.name, mapping, now_ms)


def _typed(line: bytes, kind: str) -> Any:
    """An object with a type, or the line itself if it is none."""
    try:
        return {"type": kind, **msgspec.json.decode(line, type=dict[str, Any])}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return line


def _mapped_lines(chunk: list[tuple[int, bytes]], source: str, mapping: Mapping, now_ms: int | None) -> Read:
    rows, numbers, refused = [], [], []
    for line, raw in chunk:
        try:
            row = msgspec.json.decode(raw, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            refused.append(Refusal(source, line, "", f"not a JSON object: {error}"))
            continue
        rows.append(row)
        numbers.append(line)
    found = Read(refused=refused, rows=len(refused))
    if rows:
        frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
        found.add(_rows(frame, numbers, source, mapping, now_ms))
    return found


def _read_parquet(path: Path, mapping: Mapping, now_ms: int | None) -> Iterator[Read]:
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    line = 1
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(CHUNK):
                part = pl.DataFrame(batch)
                yield _rows(part, range(line, line + len(part)), path.name, mapping, now_ms)
                line += len(part)
    except (ArrowInvalid, OSError) as error:  # a damaged page is the latter
        raise DataError(f"{path.name}: {str(error).strip()}; write or copy it again") from error


def _read_text(path: Path, separator: str, mapping: Mapping, now_ms: int | None) -> Iterator[Read]:
    for texts, lines, ragged in tables(path, separator, mapping.header, CHUNK):
        refused = [Refusal(path.name, line, "", found) for line, found in ragged]
        found = Read(refused=refused, rows=len(refused))
        if len(texts):
            found.add(_rows(texts, lines, path.name, mapping, now_ms))
        yield found


def _rows(
    frame: pl.DataFrame, numbers: Sequence[int], source: str, mapping: Mapping, now_ms: int | None
) -> Read:
    """Whole columns are checked first; rows that are not surely good go through the contract itself."""
    try:
        mapped = mapping.apply(frame)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    plain = {name for name, dtype in mapped.schema.items() if not dtype.is_nested()}
    if set(mapped.columns) - plain or plain - {"type", *COLUMNS}:
        sure = pl.Series([False] * len(mapped))
    else:
        missing = [pl.lit(None, dtype).alias(n) for n, dtype in COLUMNS.items() if n not in mapped.columns]
        mapped = mapped.with_columns(missing)
        sure = mapped.select(_surely_good(now_ms)).to_series().fill_null(False)
    doubtful = mapped.with_columns(_line=pl.Series(list(numbers))).filter(~sure)
    found = _parsed(
        ((row.pop("_line"), _without_nulls(row)) for row in doubtful.iter_rows(named=True)), source, now_ms
    )
    if sure.any():
        good = mapped.filter(sure).select(pl.col(n).cast(dtype) for n, dtype in COLUMNS.items())
        found.add(Read(good, rows=len(good)))
    return found


def _without_nulls(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _decoded(value) if name in NESTED else value for name, value in row.items() if value is not None
    }


def _decoded(value: Any) -> Any:
    """A list or object that a CSV file holds as JSON; anything else is left for the contract to refuse."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _surely_good(now_ms: int | None) -> pl.Expr:
    """What `parse_event` would accept as an interaction, over columns."""
    good = (pl.col("type") == "interaction") & pl.col("kind").is_in(KINDS)
    good &= pl.col("time_ms").is_between(EARLIEST_MS, LARGEST)
    if now_ms is not None:
        good &= pl.col("time_ms") <= now_ms
    good &= pl.col("item_id").is_not_null()
    for name in IDS:
        good &= pl.col(name).str.len_chars().is_between(1, 512).fill_null(True)
    return good & pl.col("value").is_finite().fill_null(True)


def _parsed(rows: Iterable[tuple[int, Any]], source: str, now_ms: int | None) -> Read:
    kept: list[Interaction] = []
    others: list[Event] = []
    after: list[int] = []
    refused: list[Refusal] = []
    for line, raw in rows:
        try:
            event = parse_event(raw, now_ms=now_ms)
        except DataError as error:
            refused.append(Refusal(source, line, error.field, str(error)))
            continue
        if isinstance(event, Interaction):
            kept.append(event)
        else:
            others.append(event)
            after.append(len(kept))
    return Read(_columns(kept), others, refused, len(kept) + len(others) + len(refused), after)


def _columns(events: Sequence[Interaction]) -> pl.DataFrame:
    return pl.DataFrame({name: [getattr(e, name) for e in events] for name in COLUMNS}, schema=COLUMNS)


def distinct(events: Iterable[Event]) -> list[Event]:
    """Each event once, the first of those with one identity."""
    return list({identity(event): event for event in reversed(list(events))}.values())[::-1]
