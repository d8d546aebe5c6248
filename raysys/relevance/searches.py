"""What a log tells of searches: what was shown for which words at which position, and what was taken."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import Impression, Kind
from raysys.relevance.clicks import DEEPEST, judgements_of
from raysys.relevance.fit import Judgements
from raysys.relevance.taken import Taken
from raysys.types import Bools, Ints

TAKEN: tuple[Kind, ...] = ("click", "cart", "purchase", "conversion")
"""Kinds that say an item was what somebody was after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """n showings of items of a catalog, each for the words of a query, in order of time."""

    queries: tuple[str, ...]
    """Each once."""
    query: Ints
    """(n,) which of `queries`"""
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

        An item at a position that no list has is passed over.

        Args:
            interactions: kind, query id or None, and item id of each.
        """
        wanted = {(query_id, item) for kind, query_id, item in interactions if kind in TAKEN}
        pages = sorted((page for page in impressions if page.query.strip()), key=lambda page: page.time_ms)
        code = {text: number for number, text in enumerate(dict.fromkeys(page.query for page in pages))}
        sizes = [len(page.item_ids) for page in pages]
        positions = (page.positions or range(len(page.item_ids)) for page in pages)
        items = [item for page in pages for item in page.item_ids]
        taken = ((page.query_id, item) in wanted for page in pages for item in page.item_ids)
        found = cls(
            queries=tuple(code),
            query=np.repeat([code[page.query] for page in pages], sizes).astype(np.int64),
            row=catalog.rows(items),
            position=np.fromiter(chain.from_iterable(positions), np.int64, len(items)),
            taken=np.fromiter(taken, np.bool_, len(items)),
            time_ms=np.repeat([page.time_ms for page in pages], sizes).astype(np.int64),
        )
        return found.where((found.row >= 0) & (found.position >= 0) & (found.position < DEEPEST))

    def where(self, keep: Bools) -> Self:
        """The showings that `keep` (n,) says."""
        names = ("query", "row", "position", "taken", "time_ms")
        return replace(self, **{name: getattr(self, name)[keep] for name in names})

    def before(self, time_ms: int) -> Self:
        """What was shown before a moment."""
        return self.where(self.time_ms < time_ms)

    def halves(self) -> tuple[Self, Self]:
        """What came before the middle of the log, and what from then on."""
        later = self.time_ms >= (np.median(self.time_ms) if len(self) else 0)
        return self.where(~later), self.where(later)

    def what_was_taken(self) -> Taken:
        """What was taken under which query."""
        found = self.where(self.taken)
        return Taken(queries=self.queries, query=found.query, row=found.row, weight=np.ones(len(found)))

    def judgements(self, catalog: Catalog) -> Judgements:
        """What attracts whoever looks, as judgements of items; see `raysys.relevance.clicks`.

        Raises:
            DataError: nothing was shown, or nothing taken.
        """
        if not len(self):
            raise DataError("the log has no impression of known items with a query; log `query` with them")
        asked = [self.queries[query] for query in self.query.tolist()]
        found = judgements_of(asked, [str(row) for row in self.row], self.position, self.taken)
        rows = np.array([int(row) for row in found.texts])
        return replace(found, texts=[catalog.text(row) for row in rows.tolist()], row=rows)
