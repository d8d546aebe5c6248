"""Does this person respond to this ad? A logistic model of what the state tells (response, not uplift)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.errors import BundleError
from raysys.events import AdUpdate
from raysys.state.protocol import State
from raysys.types import Floats

FEATURES = ("known", "log_days", "log_bought", "item_bought", "item_touched", "shown_today")


def ad_features(state: State | None, ads: Sequence[AdUpdate]) -> Floats:
    """Features (C, len(FEATURES)) of one person and each ad, from the state alone."""
    found = np.zeros((len(ads), len(FEATURES)))
    if state is None:
        return found
    places = {item: place for place, item in enumerate(state.own_items)}
    found[:, 0] = 1.0
    found[:, 1] = np.log1p(state.days)
    found[:, 2] = np.log1p(sum(state.own_bought))
    for row, ad in enumerate(ads):
        if (place := places.get(ad.item_id or "")) is not None:
            found[row, 3] = np.log1p(state.own_bought[place])
            found[row, 4] = np.log1p(state.own_touched[place])
        found[row, 5] = np.log1p(state.ads.get(ad.ad_id, (0, 0))[1])
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseScorer:
    """The probability of the deed that an ad bids for, given a showing."""

    weights: Floats
    """(len(FEATURES) + 1,), the intercept last."""

    def probs(self, state: State | None, ads: Sequence[AdUpdate]) -> Floats:
        """Probability (C,) of a response to each ad."""
        utility = ad_features(state, ads) @ self.weights[:-1] + self.weights[-1]
        return np.asarray(1.0 / (1.0 + np.exp(-utility)))

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        (folder / "response.json").write_bytes(msgspec.json.encode({"features": FEATURES}))
        np.save(folder / "weights.npy", self.weights, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        features = msgspec.json.decode((folder / "response.json").read_bytes())["features"]
        if tuple(features) != FEATURES:
            raise BundleError(f"{folder}: fitted on the features {features}, expected {FEATURES}; fit again")
        return cls(weights=np.load(folder / "weights.npy", "r", allow_pickle=False))
