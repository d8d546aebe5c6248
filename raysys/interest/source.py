"""The network as a source of scores: how much of everybody's choices it expects to fall on each item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.encoder import UserEncoder
from raysys.interest.habits import Habits
from raysys.interest.narrow import eight_bit, load_vectors, save_vectors, widened
from raysys.types import Floats, Ints

BESIDE = "beside"


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """A network with the vectors of one catalog's items, and maybe others that it is averaged with."""

    encoder: UserEncoder
    vectors: Floats
    """(I, D) float32; new items have theirs from their content."""
    beside: tuple["NetworkSource", ...] = ()
    rounded: bool = False
    """Whether the vectors are rounded to eight bits each, and stored so."""

    @classmethod
    def of(cls, encoder: UserEncoder, catalog: Catalog) -> "NetworkSource":
        return cls(encoder, encoder.item_vectors(catalog))

    def with_items(self, catalog: Catalog, retold: Ints | None = None) -> "NetworkSource":
        """With vectors for the items that `catalog` has beyond those known here.

        Args:
            retold: rows (n,) of items that say something else of themselves now; those that the
                network was not trained on get a new vector.
        """
        known = len(self.vectors)
        changed = self._by_content(np.zeros(0, np.int64) if retold is None else retold)
        if known >= len(catalog) and not len(changed):
            return self
        vectors = np.concatenate([self.vectors, self.encoder.item_vectors(catalog, known)])
        if len(changed):
            vectors[changed] = self.encoder.content_vectors(catalog, changed)
        beside = tuple(other.with_items(catalog, retold) for other in self.beside)
        return replace(self, vectors=vectors, beside=beside)

    def _by_content(self, rows: Ints) -> Ints:
        """Those of the rows that have a vector here, and have it from their content."""
        rows = rows[(rows >= 0) & (rows < len(self.vectors))]
        if not len(rows):
            return rows
        trained = np.zeros(len(self.vectors), np.bool_)
        trained[: self.encoder.size] = self.encoder.known
        return np.asarray(rows[~trained[rows]])

    def narrow(self) -> "NetworkSource":
        """The same with vectors of eight bits and weights of 16."""
        beside = tuple(other.narrow() for other in self.beside)
        vectors = widened(*eight_bit(self.vectors))
        return NetworkSource(self.encoder.narrow(), vectors, beside, rounded=True)

    def knows(self, habits: Habits) -> bool:
        """Whether there is anything in the habits that it reads."""
        return len(habits.history_rows) > 0 or (len(habits.queries) > 0 and self.encoder.words is not None)

    def scores(self, habits: Habits, now_ms: int) -> Floats:
        """(I,) the softmax share of each item times I: 1 is what chance would give.

        Of several networks it is the geometric mean of their shares, of sum 1 again (a logarithmic
        opinion pool: Heskes 1998).
        """
        logits = self._logits(habits, now_ms, [one.vectors for one in self.together])
        share = np.exp(logits - logits.max(initial=-np.inf))
        return np.asarray(share * (len(share) / max(float(share.sum()), 1e-300)))

    def scores_as(self, habits: Habits, now_ms: int, told: Sequence[Floats]) -> Floats:
        """(I,) what the score of each item would be if it alone had another vector.

        Args:
            told: for each of `together` the other vectors (I, D).
        """
        logits = self._logits(habits, now_ms, [one.vectors for one in self.together])
        top = logits.max(initial=-np.inf)
        share = np.exp(self._logits(habits, now_ms, told) - top)
        return np.asarray(share * (len(share) / max(float(np.exp(logits - top).sum()), 1e-300)))

    @property
    def together(self) -> tuple["NetworkSource", ...]:
        """This one and those that it is averaged with."""
        return (self, *self.beside)

    def _logits(self, habits: Habits, now_ms: int, vectors: Sequence[Floats]) -> Floats:
        """(I,) of items with these vectors, those of each network; the mean of all networks'."""
        history = habits.history_rows, habits.history_kinds, habits.history_ms
        total = np.zeros(len(self.vectors))
        for one, mine in zip(self.together, vectors, strict=True):
            total += mine @ one.encoder.user_vector(*history, one.vectors, now_ms, habits.queries)
        return total / len(vectors)

    def nearest(self, row: int, length: int) -> Ints:
        """Rows of the vectors that point most nearly where that of `row` points, best first."""
        size = np.maximum(np.linalg.norm(self.vectors, axis=1), 1e-9)
        cosine = (self.vectors @ self.vectors[row]) / size
        best = np.argsort(-cosine, kind="stable")[: length + 1]
        return np.asarray(best[best != row][:length])

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        self.encoder.save(folder, identities=False)
        save_vectors(folder, self.vectors, narrow=self.rounded)
        for number, other in enumerate(self.beside):
            other.save(folder / f"{BESIDE}_{number}")

    @classmethod
    def load(cls, folder: Path) -> "NetworkSource":
        """What `save` wrote; vectors that are not rounded stay on disk, memory-mapped."""
        beside = tuple(cls.load(part) for part in sorted(folder.glob(f"{BESIDE}_*")))
        vectors, rounded = load_vectors(folder)
        return cls(UserEncoder.load(folder, vectors), vectors, beside, rounded=rounded)
