"""Two classical recommenders that are no part of raysys, as sources that an ablation may add."""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import linalg, sparse

from raysys.interest.habits import Habits
from raysys.interest.interactions import Interactions
from raysys.interest.partners import Rows
from raysys.types import Floats

KEPT = 100
"""Items kept for each item by EASE."""
BLOCK = 1024
"""Rows that are cut to them at once."""

Source = Callable[[Habits, int], Floats]
"""The score (I,) of every item for a person as of a moment."""


def ease(events: Interactions, items: int, ridge: float = 300.0) -> Source:
    """EASE (Steck 2019), the KEPT best weights of each item; it takes (I, I) float32 twice."""
    chosen = _chosen(events, items)
    gram = np.asfortranarray((chosen.T @ chosen).toarray())
    gram[np.diag_indices(items)] += ridge
    gram = linalg.cholesky(gram, lower=False, overwrite_a=True, check_finite=False)
    inverse, failed = linalg.lapack.spotri(gram, overwrite_c=1)
    assert not failed, "the ridge makes the matrix positive definite"
    scale = -1.0 / np.diag(inverse)
    parts = []
    for low in range(0, items, BLOCK):
        row = np.arange(low, min(low + BLOCK, items))
        # the upper triangle alone is there
        block = np.where(np.arange(items) >= row[:, None], inverse[row], inverse[:, row].T) * scale
        block[np.arange(len(row)), row] = 0.0
        best = np.argpartition(-block, KEPT, axis=1)[:, :KEPT]
        value = np.maximum(np.take_along_axis(block, best, 1), 0.0)
        at = np.repeat(np.arange(len(row)), KEPT)
        parts.append(sparse.csr_matrix((value.ravel(), (at, best.ravel())), block.shape))
    weights = Rows.of(sparse.vstack(parts))
    return lambda habits, now_ms: weights.weighted(habits.rows, np.ones(len(habits.rows)), items)


def als(
    events: Interactions,
    items: int,
    *,
    width: int = 64,
    trust: float = 10.0,
    ridge: float = 1.0,
    rounds: int = 8,
) -> Source:
    """Implicit ALS (Hu, Koren and Volinsky 2008); whoever is asked about is folded in."""
    chosen = _chosen(events, items)
    table = np.random.default_rng(0).normal(scale=0.1, size=(items, width))
    taken = chosen.T.tocsr()
    for _ in range(rounds):
        users = _solved(chosen, table, trust, ridge)
        table = _solved(taken, users, trust, ridge)
    base = table.T @ table + ridge * np.eye(width)

    def scores(habits: Habits, now_ms: int) -> Floats:
        own = table[habits.rows]
        user = np.linalg.solve(base + trust * own.T @ own, (1.0 + trust) * own.sum(0))
        return np.asarray(table @ user)

    return scores


def _solved(chosen: sparse.csr_matrix, table: Floats, trust: float, ridge: float) -> Floats:
    """The rows (R, D) that explain `chosen` (R, n) best by `table` (n, D)."""
    width = table.shape[1]
    base = table.T @ table + ridge * np.eye(width)
    found = np.zeros((chosen.shape[0], width))
    for row in np.flatnonzero(np.diff(chosen.indptr)).tolist():
        own = table[chosen.indices[chosen.indptr[row] : chosen.indptr[row + 1]]]
        found[row] = np.linalg.solve(base + trust * own.T @ own, (1.0 + trust) * own.sum(0))
    return found


def _chosen(events: Interactions, items: int) -> sparse.csr_matrix:
    """Whether (U, I) each user had to do with each item."""
    shape = (int(events.user.max()) + 1, items)
    found = sparse.csr_matrix((np.ones(len(events), np.float32), (events.user, events.row)), shape)
    found.data[:] = 1.0
    return found


MAKERS: Mapping[str, Callable[[Interactions, int], Source]] = {"ease": ease, "als": als}
