"""What would this person do with this item? Calibrated probabilities, NumPy only."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.catalog import Catalog
from raysys.errors import BundleError
from raysys.interest.features import FEATURES, Partners, UserView, features, user_view
from raysys.interest.partners import Neighbors, Rows
from raysys.state.protocol import State
from raysys.types import Floats, Ints

ARRAYS = ("center", "scale", "weights", "popular", "codes")


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestScorer:
    """A logistic combination of a person's own habits, the partners, and what is popular.

    A candidate's probabilities depend on the person and on that candidate alone.
    """

    kinds: tuple[str, ...]
    primary: str
    """The kind that `interest` ranks by, one of `kinds`."""
    partners: Partners
    center: Floats
    scale: Floats
    """(Fi,) what features are standardized with."""
    weights: Floats
    """(E, Fi + 1), the intercept last."""
    popular: Ints
    """(I,) rows, most popular first."""
    codes: Ints
    """(2, I) category and brand of each item as small numbers."""

    @property
    def size(self) -> int:
        """How many items the model was fitted on."""
        return len(self.partners)

    def with_items(self, catalog: Catalog) -> "InterestScorer":
        """A scorer for the items of `catalog`, new ones included: they are known by category and brand."""
        return replace(self, codes=codes_of(catalog))

    def view(self, state: State | None, catalog: Catalog, now_ms: int) -> UserView:
        """The state over the catalog's items; costs a few sparse products, so keep it."""
        codes = self.codes if self.codes.shape[1] == len(catalog) else codes_of(catalog)
        return user_view(state, catalog, self.partners, codes, now_ms)

    def probs(self, view: UserView, rows: Ints, now_ms: int) -> Floats:
        """Probabilities (C, E) float32 of each kind; NaN where the row is -1."""
        found = np.full((len(rows), len(self.kinds)), np.nan, np.float32)
        known = rows >= 0
        if known.any():
            seen = (features(view, rows[known], now_ms) - self.center) / self.scale
            found[known] = 1.0 / (1.0 + np.exp(-(seen @ self.weights[:, :-1].T + self.weights[:, -1])))
        return found

    def repeat(self, view: UserView, rows: Ints, now_ms: int) -> Floats:
        """How due (C,) an item is again: 1 when as long ago as is usual for this person, 0 if never."""
        return self._feature(view, rows, now_ms, "own_due")

    def uncertainty(self, view: UserView, rows: Ints) -> Floats:
        """How little (C,) in [0, 1] is known of item and person: it falls with what was counted."""
        counted = np.expm1(view.popularity[np.maximum(rows, 0)]) + np.expm1(view.days)
        return np.asarray(1.0 / np.sqrt(1.0 + np.where(rows >= 0, counted, 0.0)))

    def retrieve(self, view: UserView, length: int, now_ms: int) -> Ints:
        """Rows that this person is likeliest to want, best first."""
        rows = np.arange(len(view.place))
        score = self.probs(view, rows, now_ms)[:, self.kinds.index(self.primary)]
        return np.argsort(-score, kind="stable")[:length]

    def similar(self, row: int, length: int) -> Ints:
        """Rows chosen by the same people as `row`, best first; of its category if it is new."""
        if row < self.size:
            scores = self.partners.item_knn.weighted(np.array([row]), np.ones(1), self.size)
            best = np.argsort(-scores, kind="stable")[:length]
            best = best[scores[best] > 0]
            if len(best):
                return best
        alike = (
            np.flatnonzero(self.codes[0] == self.codes[0, row]) if row < self.codes.shape[1] else self.popular
        )
        return np.asarray(alike[alike != row][:length])

    def trending(self, length: int) -> Ints:
        """The most popular rows, best first."""
        return np.asarray(self.popular[:length])

    def _feature(self, view: UserView, rows: Ints, now_ms: int, name: str) -> Floats:
        found = np.zeros(len(rows))
        known = rows >= 0
        found[known] = features(view, rows[known], now_ms)[:, FEATURES.index(name)]
        return found

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        head = {"kinds": self.kinds, "primary": self.primary, "features": FEATURES}
        (folder / "interest.json").write_bytes(msgspec.json.encode(head))
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        self.partners.co_visit.save(folder, "co_visit")
        self.partners.item_knn.save(folder, "item_knn")
        self.partners.neighbors.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        head = msgspec.json.decode((folder / "interest.json").read_bytes())
        if tuple(head["features"]) != FEATURES:
            raise BundleError(
                f"{folder}: fitted on the features {head['features']}, this version computes"
                f" {list(FEATURES)}; fit the interest model again"
            )
        arrays = {name: np.load(folder / f"{name}.npy", "r", allow_pickle=False) for name in ARRAYS}
        partners = Partners(
            co_visit=Rows.load(folder, "co_visit"),
            item_knn=Rows.load(folder, "item_knn"),
            neighbors=Neighbors.load(folder),
        )
        return cls(kinds=tuple(head["kinds"]), primary=head["primary"], partners=partners, **arrays)


def codes_of(catalog: Catalog) -> Ints:
    """(2, I) the catalog's categories and brands as small numbers."""
    if not len(catalog):
        return np.zeros((2, 0), np.int64)
    columns = (catalog.categories, catalog.brands)
    return np.stack([np.unique(np.array(column), return_inverse=True)[1] for column in columns])
