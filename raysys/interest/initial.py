"""Where the identity vectors of the items begin: what is bought together lies together from the start."""

from typing import Any

import numpy as np

from raysys.interest.sequences import Sequences
from raysys.types import Floats

GAP = 8
"""How many events apart two items of a user still count as met."""
SHRINK = 3.0


def identity_vectors(sequences: Sequences, items: int, width: int, seed: int, *, std: float = 0.05) -> Floats:
    """Vectors (I, D) float32 from an SVD of sqrt(C_ij) / ((s_i + 3)(s_j + 3))^(1/4), of co-visits C.

    The root makes one rule of two: without it dense logs suffer, with PPMI (Levy and Goldberg
    2014) sparse ones. Items that never met another one get small random vectors.
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    counts = _meetings(sequences, items)
    total = np.asarray(counts.sum(1)).ravel()
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(items, width)) * std
    rank = min(width, items - 1)
    if counts.nnz and rank > 0:
        scale = sparse.diags((1.0 / np.sqrt(total + SHRINK)).astype(np.float32))
        likeness = (scale @ counts @ scale).sqrt()
        left, strength, _ = randomized_svd(likeness, rank, n_iter=3, random_state=seed)
        found = left * np.sqrt(strength)
        spread = float(found[total > 0].std())
        vectors[:, :rank] = np.where(total[:, None] == 0, vectors[:, :rank], found / max(spread, 1e-9) * std)
    return vectors.astype(np.float32)


def _meetings(sequences: Sequences, items: int) -> Any:
    """How often (I, I) two different items of one user were at most GAP events apart."""
    from scipy import sparse

    user, row = sequences.user, sequences.row
    counts = sparse.csr_matrix((items, items), dtype=np.float32)
    for step in range(1, GAP + 1):
        met = (user[step:] == user[:-step]) & (row[step:] != row[:-step])
        pair = row[:-step][met], row[step:][met]
        counts = counts + sparse.csr_matrix((np.ones(int(met.sum()), np.float32), pair), (items, items))
    return counts + counts.T
