"""Where the identity vectors of the items begin: what is bought together lies together from the start."""

import numpy as np

from raysys.interest.sequences import Sequences
from raysys.types import Floats, Ints

GAP = 8
"""How many events apart two items of a user still count as met."""
SHRINK = 3.0


def identity_vectors(sequences: Sequences, items: int, width: int, seed: int, *, std: float = 0.05) -> Floats:
    """Vectors (I, D) float32 from an SVD of the co-visits C_ij / sqrt((s_i + 3)(s_j + 3)).

    Items that never met another one get small random vectors.
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    met = _meetings(sequences)
    ones = np.ones(met.shape[1], np.float32)
    counts = sparse.csr_matrix((ones, (met[0], met[1])), (items, items))
    counts = counts + counts.T
    root = sparse.diags(1.0 / np.sqrt(np.asarray(counts.sum(1)).ravel() + SHRINK))
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(items, width)) * std
    rank = min(width, items - 1)
    if counts.nnz and rank > 0:
        left, strength, _ = randomized_svd(root @ counts @ root, rank, n_iter=3, random_state=seed)
        found = left * np.sqrt(strength)
        spread = float(found[np.abs(found).sum(1) > 0].std())
        lonely = np.asarray(counts.sum(1)).ravel() == 0
        vectors[:, :rank] = np.where(lonely[:, None], vectors[:, :rank], found / max(spread, 1e-9) * std)
    return vectors.astype(np.float32)


def _meetings(sequences: Sequences) -> Ints:
    """Pairs (2, n) of different items of one user, at most GAP events apart."""
    pairs = [np.zeros((2, 0), np.int64)]
    user, row = sequences.user, sequences.row
    for step in range(1, GAP + 1):
        met = (user[step:] == user[:-step]) & (row[step:] != row[:-step])
        pairs.append(np.stack([row[:-step][met], row[step:][met]]))
    return np.concatenate(pairs, axis=1)
