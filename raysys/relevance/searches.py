"""What a log tells of searches: what was shown for which words at which position, and what was taken."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, Self

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import Impression, Kind
from raysys.relevance.clicks import judgements_of
from raysys.relevance.fit import Judgements
from raysys.relevance.taken import Taken
from raysys.types import Bools, Ints

TAKEN: tuple[Kind, ...] = ("click", "cart", "purchase", "conversion")
"""Kinds that say an item was what somebody was after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """n showings of an item of the catalog for a query with words, in order of time."""

    queries: Sequence[str]
    """(n,)"""
    row: Ints
    """(n,) of the catalog"""
    position: Ints
    """(n,) from 0"""
    taken: Bools
    """(n,)"""
    time_ms: Ints
    """(n,)"""

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(
        cls, impressions: Iterable[Impression], interactions: Iterable[tuple[str, Any, str]], catalog: Catalog
    ) -> Self:
        """From what may be learned from, without unknown items and pages that nobody asked for in words.

        Args:
            interactions: kind, query id or None, and item id of each.
        """
        wanted = {(query_id, item) for kind, query_id, item in interactions if kind in TAKEN}
        asked = sorted((shown for shown in impressions if shown.query.strip()), key=lambda i: i.time_ms)
        shown = [
            (one.query, catalog.index[item], position, (one.query_id, item) in wanted, one.time_ms)
            for one in asked
            for position, item in zip(one.positions or range(len(one.item_ids)), one.item_ids, strict=True)
            if item in catalog.index
        ]
        queries, *numbers = zip(*shown, strict=True) if shown else [()] * 5
        row, position, taken, time_ms = (np.array(column, np.int64) for column in numbers)
        return cls(queries=queries, row=row, position=position, taken=taken > 0, time_ms=time_ms)

    def where(self, keep: Bools) -> Self:
        """The showings that `keep` (n,) says."""
        columns = {name: getattr(self, name)[keep] for name in ("row", "position", "taken", "time_ms")}
        return replace(self, queries=list(compress(self.queries, keep.tolist())), **columns)

    def halves(self) -> tuple[Self, Self]:
        """What came before the middle of the log, and what from then on."""
        later = self.time_ms >= (np.median(self.time_ms) if len(self) else 0)
        return self.where(~later), self.where(later)

    def what_was_taken(self) -> Taken:
        """What was taken under which query."""
        found = self.where(self.taken)
        return Taken.of(found.queries, found.row)

    def judgements(self, catalog: Catalog) -> Judgements:
        """What attracts whoever looks, as judgements of items; see `raysys.relevance.clicks`.

        Raises:
            DataError: nothing was shown, or nothing taken.
        """
        if not len(self):
            raise DataError("the log has no impression of known items with a query; log `query` with them")
        found = judgements_of(self.queries, [str(row) for row in self.row], self.position, self.taken)
        rows = np.array([int(row) for row in found.texts])
        return replace(found, texts=[catalog.text(row) for row in rows.tolist()], row=rows)
