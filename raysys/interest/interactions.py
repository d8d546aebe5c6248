"""Interactions as columns, and the state of a user as of a moment, for fitting."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raysys.catalog import Catalog, hash_ids
from raysys.errors import DataError
from raysys.events import KINDS
from raysys.interest.queries import NO_QUERIES, Queries
from raysys.types import Bools, Floats, Ints

if TYPE_CHECKING:  # a replica reads this module, and must not need polars
    from polars import DataFrame

    from raysys.dataset.build import Dataset

_BY_NAME = np.argsort(np.array(KINDS), kind="stable")
_SORTED = np.array(KINDS)[_BY_NAME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """N interactions in order of time: user code, item row, index into events.KINDS, time."""

    user: Ints
    row: Ints
    kind: Ints
    time_ms: Ints
    value: Floats | None = None
    """(N,) stars of a rating, NaN where an event has none; None if the log was read without them."""
    queries: Queries = NO_QUERIES
    """What the users asked for in between."""

    def __post_init__(self) -> None:
        shapes = {len(self.user), len(self.row), len(self.kind), len(self.time_ms)}
        shapes |= set() if self.value is None else {len(self.value)}
        if len(shapes) != 1:
            raise DataError(f"interactions have columns of {sorted(shapes)} rows, expected one length")
        if np.any(np.diff(self.time_ms) < 0):
            raise DataError("interactions are not in order of time; sort them by time_ms")

    def __len__(self) -> int:
        return len(self.user)

    def stars(self) -> Floats:
        """(N,) `value`, NaN where there is none."""
        return np.full(len(self.user), np.nan) if self.value is None else self.value

    @classmethod
    def of(cls, data: "Dataset", catalog: Catalog) -> "Interactions":
        """What users did to items of the catalog, from a dataset."""
        frame = data.interactions.sort("time_ms", maintain_order=True)
        row = catalog.rows(frame["item"].to_list())
        known = (row >= 0) & frame["user"].is_not_null().to_numpy()
        names = frame["user"].fill_null("").to_numpy().astype(str)
        users, user = np.unique(names[known], return_inverse=True)
        codes = dict(zip(users.tolist(), range(len(users)), strict=True))
        queries = asked_in(data.queries, codes)
        if len(queries):
            everybody = np.array([codes.get(name, -1) for name in names.tolist()], np.int64)
            queries = queries.without(everybody, ~known)
        return cls(
            user=user.astype(np.int64),
            row=row[known],
            kind=_kinds(frame)[known],
            time_ms=frame["time_ms"].to_numpy().astype(np.int64)[known],
            value=_values(frame)[known],
            queries=queries,
        )

    @classmethod
    def of_frame(cls, frame: "DataFrame", catalog: Catalog) -> "Interactions":
        """The same of a part of a dataset; the code of a user is a hash of the id, the same in every part.

        Args:
            frame: maybe with queries between the interactions, as `dataset.stream` reads them.
        """
        frame, asked = split(frame.drop_nulls("user"))
        frame = frame.sort("time_ms", maintain_order=True)
        row = catalog.rows(frame["item"].to_list())
        names = frame["user"].unique()
        codes = (hash_ids(names.to_list()) >> np.uint64(1)).astype(np.int64)
        user = frame["user"].replace_strict(names, codes).to_numpy() if len(frame) else codes
        return cls(
            user=user,
            row=row,
            kind=_kinds(frame),
            time_ms=frame["time_ms"].to_numpy().astype(np.int64),
            queries=asked_in(asked, dict(zip(names.to_list(), codes.tolist(), strict=True))),
        ).known()

    @classmethod
    def joined(cls, parts: Sequence["Interactions"]) -> "Interactions":
        """Those of different users, without values."""
        time_ms = np.concatenate([part.time_ms for part in parts])
        order = np.argsort(time_ms, kind="stable")
        user, row, kind = (
            np.concatenate([getattr(part, name) for part in parts])[order] for name in ("user", "row", "kind")
        )
        queries = Queries.joined([part.queries for part in parts])
        return cls(user=user, row=row, kind=kind, time_ms=time_ms[order], queries=queries)

    def by_user(self) -> Iterator[tuple[int, Ints]]:
        """Every user code, rising, with the places (n,) of their interactions in order of time."""
        order = np.argsort(self.user, kind="stable")
        users, starts = np.unique(self.user[order], return_index=True)
        ends = np.append(starts, len(order))[1:]
        for user, start, end in zip(users.tolist(), starts.tolist(), ends.tolist(), strict=True):
            yield user, order[start:end]

    def where(self, keep: Bools) -> "Interactions":
        """Those that `keep` (N,) says, and the queries beside them (`Queries.beside`)."""
        return self._of(keep, self.queries.beside(self.user, keep))

    def known(self) -> "Interactions":
        """Those of items of the catalog, and all queries."""
        unknown = self.row < 0
        return self._of(~unknown, self.queries.without(self.user, unknown)) if unknown.any() else self

    def before(self, time_ms: int) -> "Interactions":
        """Strictly before a moment."""
        earlier = np.flatnonzero(self.queries.time_ms < time_ms)
        return self._of(self.time_ms < time_ms, self.queries.at(earlier))

    def since(self, time_ms: int) -> "Interactions":
        """At a moment and after."""
        queries = self.queries.without(self.user, self.time_ms < time_ms)
        later = np.flatnonzero(queries.time_ms >= time_ms)
        return self._of(self.time_ms >= time_ms, queries.at(later))

    def _of(self, keep: Bools, queries: Queries) -> "Interactions":
        return Interactions(
            user=self.user[keep],
            row=self.row[keep],
            kind=self.kind[keep],
            time_ms=self.time_ms[keep],
            value=None if self.value is None else self.value[keep],
            queries=queries,
        )


def split(frame: "DataFrame") -> tuple["DataFrame", "DataFrame"]:
    """The interactions of a frame, and the queries (user, time_ms, after, query) between them, if any."""
    import polars as pl

    if "query" not in frame.columns or frame["query"].null_count() == len(frame):
        return frame, frame.clear().select("user", "time_ms", after="time_ms", query="user")
    asked = pl.col("query").is_not_null()
    counted = frame.with_columns(after=(~asked).cum_sum().over("user"))
    return frame.filter(~asked), counted.filter(asked).select("user", "time_ms", "after", "query")


def asked_in(frame: "DataFrame", codes: Mapping[str, int]) -> Queries:
    """The queries (user, time_ms, after, query) of users with a code."""
    if not len(frame):
        return NO_QUERIES
    frame = frame.filter(frame["user"].is_in(list(codes)))
    return Queries.of(
        user=np.array([codes[name] for name in frame["user"].to_list()], np.int64),
        time_ms=frame["time_ms"].to_numpy().astype(np.int64),
        after=frame["after"].to_numpy().astype(np.int64),
        texts=frame["query"].to_list(),
    )


def _kinds(frame: "DataFrame") -> Ints:
    """Index (N,) into events.KINDS of the column `kind`."""
    return np.asarray(_BY_NAME[np.searchsorted(_SORTED, frame["kind"].to_numpy().astype(str))])


def _values(frame: "DataFrame") -> Floats:
    """Column `value` (N,), NaN where it is null."""
    return np.asarray(frame["value"].cast(float).fill_null(float("nan")).to_numpy(), np.float64)


_NONE = np.zeros(0, np.int64)
NOTHING = Interactions(user=_NONE, row=_NONE, kind=_NONE, time_ms=_NONE)
"""No interactions."""


def popularity(events: Interactions, items: int, now_ms: int, half_life_days: float) -> Floats:
    """Decayed count (I,) of the interactions with each item, as of `now_ms`."""
    weights = decay(events.time_ms, now_ms, half_life_days)
    return np.asarray(np.bincount(events.row, weights, minlength=items), np.float32)


def decay(time_ms: Ints, now_ms: int, half_life_days: float) -> Floats:
    """Weight of what happened at `time_ms` (N,), as of `now_ms`."""
    days = np.maximum(now_ms - time_ms, 0) / 86_400_000
    return np.asarray(0.5 ** (days / half_life_days))
