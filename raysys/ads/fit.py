"""Fitting the response model from showings of ads and what followed."""

from collections.abc import Sequence

import numpy as np

from raysys.ads.scorer import FEATURES, ResponseScorer, ad_features
from raysys.errors import DataError
from raysys.events import AdUpdate
from raysys.state.protocol import State
from raysys.types import Bools, Floats


def fit_response(
    showings: Sequence[tuple[State | None, AdUpdate]], responded: Bools, *, strength: float = 1.0
) -> ResponseScorer:
    """A response model from showings (N,): the state before each, the ad, and whether it worked."""
    if len(showings) != len(responded):
        raise DataError(f"{len(showings)} showings but {len(responded)} responses; send one for each")
    if not len(showings) or responded.all() or not responded.any():
        raise DataError("showings with and without a response are needed; there is only one kind")
    from sklearn.linear_model import LogisticRegression

    seen: Floats = np.concatenate([ad_features(state, [ad]) for state, ad in showings])
    model = LogisticRegression(C=strength, max_iter=1_000).fit(seen, responded)
    weights = np.append(model.coef_[0], model.intercept_[0])
    assert len(weights) == len(FEATURES) + 1
    return ResponseScorer(weights=weights)
