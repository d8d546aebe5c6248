"""The network as a source of scores: how much of everybody's choices it expects to fall on each item."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.encoder import UserEncoder
from raysys.interest.habits import Habits
from raysys.types import Floats, Ints


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """A network with the vectors of one catalog's items."""

    encoder: UserEncoder
    vectors: Floats
    """(I, D) float32; new items have theirs from their content."""

    @classmethod
    def of(cls, encoder: UserEncoder, catalog: Catalog) -> "NetworkSource":
        return cls(encoder, encoder.item_vectors(catalog))

    def with_items(self, catalog: Catalog) -> "NetworkSource":
        """With vectors for the items that `catalog` has beyond those known here."""
        known = len(self.vectors)
        if known >= len(catalog):
            return self
        fresh = self.encoder.item_vectors(catalog, known)
        return NetworkSource(self.encoder, np.concatenate([self.vectors, fresh]))

    def scores(self, habits: Habits, now_ms: int) -> Floats:
        """(I,) the softmax share of each item times I: 1 is what chance would give."""
        history = habits.history_rows, habits.history_kinds, habits.history_ms
        user = self.encoder.user_vector(*history, self.vectors, now_ms)
        logits = (self.vectors @ user).astype(np.float64)
        share = np.exp(logits - logits.max(initial=-np.inf))
        return np.asarray(share * (len(share) / max(float(share.sum()), 1e-300)))

    def nearest(self, row: int, length: int) -> Ints:
        """Rows of the vectors that point most nearly where that of `row` points, best first."""
        size = np.maximum(np.linalg.norm(self.vectors, axis=1), 1e-9)
        cosine = (self.vectors @ self.vectors[row]) / size
        best = np.argsort(-cosine, kind="stable")[: length + 1]
        return np.asarray(best[best != row][:length])

    def save(self, folder: Path) -> None:
        self.encoder.save(folder)
