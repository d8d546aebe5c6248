"""How good an ordering or a probability is: arrays in, numbers with standard errors out."""

import numpy as np

from raysys.types import Bools, Floats, Ints


def ndcg(hits: Bools, truth: int, length: int = 10) -> float:
    """Binary NDCG of one ranking; NaN where nothing is true.

    Args:
        hits: (C,) whether the item at each place is true, best place first.
        truth: number of true items in all, also those the ranking never reached.
        length: places that count.
    """
    if truth == 0:
        return float("nan")
    gains = 1.0 / np.log2(np.arange(length) + 2.0)
    top = hits[:length]
    return float(gains[: len(top)][top].sum() / gains[: min(truth, length)].sum())


def mean_error(values: Floats) -> tuple[float, float]:
    """Mean of (U,) values and its standard error; NaN are left out, (NaN, NaN) if fewer than two stay."""
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return float("nan"), float("nan")
    return float(known.mean()), float(known.std(ddof=1) / np.sqrt(len(known)))


def clustered_error(values: Floats, cluster: Ints) -> tuple[float, float]:
    """Mean of (n,) values and its standard error where values of one cluster (n,) hang together.

    The error of a ratio of sums over clusters (Cochran 1977, section 9A); NaN are left out.
    """
    known = np.isfinite(values)
    if not known.any():
        return float("nan"), float("nan")
    values, cluster = values[known], cluster[known]
    mean = float(values.mean())
    number = np.unique(cluster, return_inverse=True)[1]
    off = np.bincount(number, values - mean)
    groups = len(off)
    if groups < 2:
        return mean, float("nan")
    return mean, float(np.sqrt((off**2).sum() * groups / (groups - 1)) / len(values))


def log_loss(probs: Floats, done: Bools, weight: Floats | None = None) -> float:
    """Mean negative log likelihood of (N,) outcomes under (N,) probabilities, weighted if asked."""
    sure = np.clip(probs.astype(np.float64), 1e-12, 1.0 - 1e-12)
    return float(-np.average(np.where(done, np.log(sure), np.log1p(-sure)), weights=weight))
