"""Files of the event contract as the arrays that the interest command learns from and is asked with.

Nothing is taken out for being improbable: a benchmark's log stays whole. What is refused is what the
contract refuses; what people asked to be forgotten is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from raysys.catalog import Catalog
from raysys.dataset.mapping import Mapping as Columns
from raysys.dataset.queries import placed
from raysys.dataset.read import Read, Refusal, read, write_quarantine
from raysys.dataset.wishes import GONE, Wishes
from raysys.errors import ConfigError, DataError
from raysys.events import KINDS, Event, Impression, ItemUpdate
from raysys.interest.asked import Split, by_time, leave_one_out
from raysys.interest.interactions import Interactions, asked_in
from raysys.text.static import load_encoder
from raysys.types import Ints

LEAVE_ONE_OUT = "leave-one-out"
NO_TARGET = "hide"
"""A kind that says what somebody does not want."""
KEPT = ("user_id", "session_id", "item_id", "kind", "time_ms", "event_id")
SHOWN = dict.fromkeys(("session_id", "user_id", "event_id", "query"), pl.String) | {"time_ms": pl.Int64}
PAIR = {"session_id": pl.String, "user_id": pl.String, "time_ms": pl.Int64}
YEAR_MS = 365 * 86_400_000
EARLY_MS, LATE_MS = 10 * YEAR_MS, 200 * YEAR_MS
"""Nobody logged anything before or after, of what is called milliseconds since 1970."""
AGAIN = 0.01
"""Share of a log that may say the same as was said before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """What files of events held."""

    events: Interactions
    """In order of time; equal times in the order of the files and of the lines in them. Beside them what
    people asked for, as their impressions tell."""
    catalog: Catalog
    """Every item that was described or interacted with; one without a title is named by its id."""
    users: Mapping[str, int]
    """User code by key (`u:` and the user id, else `s:` and the session id)."""
    report: Mapping[str, Any]
    """Counts of what was read, refused and left out."""

    def remarks(self) -> Iterator[str]:
        """What whoever sent the files should know before they believe anything."""
        told = self.report
        if told["refused"]:
            yield f"{told['refused']} of {told['rows']} rows were refused: {told['refused_fields']}"
        if told["left_out"]:
            yield f"interactions left out: {told['left_out']}"
        if told["described"] and told["items"] - told["items_never_seen"] == told["bare"]:
            yield f"none of {told['described']} described items is in any interaction; are ids written alike?"
        last_ms = told["last_ms"]
        if told["first_ms"] < last_ms < EARLY_MS or last_ms > LATE_MS:
            unit, word = ("s", "seconds") if last_ms < EARLY_MS else ("us", "microseconds")
            year = 1970 + last_ms // YEAR_MS
            yield (
                f"the last time_ms is {last_ms}, which is in {year}; if these are {word}, say"
                f" time_unit = {unit!r} in a mapping"
            )
        if told["first_ms"] < last_ms and told["again"] > AGAIN * told["interactions"]:
            yield (
                f"{told['again']} of {told['interactions']} interactions have the person, item, kind and time"
                " of another; if files overlap, the answers are known before: send each once, or an event_id"
            )


