"""A test that somebody brings: whom to ask after all that a log says of them, and what came next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from raysys.errors import DataError
from raysys.interest.asked import Asked
from raysys.interest.interactions import Interactions
from raysys.types import Ints
from tuning.events import EventLog

BEYOND = 1 << 42
"""Milliseconds, more than any time."""
ASKED = {"user_id": pl.String, "item_id": pl.String, "time_ms": pl.Int64}


def read_asked(path: Path, log: EventLog, *, keep_seen: bool = False) -> Asked:
    """Users asked about after all that the log says of them, with what came next, from a Parquet file.

    Columns `user_id, item_id, time_ms` (the moment of asking), a row for each true item. Rows whose
    column `known`, if there is one, is true are history instead: known when the user is asked, and
    not learned from.

    Raises:
        DataError: a column is missing, or the log knows a user or an item not.
    """
    frame = pl.read_parquet(path)
    if missing := sorted(set(ASKED) - set(frame.columns)):
        raise DataError(f"{path.name} has no column {missing}; expected {sorted(ASKED)} and maybe known")
    known = pl.col("known").fill_null(False) if "known" in frame.columns else pl.lit(False)
    frame = frame.select(*(pl.col(n).cast(dtype) for n, dtype in ASKED.items()), known.alias("known"))
    user = np.array([log.users.get(f"u:{name}", -1) for name in frame["user_id"].to_list()], np.int64)
    row = log.catalog.rows(frame["item_id"].to_list())
    for what, codes in (("user_id", user), ("item_id", row)):
        if (codes < 0).any():
            name = frame[what][int((codes < 0).argmax())]
            raise DataError(f"{path.name} asks about {name!r}, which the log does not have", field=what)
    told, time_ms = frame["known"].to_numpy(), frame["time_ms"].to_numpy()
    if told.all():
        raise DataError(f"{path.name} asks nothing: all of its {len(frame)} rows are known")
    users, place = np.unique(user[~told], return_inverse=True)
    now_ms = np.zeros(len(users), np.int64)
    np.maximum.at(now_ms, place, time_ms[~told])
    order = np.lexsort((row[~told], place))
    rows, cuts = row[~told][order], np.flatnonzero(np.diff(place[order])) + 1
    return Asked(
        before=_with(log.events, user[told], row[told], time_ms[told]),
        user=users,
        now_ms=now_ms,
        truth=tuple(np.unique(part) for part in np.split(rows, cuts)),
        new_only=not keep_seen,
    )


def _with(events: Interactions, user: Ints, row: Ints, time_ms: Ints) -> Interactions:
    """A log with more of the kind that it mostly has, which come after it where times are equal."""
    if not len(user):
        return events
    kind = np.full(len(user), np.bincount(events.kind).argmax())
    asked = events.queries
    moments = np.sort(user * BEYOND + time_ms)
    more = np.searchsorted(moments, asked.user * BEYOND + asked.time_ms) - np.searchsorted(
        moments, asked.user * BEYOND
    )
    joined = np.concatenate([events.time_ms, time_ms])
    order = np.argsort(joined, kind="stable")
    return Interactions(
        user=np.concatenate([events.user, user])[order],
        row=np.concatenate([events.row, row])[order],
        kind=np.concatenate([events.kind, kind])[order],
        time_ms=joined[order],
        queries=replace(asked, after=asked.after + more),
    )
