"""Does this person respond to these ads? A logistic model over the live state, as plain arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.ads.features import FEATURES, features
from raysys.ads.inventory import Inventory
from raysys.errors import BundleError
from raysys.state.protocol import State
from raysys.types import Floats, Ints

ARRAYS = ("center", "scale", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseScorer:
    """Chance of the event that an ad bids for; one ad's chance ignores the other ads."""

    center: Floats
    scale: Floats
    weights: Floats
    """(F,) each, in the order of FEATURES."""
    bias: float

    @classmethod
    def constant(cls, prob: float = 0.01) -> Self:
        """Without data: everybody responds alike."""
        size = len(FEATURES)
        bias = float(np.log(prob) - np.log1p(-prob))
        return cls(center=np.zeros(size), scale=np.ones(size), weights=np.zeros(size), bias=bias)

    def probs(self, state: State | None, ads: Inventory, rows: Ints, now_ms: int) -> Floats:
        """Chance (C,) that whoever has `state` responds to each ad at `rows` when it is shown."""
        return self.of_features(features(state, ads.about, now_ms, rows))

    def of_features(self, columns: Floats) -> Floats:
        """Chance (N,) from columns FEATURES (N, F)."""
        logit = self.bias + np.sum((columns - self.center) / self.scale * self.weights, axis=1)
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -30.0, 30.0))))

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir(parents=True)
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        about = {"features": FEATURES, "bias": self.bias}
        (folder / "response.json").write_bytes(msgspec.json.encode(about))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; refuses a model of other features."""
        about = msgspec.json.decode((folder / "response.json").read_bytes())
        if tuple(about["features"]) != FEATURES:
            raise BundleError(
                f"response model {folder} has features {about['features']}, expected {list(FEATURES)};"
                " fit it again with this version"
            )
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS}
        return cls(bias=float(about["bias"]), **arrays)
