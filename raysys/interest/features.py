"""What the interest model looks at for one person and many candidates.

Fitting and serving call the same function on the same `State`, so there is no skew between them.
"""

from dataclasses import dataclass

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.partners import Neighbors, Rows
from raysys.state.protocol import FAST_DAYS, SLOW_DAYS, State
from raysys.types import DAY_MS, Floats, Ints

FEATURES = (
    "own_bought",
    "own_touched",
    "own_slow",
    "own_fast",
    "own_recency",
    "own_due",
    "own_never",
    "co_visit",
    "item_knn",
    "user_knn",
    "category",
    "brand",
    "popularity",
    "days",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """The partners' matrices over the I items that they were learned from."""

    co_visit: Rows
    item_knn: Rows
    neighbors: Neighbors

    def __len__(self) -> int:
        return len(self.co_visit)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """A state as the interest model sees it, over the I items of a catalog."""

    place: Ints
    """(I,) index of an item in the own columns (P,); P, a row of nothing, if it is not among them."""
    own: Floats
    """(P + 1, 6): bought, touched, slow, fast, first_ms, last_ms."""
    scores: Floats
    """(I, 5): co-visit, item-kNN, user-kNN, category share, brand share."""
    popularity: Floats
    """(I,) log of the decayed count."""
    days: float
    """Log of the days with an interaction."""


def user_view(
    state: State | None, catalog: Catalog, partners: Partners, codes: Ints, now_ms: int
) -> UserView:
    """The view of `state`, None for somebody unknown.

    Args:
        codes: (2, I) category and brand of each item as small numbers.
    """
    state = state or State()
    size = len(catalog)
    rows = catalog.rows(state.own_items)
    known = rows >= 0
    rows = rows[known]
    own = np.zeros((len(rows) + 1, 6))
    columns = (state.own_bought, state.own_touched, state.own_slow, state.own_fast, state.own_first_ms)
    for number, column in enumerate((*columns, state.own_last_ms)):
        own[:-1, number] = np.asarray(column, np.float64)[known]
    place = np.full(size, len(rows))
    place[rows] = np.arange(len(rows))
    weights = _faded(own[:-1, 2], own[:-1, 5], now_ms, SLOW_DAYS)
    return UserView(
        place=place,
        own=own,
        scores=_scores(rows, weights, partners, codes, size),
        popularity=np.log1p(np.asarray(catalog.popularity, np.float64)),
        days=float(np.log1p(state.days)),
    )


def _scores(rows: Ints, weights: Floats, partners: Partners, codes: Ints, size: int) -> Floats:
    """(I, 5) what the partners and the shares of category and brand say of every item."""
    scores = np.zeros((size, 5))
    if not len(rows):
        return scores
    trained = len(partners)
    inside = rows < trained
    old, mass = rows[inside], weights[inside]
    if len(old):
        scores[:trained, 0] = partners.co_visit.weighted(old, mass, trained)
        scores[:trained, 1] = partners.item_knn.weighted(old, mass, trained)
        scores[:trained, 2] = partners.neighbors.scores(old, mass)
    total = max(float(weights.sum()), 1e-9)
    for column, code in enumerate(codes, start=3):
        share = np.bincount(code[rows], weights, minlength=int(code.max()) + 1) / total
        scores[:, column] = share[code]
    return scores


def features(view: UserView, rows: Ints, now_ms: int) -> Floats:
    """Features (C, len(FEATURES)) float32 of the candidates at `rows` (C,), none of them -1."""
    bought, touched, slow, fast, first_ms, last_ms = view.own[view.place[rows]].T
    never = (bought + touched) == 0
    since = np.where(never, 0.0, np.maximum(now_ms - last_ms, 0.0)) / DAY_MS
    gap = (last_ms - first_ms) / DAY_MS / np.maximum(bought + touched - 1, 1)
    co_visit, item_knn, user_knn, category, brand = view.scores[rows].T
    columns = (
        np.log1p(bought),
        np.log1p(touched),
        np.log1p(_faded(slow, last_ms, now_ms, SLOW_DAYS)),
        np.log1p(_faded(fast, last_ms, now_ms, FAST_DAYS)),
        np.where(never, 0.0, 1.0 / (1.0 + since / 7.0)),
        np.where(never | (gap <= 0), 0.0, np.exp(-np.abs(np.log((since + 1.0) / (gap + 1.0))))),
        never,
        np.log1p(co_visit),
        np.log1p(item_knn),
        np.log1p(user_knn),
        category,
        brand,
        view.popularity[rows],
        np.full(len(rows), view.days),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _faded(value: Floats, from_ms: Floats, now_ms: int, half_life_days: float) -> Floats:
    days = np.maximum(now_ms - from_ms, 0.0) / DAY_MS
    return np.asarray(value * 0.5 ** (days / half_life_days))
