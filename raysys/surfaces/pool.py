"""The pool: candidates that may be shown, with what is known of them."""

from dataclasses import dataclass

import numpy as np

from raysys.catalog import Catalog
from raysys.rules import Fields, chosen
from raysys.surfaces.settings import Settings, rules_of
from raysys.types import Candidates, Ints, Query


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates that may be shown, in the engine's order, with what is known of them."""

    candidates: Candidates
    rows: Ints
    """(C,) -1 if unknown."""
    fields: Fields
    positions: Ints | None
    """(C,) the engine's positions, rising; None if the engine has no say."""
    places: Ints
    """(C,) where each stood among the candidates that were sent."""

    @property
    def ties(self) -> Ints:
        return np.arange(len(self.rows)) if self.positions is None else self.positions


def pool_of(
    query: Query,
    candidates: Candidates,
    catalog: Catalog,
    settings: Settings,
    hidden: frozenset[str],
    *,
    engine: bool,
) -> Pool:
    """The candidates that filters let through, in the engine's order.

    In one order, however they were sent: sums over candidates round alike, and a record needs no ties.

    Args:
        engine: whether the order or the scores of `candidates` have a meaning.
    """
    rows = catalog.rows(candidates.item_ids)
    fields = Fields(catalog, rows, candidates)
    filters, _ = rules_of(settings, query)
    kept = fields.matches(filters)
    surface = settings.of(query.surface)
    if surface.drop_unavailable:
        kept &= fields.available()
    if surface.drop_hidden and hidden:
        kept &= ~np.isin(rows, catalog.rows(sorted(hidden))) | (rows < 0)
    positions = engine_positions(candidates) if engine else None
    places = np.flatnonzero(kept)
    if positions is not None:
        places = places[np.argsort(positions[places])]
    if not np.array_equal(places, np.arange(len(kept))):
        candidates, rows = chosen(candidates, places), rows[places]
        positions = None if positions is None else positions[places]
        fields = Fields(catalog, rows, candidates)
    return Pool(candidates, rows, fields, positions, places)


def distinct(candidates: Candidates) -> Candidates:
    """Every item once; a repeated one keeps its first place."""
    first = {item: place for place, item in reversed(list(enumerate(candidates.item_ids)))}
    if len(first) == len(candidates):
        return candidates
    return chosen(candidates, np.array(sorted(first.values()), np.int64))


def engine_positions(candidates: Candidates) -> Ints:
    """The engine's position (C,) of each candidate: by its scores if all have one, else as given."""
    scores = candidates.engine_scores
    if scores is None or not np.all(np.isfinite(scores)):
        return np.arange(len(candidates))
    positions = np.empty(len(candidates), np.int64)
    positions[np.argsort(-scores, kind="stable")] = np.arange(len(candidates))
    return positions
