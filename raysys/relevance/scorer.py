"""Does this item answer this query? Words matched and meaning, as one number (zero-data blend)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.catalog import Catalog
from raysys.text.normalize import words
from raysys.types import Floats, Ints


@lru_cache(maxsize=200_000)
def _bag(text: str) -> frozenset[str]:
    return frozenset(words(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class RelevanceScorer:
    """A candidate's relevance depends on the query and on that candidate alone."""

    idf: Mapping[str, float] = field(default_factory=dict)
    """Rarity of words in the catalog; a word never seen there weighs as much as the rarest."""
    lexical_share: float = 0.5
    """The rest goes to meaning; without a query vector all goes to the words."""
    _rarest: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rarest", max(self.idf.values(), default=1.0))

    @classmethod
    def learn(cls, texts: Iterable[str], *, lexical_share: float = 0.5) -> Self:
        """Word rarity from the texts of a catalog (BM25's idf)."""
        bags = [_bag(text) for text in texts]
        counts = Counter(word for bag in bags for word in bag)
        idf = {
            word: float(np.log1p((len(bags) - count + 0.5) / (count + 0.5))) for word, count in counts.items()
        }
        return cls(idf=idf, lexical_share=lexical_share)

    def scores(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> Floats:
        """Relevance (C,) in [0, 1] of known items.

        Args:
            vector: (D,) unit vector of the query, None if it could not be had.
            rows: (C,) rows of `catalog`, none of them -1.
        """
        texts = [catalog.text(row) for row in rows.tolist()]
        return self.of_texts(text, vector, texts, np.asarray(catalog.text_vectors[rows]))

    def of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[str], vectors: Floats | None
    ) -> Floats:
        """Relevance (C,) in [0, 1] of texts, with their unit vectors (C, D) if they are known."""
        lexical = self._covered(text, texts)
        if vector is None or vectors is None:
            return lexical
        meaning = np.clip(vectors.astype(np.float64) @ vector.astype(np.float64), 0.0, 1.0)
        encoded = np.any(vectors != 0.0, axis=1)
        blend = self.lexical_share * lexical + (1.0 - self.lexical_share) * meaning
        return np.asarray(np.where(encoded, blend, lexical))

    def _covered(self, text: str, texts: Sequence[str]) -> Floats:
        """Share (C,) of the query's words, weighted by rarity, that each text has."""
        weights = {word: self.idf.get(word, self._rarest) for word in _bag(text)}
        total = sum(weights.values())
        if not total:
            return np.zeros(len(texts))
        found = (sum(weights[word] for word in weights.keys() & _bag(t)) for t in texts)
        return np.fromiter(found, np.float64, len(texts)) / total

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        values = {"idf": self.idf, "lexical_share": self.lexical_share}
        (folder / "relevance.json").write_bytes(msgspec.json.encode(values))

    @classmethod
    def load(cls, folder: Path) -> Self:
        values = msgspec.json.decode((folder / "relevance.json").read_bytes())
        return cls(idf=values["idf"], lexical_share=values["lexical_share"])