def read_events(
    events: Sequence[Path],
    items: Sequence[Path] = (),
    *,
    mapping: Path | None = None,
    items_mapping: Path | None = None,
    encoder: Path | None = None,
    quarantine: Path | None = None,
) -> EventLog:
    """Everything that JSON Lines, CSV and Parquet files say, as arrays.

    Args:
        events: files or folders; they may hold items too.
        items: files of items, which need not say that they are.
        mapping: TOML file with other people's columns of `events`.
        items_mapping: the same for `items`.
        encoder: folder of a text encoder; without it items have no text vectors.
        quarantine: file for refused rows, written only if there are some.

    Raises:
        ConfigError: a mapping is none, or names what a file has not.
        DataError: a file is absent, damaged or of no known format, or nothing usable is in one of them.
    """
    found = _Found()
    for chunk in tqdm(_chunks(events, items, mapping, items_mapping), desc="reading", unit="chunk"):
        found.add(chunk)
    if found.refused and quarantine is not None:
        quarantine.parent.mkdir(parents=True, exist_ok=True)
        write_quarantine(found.refused, quarantine)
    left: Counter[str] = Counter()
    frame, asked = _usable(found, left)
    if not len(frame):
        raise DataError(
            f"{found.rows} rows hold no interaction to learn from; {len(found.refused)} were refused"
            f" ({found.reasons()}), left out: {dict(left)}"
        )
    keys = frame["user"].unique().sort()
    users = dict(zip(keys.to_list(), range(len(keys)), strict=True))
    catalog = _catalog(found.items, frame["item_id"], encoder)
    interactions = Interactions(
        user=_codes(frame["user"], keys),
        row=_codes(frame["item_id"], pl.Series(catalog.item_ids, dtype=pl.String)),
        kind=_codes(frame["kind"], pl.Series(KINDS, dtype=pl.String)),
        time_ms=frame["time_ms"].to_numpy().astype(np.int64),
        queries=asked_in(asked, users),
    )
    report = {
        "rows": found.rows,
        "refused": len(found.refused),
        "refused_fields": found.reasons(),
        "left_out": dict(sorted(left.items())),
        "interactions": len(frame),
        "again": len(frame) - frame.n_unique(),
        "queries": len(asked),
        "kinds": dict(sorted(frame["kind"].value_counts().iter_rows())),
        "users": len(keys),
        "items": len(catalog),
        "described": (described := len({item.item_id for item in found.items})),
        "bare": len(catalog) - described,
        "items_never_seen": len(catalog) - frame["item_id"].n_unique(),
        "first_ms": int(interactions.time_ms[0]),
        "last_ms": int(interactions.time_ms[-1]),
    }
    return EventLog(events=interactions, catalog=catalog, users=users, report=report)


def parse_split(how: str) -> int | None:
    """None for `leave-one-out`, the moment of `time:MS` otherwise.

    Raises:
        ConfigError: it is neither.
    """
    if how == LEAVE_ONE_OUT:
        return None
    word, _, moment = how.partition(":")
    if word == "time" and moment.isascii() and moment.isdigit():
        return int(moment)
    raise ConfigError(
        f"split is {how!r}, expected {LEAVE_ONE_OUT!r} or 'time:MS' with UTC epoch milliseconds,"
        " as time:1700000000000"
    )


def split_log(events: Interactions, how: str, *, keep_seen: bool = False) -> Split:
    """A log cut in three, as `how` says."""
    at_ms = parse_split(how)
    if at_ms is None:
        return leave_one_out(events, keep_seen=keep_seen)
    return by_time(events, at_ms, keep_seen=keep_seen)


@dataclass(slots=True)
class _Found:
    """Chunks put together, as few columns as are needed."""

    frames: list[pl.DataFrame] = field(default_factory=list)
    items: list[ItemUpdate] = field(default_factory=list)
    shown: list[tuple[Impression, int]] = field(default_factory=list)
    """With how many interactions came before."""
    others: list[Event] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    """Interactions so far."""

    def add(self, chunk: Read) -> None:
        self.rows += chunk.rows
        self.refused += chunk.refused
        self.frames.append(chunk.interactions.select(KEPT))
        for event, after in zip(chunk.others, chunk.after, strict=True):
            match event:
                case ItemUpdate():
                    self.items.append(event)
                case Impression():
                    self.shown.append((event, self.size + after))
                case _:
                    self.others.append(event)
        self.size += len(chunk.interactions)

    def reasons(self) -> dict[str, int]:
        """How often each field was at fault."""
        return dict(Counter(refusal.field or "line" for refusal in self.refused))


def _chunks(
    events: Sequence[Path], items: Sequence[Path], mapping: Path | None, items_mapping: Path | None
) -> Iterator[Read]:
    columns = None if mapping is None else Columns.read(mapping)
    described = Columns(type="item") if items_mapping is None else Columns.read(items_mapping)
    if items_mapping is not None:
        described = replace(described, type="item")
    for path in events:
        yield from _some_good(path, columns, "--mapping")
    for path in items:
        yield from _some_good(path, described, "--items-mapping")


