"""The feed: where its candidates come from when no host sends any."""

from collections.abc import Iterable

import numpy as np

from raysys.state.protocol import State
from raysys.surfaces.asker import Experts, Person
from raysys.surfaces.settings import SurfaceSettings
from raysys.types import Candidates, Ints, ItemId, Query


def feed_rows(
    experts: Experts,
    person: Person,
    state: State | None,
    query: Query,
    settings: SurfaceSettings,
    campaign_items: Iterable[str],
) -> Ints:
    """Rows that a personal feed chooses from: retrieved, own, trending and promoted, without repeats.

    The set depends on neither offset nor length, so that every page is cut from one ranking.
    """
    parts = [experts.catalog.rows(list(campaign_items))]
    if state is not None:
        parts.append(experts.catalog.rows(state.own_items[-settings.own :] if settings.own else ()))
    if experts.interest is not None:
        if person.view is not None:
            parts.append(experts.interest.retrieve(person.view, settings.retrieve, query.time_ms))
        parts.append(experts.interest.trending(settings.trending))
    else:
        parts.append(_most_popular(experts, settings.trending))
    return _unique(np.concatenate(parts))


def similar_rows(experts: Experts, row: int, length: int) -> Ints:
    """Rows like the item at `row`, best first; what everybody likes if nothing is known of it."""
    if row < 0 or experts.interest is None:
        return trending_rows(experts, "", length)
    rows = _unique(experts.interest.similar(row, length))
    return np.asarray(rows[rows != row])


def trending_rows(experts: Experts, category: str, length: int) -> Ints:
    """What everybody likes, best first; with a category only what lies in it."""
    size = len(experts.catalog)
    wanted = size if category else length
    if experts.interest is not None:
        rows = _unique(experts.interest.trending(wanted))
    else:
        rows = _most_popular(experts, wanted)
    if category:
        prefix = f"{category.rstrip('/')}/"
        inside = [f"{experts.catalog.categories[row]}/".startswith(prefix) for row in rows.tolist()]
        rows = rows[np.array(inside, np.bool_)][:length]
    return rows


def as_candidates(experts: Experts, rows: Ints) -> Candidates:
    """Candidates in the order of `rows`."""
    ids = experts.catalog.item_ids
    return Candidates(item_ids=tuple(ItemId(ids[row]) for row in rows.tolist()))


def _most_popular(experts: Experts, length: int) -> Ints:
    return np.asarray(np.argsort(-experts.catalog.popularity, kind="stable")[:length])


def _unique(rows: Ints) -> Ints:
    """Known rows in order of first appearance."""
    rows = np.asarray(rows, dtype=np.int64)
    rows = rows[rows >= 0]
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]
