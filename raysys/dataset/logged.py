"""What came of logged rankings: records joined with impressions and interactions by query and item."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from raysys.dataset.read import Read, distinct
from raysys.dataset.wishes import GONE, Wishes
from raysys.errors import DataError
from raysys.events import KINDS, Impression
from raysys.log import RankingRecord
from raysys.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """N logged rankings as they were shown, and what was done at each of up to K positions."""

    records: tuple[RankingRecord, ...]
    """(N,) one for each query: that of its longest page."""
    shown: Bools
    """(N, K) from the first position on."""
    counts: Mapping[str, Floats]
    """(N, K) interactions at each position, by kind."""
    clusters: Ints
    """(N,) whose ranking each is; without a key, nobody else's."""
    left_out: Counter[str]
    """What could not be used, by reason."""

    def reward(self, worth: Mapping[str, float]) -> Floats:
        """Reward (N, K) of each position: what an interaction of each kind is worth, summed."""
        if unknown := sorted(set(worth) - set(KINDS)):
            raise DataError(f"there is no interaction {unknown[0]!r}; the kinds are {', '.join(KINDS)}")
        total = np.zeros(self.shown.shape)
        for kind, value in worth.items():
            total += value * self.counts.get(kind, 0.0)
        return total


def rewards_of(records: Iterable[RankingRecord], events: Read) -> Outcomes:
    """Join records with what `events` holds of impressions and interactions.

    An impression must be the beginning of the page that its record answered; otherwise the host
    has altered the ranking, its propensities are void, and it is left out and counted. Rankings
    that nobody reported as shown are left out, too, and so are auctions, in which nothing is drawn, and
    pages that were drawn anew because the state had changed since the first. Nothing is learned of
    people who did not consent or asked to be forgotten.

    Args:
        events: of `read.read` or `read.of_events`; interactions count where they name a query.
    """
    left_out: Counter[str] = Counter()
    by_query: dict[str, list[RankingRecord]] = defaultdict(list)
    auctions: set[str] = set()
    for record in records:
        if record.surface == "ads":
            auctions.add(record.query_id)
        else:
            by_query[record.query_id].append(record)
    left_out["auction"] = len(auctions)
    others = distinct(events.others)
    impressions = [event for event in others if isinstance(event, Impression)]
    interactions, seen = Wishes.of(others).kept(events.interactions, impressions)
    left_out[GONE] = len(events.interactions) - len(interactions) + len(impressions) - len(seen)
    shown: dict[str, list[Impression]] = defaultdict(list)
    for event in seen:
        shown[event.query_id].append(event)
    left_out["impression without a record"] = len(set(shown) - set(by_query) - auctions)
    kept: list[tuple[RankingRecord, int]] = []
    for query_id, pages in by_query.items():
        whole, reach = _joined(pages, shown.get(query_id, []))
        if isinstance(whole, str):
            left_out[whole] += 1
        else:
            kept.append((whole, reach))
    counts = _counts(kept, interactions, left_out)
    reaches = np.array([reach for _, reach in kept], np.int64)
    return Outcomes(
        records=tuple(record for record, _ in kept),
        shown=np.arange(reaches.max(initial=0)) < reaches[:, None],
        counts=counts,
        clusters=_clusters([record.key for record, _ in kept]),
        left_out=+left_out,
    )


def _joined(pages: list[RankingRecord], shown: list[Impression]) -> tuple[RankingRecord | str, int]:
    """The record of the longest page and how many of its positions were shown, or why there is none."""
    whole = max(pages, key=lambda page: len(page.order))
    if not shown:
        return "not shown", 0
    if not all(_continues(page, whole) for page in pages):
        return "redrawn", 0
    items = _items(whole)
    spans = []
    for impression in shown:
        starts = [page.offset for page in pages if _begins(items[page.offset :], impression, page.offset)]
        if not starts:
            return "altered", 0
        spans.append((starts[0], starts[0] + len(impression.item_ids)))
    reach = 0
    for start, end in sorted(spans):
        if start > reach:
            return "no impression of the first page", 0
        reach = max(reach, end)
    return (whole, reach) if reach else ("not shown", 0)


def _items(record: RankingRecord) -> list[str]:
    """Ids of the ranking, from the first position on."""
    return [record.item_ids[candidate] for candidate in record.order.tolist()]


def _continues(page: RankingRecord, whole: RankingRecord) -> bool:
    """Whether `page` is what `whole` begins with, drawn with the same odds."""
    size = len(page.order)
    same = np.array_equal(page.propensities, whole.propensities[:size])
    return same and _items(page) == _items(whole)[:size]


def _begins(page: list[str], impression: Impression, offset: int) -> bool:
    """Whether the page that begins at `offset` starts with what was shown, in its places."""
    size = len(impression.item_ids)
    in_place = impression.positions in (None, list(range(size)), list(range(offset, offset + size)))
    return in_place and page[:size] == impression.item_ids


def _counts(
    kept: list[tuple[RankingRecord, int]], interactions: pl.DataFrame, left_out: Counter[str]
) -> dict[str, Floats]:
    """Interactions (N, K) at each shown position by kind; those that belong to none are counted."""
    places = {
        (record.query_id, item): (row, position)
        for row, (record, reach) in enumerate(kept)
        for position, item in enumerate(_items(record)[:reach])
    }
    queries = {record.query_id for record, _ in kept}
    size = (len(kept), max((reach for _, reach in kept), default=0))
    counts: dict[str, Floats] = {}
    told = interactions.filter(pl.col("query_id").is_not_null()).unique(maintain_order=True)
    for kind, query_id, item in told.select("kind", "query_id", "item_id").iter_rows():
        if (place := places.get((query_id, item))) is not None:
            counts.setdefault(kind, np.zeros(size))[place] += 1.0
        elif query_id in queries:
            left_out["interaction with an item that was not shown"] += 1
        else:
            left_out["interaction without a usable ranking"] += 1
    left_out["interaction without a query"] = int(interactions["query_id"].null_count())
    return counts


def _clusters(keys: list[str | None]) -> Ints:
    """A number (N,) for each key; every None is somebody else."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key or row, len(numbers)) for row, key in enumerate(keys)], np.int64)
