"""Predict: the signals of every candidate, from whatever experts are at hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import Part, PartError
from raysys.signals import SIGNALS, engine_signal, freshness, logit, price_fit
from raysys.state.protocol import State
from raysys.surfaces.experts import Interest, Relevance
from raysys.types import MICROS, Candidates, Floats, Ints, Query


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking, as the experts see them; kept as long as neither state nor items change."""

    view: Any
    """The interest model's view, None where it could not be had."""
    touched_micros: Floats
    """(H,) prices of what the person touched lately, NaN where unknown."""


def person_of(interest: Interest | None, catalog: Catalog, state: State | None, now_ms: int) -> Person:
    """The person behind `state`."""
    rows = catalog.rows(state.history_items) if state is not None else np.zeros(0, np.int64)
    view = interest.view(state, catalog, now_ms) if interest is not None else None
    return Person(view, catalog.take("price_micros", rows))


def engine_positions(candidates: Candidates) -> Ints:
    """The engine's position (C,) of each candidate: by its scores if all have one, else as given."""
    scores = candidates.engine_scores
    if scores is None or not np.all(np.isfinite(scores)):
        return np.arange(len(candidates))
    positions = np.empty(len(candidates), np.int64)
    positions[np.argsort(-scores, kind="stable")] = np.arange(len(candidates))
    return positions


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The catalog and the experts as they stand now; one reference, swapped whole."""

    catalog: Catalog
    interest: Interest | None
    relevance: Relevance | None
    serial: int = 0
    """Grows at every swap."""


def plain_signals(size: int, positions: Ints | None) -> Floats:
    """(C, S) with the engine's signal alone, or with none if the engine's positions do not count."""
    raw = np.full((size, len(SIGNALS)), np.nan)
    if positions is not None:
        raw[:, SIGNALS.index("engine")] = engine_signal(positions)
    return raw


def predict(
    experts: Experts,
    person: Person,
    query: Query,
    candidates: Candidates,
    rows: Ints,
    vector: Floats | None,
    positions: Ints | None,
    missing: set[Part],
) -> Floats:
    """Raw signals (C, S), NaN where a value is unknown; parts that fail join `missing`.

    Every signal but the engine's, which comes from `positions` (C,), is candidate-isolated.
    """
    catalog = experts.catalog
    columns: dict[str, Floats] = {
        "price_fit": price_fit(catalog.take("price_micros", rows), person.touched_micros),
        "margin": catalog.take("margin", rows),
        "freshness": freshness(catalog.take("first_ms", rows, 0.0), query.time_ms),
        "popularity": np.log1p(catalog.take("popularity", rows)),
    }
    for part, expert in (("interest", _interest), ("relevance", _relevance)):
        try:
            if part not in missing:
                columns |= expert(experts, person, query, candidates, rows, vector)
        except PartError as error:
            missing.add(error.part)
    raw = plain_signals(len(rows), positions)
    for name, column in columns.items():
        raw[:, SIGNALS.index(name)] = column
    return raw


def _interest(
    experts: Experts, person: Person, query: Query, candidates: Candidates, rows: Ints, vector: Floats | None
) -> dict[str, Floats]:
    """Signals that the interest model gives."""
    interest, catalog = experts.interest, experts.catalog
    if interest is None or person.view is None:
        return {}
    kind = interest.kinds.index(interest.primary)
    prob = interest.probs(person.view, rows, query.time_ms)[:, kind].astype(np.float64)
    kept = catalog.take("margin", rows) * catalog.take("price_micros", rows) / MICROS
    known = rows >= 0
    return {
        "interest": logit(prob),
        "repeat": np.where(known, interest.repeat(person.view, rows, query.time_ms), np.nan),
        "interest_margin": np.arcsinh(prob * kept),
        "uncertainty": np.where(known, interest.uncertainty(person.view, rows), np.nan),
    }


def _relevance(
    experts: Experts, person: Person, query: Query, candidates: Candidates, rows: Ints, vector: Floats | None
) -> dict[str, Floats]:
    """How well candidates answer the words of the query; unknown items by the text they came with."""
    if experts.relevance is None or not query.text.strip():
        return {}
    fit = np.full(len(rows), np.nan)
    known = np.flatnonzero(rows >= 0)
    if len(known):
        fit[known] = experts.relevance.scores(query.text, vector, rows[known], experts.catalog)
    told = [place for place in candidates.texts if rows[place] < 0]
    if told:
        texts = [candidates.texts[place] for place in told]
        fit[told] = experts.relevance.of_texts(query.text, vector, texts, None)
    return {"relevance": fit}
