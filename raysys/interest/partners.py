"""The classical partners of the network: what goes with what, and what people alike like.

Each is a sparse matrix whose product with a user's own weights scores every item at once:

- directed co-visitation: items bought after an item, within few baskets (Metarank's and
  many shops' "also bought", with direction; weights 1 / gap, divided by popularity^0.5);
- item-kNN: cosine of the items' user columns with shrinkage (Sarwar et al. 2001);
- user-kNN: the latest baskets of the most similar users (Herlocker et al. 1999).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from raysys.interest.interactions import Interactions, decay
from raysys.types import Floats, Ints

NEIGHBORS = 64
"""Items kept for each item."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse matrix in CSR form, without SciPy, so that a replica can multiply by it."""

    start: Ints
    """(R + 1,) where each row begins in the two other arrays."""
    column: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.start) - 1

    def weighted(self, rows: Ints, weights: Floats, width: int) -> Floats:
        """Sum (width,) of the rows (n,) times their weights (n,)."""
        counts = (self.start[rows + 1] - self.start[rows]).astype(np.int64)
        if not counts.sum():
            return np.zeros(width)
        first = np.repeat(self.start[rows].astype(np.int64) - np.cumsum(counts) + counts, counts)
        taken = first + np.arange(len(first))
        terms = self.value[taken] * np.repeat(weights, counts)
        summed = np.bincount(self.column[taken], terms, minlength=width)[:width]
        return np.asarray(summed, np.float64)

    def save(self, folder: Path, name: str) -> None:
        for part in ("start", "column", "value"):
            np.save(folder / f"{name}_{part}.npy", getattr(self, part), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, name: str) -> Self:
        parts = ("start", "column", "value")
        return cls(*(np.load(folder / f"{name}_{part}.npy", "r", allow_pickle=False) for part in parts))

    @classmethod
    def of(cls, matrix: object) -> Self:
        """From any SciPy sparse matrix."""
        csr = matrix.tocsr()  # type: ignore[attr-defined]
        return cls(csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data.astype(np.float32))


def item_knn(events: Interactions, users: int, items: int, *, shrink: float = 20.0) -> Rows:
    """Cosine similarity of items by who chose them, the NEIGHBORS best of each row."""
    from scipy import sparse

    ones = np.ones(len(events), np.float32)
    matrix = sparse.csr_matrix((ones, (events.user, events.row)), (users, items))
    matrix.data[:] = 1.0  # days with the item do not count twice
    common = (matrix.T @ matrix).tocoo()
    size = np.asarray(matrix.sum(0)).ravel()
    away = common.row != common.col
    row, column, count = common.row[away], common.col[away], common.data[away]
    cosine = count / (np.sqrt(size[row] * size[column]) + shrink)
    return _best(row, column, cosine, items)


def co_visits(events: Interactions, items: int, *, gap: int = 20, shrink: float = 10.0) -> Rows:
    """Items that followed an item within `gap` interactions of a user, nearer ones count more."""
    order = np.lexsort((events.time_ms, events.user))
    user, row = events.user[order], events.row[order]
    pairs: list[tuple[Ints, Ints, Floats]] = []
    for step in range(1, gap + 1):
        same = (user[step:] == user[:-step]) & (row[step:] != row[:-step])
        weight = np.full(int(same.sum()), 1.0 / step, np.float32)
        pairs.append((row[:-step][same], row[step:][same], weight))
    source, target, weight = (np.concatenate(part) for part in zip(*pairs, strict=True))
    merged = _merged(source, target, weight, items)
    popularity = np.bincount(row, minlength=items)
    return _best(merged[0], merged[1], merged[2] / np.sqrt(popularity[merged[1]] + shrink), items)


def _merged(row: Ints, column: Ints, value: Floats, items: int) -> tuple[Ints, Ints, Floats]:
    """Entries of one cell added up."""
    cells, place = np.unique(row.astype(np.int64) * items + column, return_inverse=True)
    return cells // items, cells % items, np.asarray(np.bincount(place, value), np.float64)


def _best(row: Ints, column: Ints, value: Floats, items: int) -> Rows:
    """The NEIGHBORS largest entries of each row."""
    order = np.lexsort((-value, row))
    row, column, value = row[order], column[order], value[order]
    starts = np.searchsorted(row, np.arange(items + 1))
    place = np.arange(len(row)) - starts[row] if len(row) else np.zeros(0, np.int64)
    keep = place < NEIGHBORS
    counts = np.bincount(row[keep], minlength=items)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rows(start, column[keep].astype(np.int32), value[keep].astype(np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """User-kNN: what people with a similar basket chose. Rows are people without a name."""

    people: Rows
    """(U, I) unit rows of decayed weights times the rarity of the item."""
    chosen: Rows
    """(U, I) decayed counts, what a neighbor votes with."""
    takers: Rows
    """(I, U) `people` transposed, to find who shares an item."""
    rarity: Floats
    """(I,) weight of each item in a comparison (inverse user frequency)."""

    @classmethod
    def learn(cls, events: Interactions, users: int, items: int, now_ms: int, half_life: float) -> Self:
        from scipy import sparse

        weight = decay(events.time_ms, now_ms, half_life).astype(np.float32)
        chosen = sparse.csr_matrix((weight, (events.user, events.row)), (users, items))
        takers = np.bincount(chosen.indices, minlength=items)
        rarity = np.log((users + 1) / (takers + 1)).astype(np.float32)
        people = chosen.multiply(rarity[None, :]).tocsr()
        norm = np.sqrt(np.asarray(people.multiply(people).sum(1)).ravel())
        people = sparse.diags(1.0 / np.maximum(norm, 1e-9)) @ people
        return cls(
            people=Rows.of(people), chosen=Rows.of(chosen), takers=Rows.of(people.T.tocsr()), rarity=rarity
        )

    def scores(self, rows: Ints, weights: Floats, *, most: int = 200) -> Floats:
        """Votes (I,) of the `most` people most similar to whoever has `rows` with `weights` (n,).

        Somebody with the very same basket, as the user's own row in training is, does not vote.
        """
        items, users = len(self.rarity), len(self.people)
        mine = weights * self.rarity[rows]
        similar = self.takers.weighted(rows, mine / max(float(np.linalg.norm(mine)), 1e-9), users)
        similar[similar > 0.9999] = 0.0
        best = np.argsort(-similar, kind="stable")[:most]
        best = best[similar[best] > 0]
        return self.chosen.weighted(best, similar[best] ** 2, items)

    def save(self, folder: Path) -> None:
        for name in ("people", "chosen", "takers"):
            getattr(self, name).save(folder, name)
        np.save(folder / "rarity.npy", self.rarity, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parts = {name: Rows.load(folder, name) for name in ("people", "chosen", "takers")}
        return cls(**parts, rarity=np.load(folder / "rarity.npy", "r", allow_pickle=False))
