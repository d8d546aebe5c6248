"""How much a cross-encoder is to say beside what relevance is without it."""

import numpy as np

from raysys.text.cross_encoder import Blend
from raysys.types import Floats, Ints


def blend_of(
    plain: Floats, close: Floats, relevant: Floats, query: Ints, weight: Floats | None = None
) -> Blend | None:
    """How relevance by words and vectors, `plain` (N,), and the cross-encoder's, `close` (N,), become one.

    Both are weighed by least squares, and brought back to the scale of `plain`, so that what was read and
    what was not stand in one list. Only what differs within a query counts, for that is what orders.

    Args:
        relevant: (N,) what they should have said.
        weight: (N,) how much each pair counts; all alike if None.

    Returns:
        None if the cross-encoder adds nothing.
    """
    weight = np.ones(len(plain)) if weight is None else weight
    columns = (_within(values, query, weight) for values in (plain, close, relevant))
    plainly, closely, wanted = (np.sqrt(weight) * column for column in columns)
    both = np.stack([plainly, closely], axis=1)
    (by_plain, by_close), *_ = np.linalg.lstsq(both, wanted, rcond=None)
    alone = float(plainly @ wanted / max(float(plainly @ plainly), 1e-12))
    if by_close <= 0.0 or alone <= 0.0:
        return None
    weights = max(float(by_plain), 0.0) / alone, float(by_close) / alone
    means = (float(np.average(values, weights=weight)) for values in (plain, close))
    plain_mean, close_mean = means
    offset = plain_mean - weights[0] * plain_mean - weights[1] * close_mean
    return Blend(plain=weights[0], close=weights[1], offset=offset)


def _within(values: Floats, query: Ints, weight: Floats) -> Floats:
    """Values (N,) less the mean of their query."""
    _, place = np.unique(query, return_inverse=True)
    total = np.bincount(place, weight)
    return np.asarray(values - (np.bincount(place, weight * values) / np.maximum(total, 1e-12))[place])
