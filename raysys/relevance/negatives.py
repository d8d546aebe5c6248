"""Texts that look like an answer and were never shown for the query: hard negatives, mined by the encoder.

A text nearly as near as the query's best one may be an answer that nobody judged, so only those at some
distance from it count (positive-aware mining, Moreira et al. 2024).
"""

from dataclasses import replace

import numpy as np

from raysys.errors import DataError
from raysys.relevance.fit import Judgements
from raysys.types import Floats, Ints

NEAR = 0.95
"""Share of the cosine of the query's best text that a negative may have."""
CHUNK = 256
"""Queries that are compared with all texts at a time."""


def with_negatives(judged: Judgements, vectors: tuple[Floats, Floats], count: int) -> Judgements:
    """The judgements and up to `count` more pairs of relevance 0 for each query.

    Args:
        vectors: unit rows (Q, D) of the queries and (T, D) of the texts, before anything was learned.
    """
    if count < 1:
        raise DataError(f"{count} negatives were asked for, must be at least 1")
    mined = [
        _mined(judged, vectors, np.arange(first, min(first + CHUNK, len(judged.queries))), count)
        for first in range(0, len(judged.queries), CHUNK)
    ]
    query, text = (np.concatenate([one[side] for one in mined]) for side in (0, 1))
    weight = np.ones(len(judged.query)) if judged.weight is None else judged.weight
    return replace(
        judged,
        query=np.concatenate([judged.query, query]),
        text=np.concatenate([judged.text, text]),
        relevant=np.concatenate([judged.relevant, np.zeros(len(query))]),
        weight=np.concatenate([weight, np.full(len(query), weight.mean())]),
    )


def _mined(judged: Judgements, vectors: tuple[Floats, Floats], asked: Ints, count: int) -> tuple[Ints, Ints]:
    """Queries (n,) out of `asked` and a negative (n,) for each."""
    cosine = vectors[0][asked] @ vectors[1].T  # (queries, T)
    rows = np.flatnonzero((judged.query >= asked[0]) & (judged.query <= asked[-1]))
    place, text = judged.query[rows] - asked[0], judged.text[rows]
    best = np.zeros(len(asked))
    good = judged.relevant[rows] > 0.5
    np.maximum.at(best, place[good], cosine[place[good], text[good]])
    cosine[place, text] = -1.0
    cosine[cosine > NEAR * best[:, None]] = -1.0
    top = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
    found = np.take_along_axis(cosine, top, axis=1) > 0.0
    return np.repeat(asked, found.sum(axis=1)), top[found].astype(np.int64)
