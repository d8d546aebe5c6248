"""The classical partners of the network: what goes with what, and what people alike like.

Each is a sparse matrix whose product with a user's own weights scores every item at once:

- directed co-visitation: items taken after an item, within few steps (Metarank's and
  many shops' "also bought", with direction; weights 1 / gap, divided by popularity^0.5),
  asked with what somebody has (`co_visit`) and with what they did last (`follow`);
- item-kNN: cosine of the items' user columns with shrinkage (Sarwar et al. 2001);
- user-kNN: the latest baskets of the most similar users (Herlocker et al. 1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from raysys.interest.interactions import Interactions, decay
from raysys.types import Floats, Ints

NEIGHBORS = 64
"""Items kept for each item."""
FOLLOWERS = 100
"""Items kept for each item of those that followed it."""
BLOCK = 2048
"""Items compared with all others at a time."""


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
        """What `save` wrote, memory-mapped, but as plain arrays: a memmap's own indexing runs in Python."""
        parts = ("start", "column", "value")
        arrays = (np.load(folder / f"{name}_{part}.npy", "r", allow_pickle=False) for part in parts)
        return cls(*(array.view(np.ndarray) for array in arrays))

    @classmethod
    def of(cls, matrix: object) -> Self:
        """From any SciPy sparse matrix."""
        csr = matrix.tocsr()  # type: ignore[attr-defined]
        return cls(csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data.astype(np.float32))


def item_knn(events: Interactions, users: int, items: int, *, shrink: float = 20.0) -> Rows:
    """Cosine similarity of items by who chose them, the NEIGHBORS best of each row."""
    from scipy import sparse

    ones = np.ones(len(events), np.float32)
    chosen = sparse.csr_matrix((ones, (events.user, events.row)), (users, items))
    chosen.data[:] = 1.0  # days with the item do not count twice
    takers = chosen.T.tocsr()
    size = np.sqrt(np.diff(takers.indptr).astype(np.float64))
    parts = []
    for start in range(0, items, BLOCK):
        common = (takers[start : start + BLOCK] @ chosen).tocsr()
        row = np.repeat(np.arange(start, start + common.shape[0]), np.diff(common.indptr))
        cosine = common.data / (size[row] * size[common.indices] + shrink)
        cosine[row == common.indices] = 0.0
        parts.append(_best(common.indptr, common.indices, cosine))
    return _stacked(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """How items that followed one another are counted, and how a history asks for what follows."""

    gap: int = 8
    """Steps apart at most; nearer ones count more."""
    reverse: float = 0.5
    """What a step backward counts beside one forward."""
    shrink: float = 20.0
    """Added to the popularity that a count is divided by."""
    power: float = 0.5
    """Of that popularity; 0 leaves the popular ones in front."""
    last: int = 10
    """Latest interactions that ask."""
    fade: float = 0.7
    """Weight of an interaction beside that of the one after it."""

    def weights(self, rows: Ints) -> tuple[Ints, Floats]:
        """The rows that a history (H,), oldest first, asks with, and their weights (n,)."""
        known = rows[rows >= 0][-self.last :]
        return known, self.fade ** np.arange(len(known) - 1, -1, -1.0)


def co_visits(events: Interactions, items: int, how: Following) -> Rows:
    """The FOLLOWERS items that most followed each item within `how.gap` interactions of a user."""
    from scipy import sparse

    order = np.lexsort((events.time_ms, events.user))
    user, row = events.user[order], events.row[order]
    followed = sparse.csr_matrix((items, items), dtype=np.float32)
    for step in range(1, how.gap + 1):  # one after the other: all pairs of a long log need not fit in memory
        same = (user[step:] == user[:-step]) & (row[step:] != row[:-step])
        weight = np.full(int(same.sum()), 1.0 / step, np.float32)
        followed = followed + sparse.csr_matrix(
            (weight, (row[:-step][same], row[step:][same])), (items, items)
        )
    if how.reverse:
        followed = (followed + how.reverse * followed.T).tocsr()
    popularity = np.bincount(row, minlength=items)
    value = followed.data / (popularity[followed.indices] + how.shrink) ** how.power
    return _best(followed.indptr, followed.indices, value, FOLLOWERS)


def _best(indptr: Ints, indices: Ints, values: Floats, kept: int = NEIGHBORS) -> Rows:
    """The `kept` largest entries above 0 of each row of a CSR matrix, best first."""
    chosen: list[Ints] = []
    counts = np.zeros(len(indptr) - 1, np.int64)
    for row, (low, high) in enumerate(pairwise(indptr.tolist())):
        inside = values[low:high]
        top = np.arange(high - low)
        if high - low > kept:
            top = np.argpartition(-inside, kept)[:kept]
        top = top[inside[top] > 0]
        top = top[np.lexsort((indices[low + top], -inside[top]))]
        chosen.append(low + top)
        counts[row] = len(top)
    taken = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Rows(start, indices[taken].astype(np.int32), values[taken].astype(np.float32))


def _stacked(parts: Sequence[Rows]) -> Rows:
    """Blocks of rows, one below the other."""
    counts = np.concatenate([[0], *(np.diff(part.start) for part in parts)])
    return Rows(
        np.cumsum(counts).astype(np.int64),
        np.concatenate([part.column for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbors:
    """User-kNN: what people with a similar basket chose. Rows are people without a name."""

    chosen: Rows
    """(U, I) decayed counts, what a neighbor votes with."""
    takers: Rows
    """(I, U) the counts times the rarity of the item, of length 1 for each person: who shares an item."""
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
        return cls(chosen=Rows.of(chosen), takers=Rows.of(people.T.tocsr()), rarity=rarity)

    def scores(self, rows: Ints, weights: Floats, *, most: int = 200) -> Floats:
        """Votes (I,) of the `most` people most similar to whoever has `rows` with `weights` (n,).

        Somebody with the very same basket, as the user's own row in training is, does not vote.
        """
        items, users = len(self.rarity), len(self.chosen)
        mine = weights * self.rarity[rows]
        similar = self.takers.weighted(rows, mine / max(float(np.linalg.norm(mine)), 1e-9), users)
        similar[similar > 0.9999] = 0.0
        best = np.flatnonzero(similar > 0)
        if len(best) > most:  # a partition is cheap, and whoever ties with the last one still stands in line
            near = similar[best]
            best = best[near >= np.partition(near, len(near) - most)[len(near) - most]]
        best = best[np.argsort(-similar[best], kind="stable")][:most]
        return self.chosen.weighted(best, similar[best] ** 2, items)

    def save(self, folder: Path) -> None:
        for name in ("chosen", "takers"):
            getattr(self, name).save(folder, name)
        np.save(folder / "rarity.npy", self.rarity, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parts = {name: Rows.load(folder, name) for name in ("chosen", "takers")}
        return cls(**parts, rarity=np.load(folder / "rarity.npy", allow_pickle=False))