def _some_good(path: Path, columns: Columns | None, option: str) -> Iterator[Read]:
    """Chunks of a file or folder; if none of its rows can be used, it is not what it is taken for."""
    rows = refused = 0
    first: Refusal | None = None
    for chunk in read([path], columns):
        rows, refused = rows + chunk.rows, refused + len(chunk.refused)
        first = first or next(iter(chunk.refused), None)
        yield chunk
    if first is not None and rows == refused:
        raise DataError(
            f"{path.name}: all of its {rows} rows were refused, line {first.line} of {first.source} for its"
            f" {first.field or 'columns'}: {first.reason} (a time or number that cannot be read counts as"
            f" missing). Are other columns meant, or another unit? Say so in a mapping ({option})",
            field=first.field,
        )


def _usable(found: _Found, left: Counter[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions (user, item_id, kind, time_ms) in order of time, and the queries of their users.

    `left` counts the interactions that were left out.
    """
    nothing = dict.fromkeys(KEPT, pl.String) | {"time_ms": pl.Int64}
    frame = pl.concat(found.frames) if found.frames else pl.DataFrame(schema=nothing)
    found.frames.clear()
    frame = frame.with_columns(place=pl.int_range(len(frame), dtype=pl.Int64))
    shown = _shown(found)
    owners = Wishes.of(found.others).owners(
        pl.concat([frame.select(*PAIR), shown.select(*PAIR)]).drop_nulls()
    )
    frame = owners.marked(frame)
    for why, gone in (
        (GONE, pl.col("gone")),
        ("of nobody: neither user_id nor session_id", pl.col("user").is_null()),
        ("sent twice", pl.col("event_id").is_not_null() & ~pl.col("event_id").is_first_distinct()),
        (f"of kind {NO_TARGET}", pl.col("kind") == NO_TARGET),
    ):
        kept = frame.filter(~gone)
        left[why] = len(frame) - len(kept)
        frame = kept
    left += Counter()  # drops the zeros
    asked = shown.filter(pl.col("query") != "")
    if len(asked):
        asked = owners.marked(asked).filter(~pl.col("gone")).drop_nulls("user")
        asked = asked.filter(pl.col("event_id").is_null() | pl.col("event_id").is_first_distinct())
        asked = placed(frame, asked.select("user", "time_ms", "read", "place", "query"))
    # stable: a day's events of a log with days only keep the order of their lines
    return frame.select("user", "item_id", "kind", "time_ms").sort("time_ms", maintain_order=True), asked


def _shown(found: _Found) -> pl.DataFrame:
    """The impressions in their order, with how many interactions were `read` before each."""
    events = [event for event, _ in found.shown]
    columns: dict[str, Any] = {name: [getattr(event, name) for event in events] for name in SHOWN}
    columns |= {"read": [read for _, read in found.shown], "place": range(len(events))}
    return pl.DataFrame(columns, schema=SHOWN | {"read": pl.Int64, "place": pl.Int64})


def _catalog(items: list[ItemUpdate], seen: pl.Series, encoder: Path | None) -> Catalog:
    """A row for every item; those that no event describes come last, in order of their ids."""
    titled = {item.item_id for item in items if item.title}
    named = dict.fromkeys(item.item_id for item in items)
    bare = [ItemUpdate(item_id=i, title=i) for i in named if i not in titled]
    rest = [ItemUpdate(item_id=i, title=i) for i in sorted(set(seen.unique().to_list()) - named.keys())]
    texts = None if encoder is None else load_encoder(encoder)
    return Catalog.of([*bare, *items, *rest], None if texts is None else texts.encode)


def _codes(column: pl.Series, among: pl.Series) -> Ints:
    """Place of each value among distinct ones."""
    return column.cast(pl.Enum(among)).to_physical().to_numpy().astype(np.int64)
