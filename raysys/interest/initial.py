"""Where the identity vectors of the items begin: what is bought together lies together from the start."""

from typing import Any

import numpy as np

from raysys.interest.sequences import Sequences
from raysys.types import Floats

GAP, NEAR = 8, 2
"""How many events apart two items of a user still count as met; of LARGE catalogs, whose pairs would
fill the memory."""
LARGE = 100_000
"""Items from which on a catalog is a large one: nearer pairs, and fewer rounds of the SVD."""
PAIRS = 60_000_000
"""Pairs that are counted at once; the rarest are forgotten when there are more."""
SHRINK = 3.0


class Meetings:
    """How often two different items of one user were near each other, counted part by part of a log."""

    def __init__(self, items: int) -> None:
        from scipy import sparse

        self.counts: Any = sparse.csr_matrix((items, items), dtype=np.float32)
        """(I, I), the upper or the lower entry of a pair, or both."""
        self._items = items
        self._gap = GAP if items < LARGE else NEAR
        self._floor = 0

    def add(self, sequences: Sequences) -> None:
        """Count the pairs of some users."""
        from scipy import sparse

        user, row = sequences.user, sequences.row
        shape = (self._items, self._items)
        for step in range(1, self._gap + 1):
            met = (user[step:] == user[:-step]) & (row[step:] != row[:-step])
            pair = row[:-step][met], row[step:][met]
            self.counts = self.counts + sparse.csr_matrix((np.ones(int(met.sum()), np.float32), pair), shape)
        while self.counts.nnz > PAIRS:  # as lossy counting (Manku and Motwani 2002) does
            self._floor += 1
            self.counts.data[self.counts.data <= self._floor] = 0.0
            self.counts.eliminate_zeros()


def identity_vectors(meetings: Meetings, width: int, seed: int, *, std: float = 0.05) -> Floats:
    """Vectors (I, D) float32 from an SVD of sqrt(C_ij) / ((s_i + 3)(s_j + 3))^(1/4), of co-visits C.

    The root makes one rule of two: without it dense logs suffer, with PPMI (Levy and Goldberg
    2014) sparse ones. Items that never met another one get small random vectors. The SVD is the
    randomized one (Halko et al. 2011), which needs memory for the pairs and some (I, D).
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    counts = meetings.counts + meetings.counts.T
    items = counts.shape[0]
    total = np.asarray(counts.sum(1)).ravel()
    vectors = _random(items, width, seed, std)
    rank = min(width, items - 1)
    if counts.nnz and rank > 0:
        scale = sparse.diags((1.0 / np.sqrt(total + SHRINK)).astype(np.float32))
        likeness = (scale @ counts @ scale).sqrt()
        del counts
        rounds = 3 if items < LARGE else 1
        left, strength, _ = randomized_svd(likeness, rank, n_iter=rounds, random_state=seed)
        left *= np.sqrt(strength)
        met = total > 0
        spread = max(float(left[met].std()), 1e-9)
        vectors[met, :rank] = left[met] / spread * std
    return vectors


def _random(items: int, width: int, seed: int, std: float) -> Floats:
    """Normal numbers (I, D) float32, without as many float64 ones beside them."""
    rng = np.random.default_rng(seed)
    vectors = np.empty((items, width), np.float32)
    for low in range(0, items, LARGE):
        part = vectors[low : low + LARGE]
        part[:] = rng.normal(size=part.shape) * std
    return vectors
