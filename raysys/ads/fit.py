"""Fit who responds to ads: a logistic regression, folded into plain arrays."""

import numpy as np

from raysys.ads.scorer import ResponseScorer
from raysys.errors import DataError
from raysys.types import Floats, Ints

PENALTY = 30.0


def held_out(columns: Floats, responded: Floats, groups: Ints, *, penalty: float = PENALTY) -> Floats:
    """Chances (N,) of showings, each from a model of the other groups (N,), such as campaigns."""
    probs = np.empty(len(responded))
    for group in np.unique(groups):
        other = groups != group
        model = fit_response(columns[other], responded[other], penalty=penalty)
        probs[~other] = model.of_features(columns[~other])
    return probs


def fit_response(columns: Floats, responded: Floats, *, penalty: float = PENALTY) -> ResponseScorer:
    """A scorer from features (N, F) and whether each showing was responded to (N,).

    Response, not uplift: who would have bought anyway counts as a response.

    Args:
        penalty: L2 strength on the standardized weights; the default was chosen on training campaigns.
    """
    from sklearn.linear_model import LogisticRegression

    positives = int(responded.sum())
    if not 0 < positives < len(responded):
        raise DataError(
            f"{positives} responses in {len(responded)} showings, expected some of both kinds;"
            " use ResponseScorer.constant until there are"
        )
    center, scale = columns.mean(axis=0), np.maximum(columns.std(axis=0), 1e-6)
    model = LogisticRegression(C=1.0 / penalty, max_iter=1000)
    model.fit((columns - center) / scale, responded)
    return ResponseScorer(
        center=center, scale=scale, weights=np.asarray(model.coef_[0]), bias=float(model.intercept_[0])
    )
