"""Predict: the signals of every candidate, from whatever experts are at hand."""

from collections.abc import Callable, Mapping

import numpy as np

from raysys.errors import Part, PartError
from raysys.signals import SIGNALS, engine_signal, freshness, logit, price_fit
from raysys.surfaces.asker import Asker
from raysys.surfaces.closer import Closer
from raysys.surfaces.pool import Pool
from raysys.types import MICROS, Floats, Ints, Query


def plain_signals(size: int, positions: Ints | None) -> Floats:
    """(C, S) with the engine's signal alone, or with none if the engine's positions do not count."""
    raw = np.full((size, len(SIGNALS)), np.nan)
    if positions is not None:
        raw[:, SIGNALS.index("engine")] = engine_signal(positions)
    return raw


def unknown(pool: Pool) -> list[int]:
    """Places of candidates that are no items of the catalog and came with a text."""
    return [place for place in pool.candidates.texts if pool.rows[place] < 0]


def predict(
    asker: Asker,
    query: Query,
    pool: Pool,
    vector: Floats | None,
    told: Mapping[int, Floats] | None = None,
    closer: Closer | None = None,
) -> Floats:
    """Raw signals (C, S), NaN where a value is unknown; parts that fail join `asker.missing`.

    Every signal but the engine's is candidate-isolated, and relevance where the engine's first candidates
    are read closely: it then depends on the candidate and on where the engine put it.

    Args:
        vector: (D,) of the query's text.
        told: vectors (D,) of texts that came with unknown items, by their place in the pool.
        closer: what the cross-encoder says.
    """
    catalog, rows = asker.experts.catalog, pool.rows
    columns: dict[str, Floats] = {
        "price_fit": price_fit(catalog.take("price_micros", rows), asker.person.touched_micros),
        "margin": catalog.take("margin", rows),
        "freshness": freshness(catalog.take("first_ms", rows, 0.0), query.time_ms),
        "popularity": np.log1p(catalog.take("popularity", rows)),
    }
    experts: dict[Part, Callable[[], dict[str, Floats]]] = {
        "interest": lambda: _interest(asker, query, pool),
        "relevance": lambda: _relevance(asker, query, pool, vector, told or {}, closer),
    }
    for part, expert in experts.items():
        try:
            if part not in asker.missing:
                columns |= expert()
        except PartError as error:
            asker.missing.add(error.part)
    raw = plain_signals(len(rows), pool.positions)
    for name, column in columns.items():
        raw[:, SIGNALS.index(name)] = column
    return raw


def _interest(asker: Asker, query: Query, pool: Pool) -> dict[str, Floats]:
    """Signals that the interest model gives."""
    interest, catalog, rows = asker.experts.interest, asker.experts.catalog, pool.rows
    view = asker.person.view
    if interest is None or view is None:
        return {}
    kind = interest.kinds.index(interest.primary)
    asked = bool(query.text.strip())
    prob = interest.probs(view, rows, query.time_ms, asked=asked)[:, kind].astype(np.float64)
    kept = catalog.take("margin", rows) * catalog.take("price_micros", rows) / MICROS
    known = rows >= 0
    return {
        "interest": logit(prob),
        "repeat": np.where(known, interest.repeat(view, rows, query.time_ms), np.nan),
        "interest_margin": np.arcsinh(prob * kept),
        "uncertainty": np.where(known, interest.uncertainty(view, rows), np.nan),
    }


def _relevance(
    asker: Asker,
    query: Query,
    pool: Pool,
    vector: Floats | None,
    vectors: Mapping[int, Floats],
    closer: Closer | None,
) -> dict[str, Floats]:
    """How well candidates answer the words of the query; unknown items by the text they came with."""
    relevance, rows, sent = asker.experts.relevance, pool.rows, pool.candidates.texts
    if relevance is None or not query.text.strip():
        return {}
    fit = np.full(len(rows), np.nan)
    known = np.flatnonzero(rows >= 0)
    if len(known):
        fit[known] = relevance.scores(query.text, vector, rows[known], asker.experts.catalog)
    told = unknown(pool)
    if told:
        meant = None
        if vector is not None and vectors:
            nothing = np.zeros_like(vector)
            meant = np.stack([vectors.get(place, nothing) for place in told])
        fit[told] = relevance.of_texts(query.text, vector, [sent[place] for place in told], meant)
    return {"relevance": fit if closer is None else closer.upon(fit)}
