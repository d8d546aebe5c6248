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
    _shelf: "_Shelf" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rarest", max(self.idf.values(), default=1.0))
        object.__setattr__(self, "_shelf", _Shelf())

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
        bags = self._shelf.bags(catalog, rows.tolist())
        return self._blend(self._covered(text, bags), vector, np.asarray(catalog.text_vectors[rows]))

    def of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[str], vectors: Floats | None
    ) -> Floats:
        """Relevance (C,) in [0, 1] of texts, with their unit vectors (C, D) if they are known."""
        return self._blend(self._covered(text, [_bag(each) for each in texts]), vector, vectors)

    def _blend(self, lexical: Floats, vector: Floats | None, vectors: Floats | None) -> Floats:
        """Words and meaning (C,), words alone where a text has no vector."""
        if vector is None or vectors is None:
            return lexical
        meaning = np.clip(vectors.astype(np.float64) @ vector.astype(np.float64), 0.0, 1.0)
        encoded = np.any(vectors != 0.0, axis=1)
        blend = self.lexical_share * lexical + (1.0 - self.lexical_share) * meaning
        return np.asarray(np.where(encoded, blend, lexical))

    def _covered(self, text: str, bags: Sequence[frozenset[str]]) -> Floats:
        """Share (C,) of the query's words, weighted by rarity, that each bag of words has."""
        weights = {word: self.idf.get(word, self._rarest) for word in sorted(_bag(text))}
        covered, total = np.zeros(len(bags)), sum(weights.values())
        for word, weight in weights.items():  # in one order everywhere, so that sums round alike
            covered += weight * np.fromiter((word in bag for bag in bags), np.bool_, len(bags))
        return covered / total if total else covered

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        values = {"idf": self.idf, "lexical_share": self.lexical_share}
        (folder / "relevance.json").write_bytes(msgspec.json.encode(values))

    @classmethod
    def load(cls, folder: Path) -> Self:
        values = msgspec.json.decode((folder / "relevance.json").read_bytes())
        return cls(idf=values["idf"], lexical_share=values["lexical_share"])


class _Shelf:
    """The words of items by row, for one catalog at a time: splitting a text costs more than matching it."""

    def __init__(self) -> None:
        self._held: tuple[tuple[object, ...], dict[int, frozenset[str]]] = ((), {})
        """The columns that were read and the words by row; swapped as one, for threads share a shelf."""

    def bags(self, catalog: Catalog, rows: Sequence[int]) -> list[frozenset[str]]:
        """The words (C,) of the items at `rows`."""
        told = (catalog.titles, catalog.categories, catalog.brands)
        of, bags = self._held
        if len(of) != len(told) or any(old is not new for old, new in zip(of, told, strict=True)):
            bags = {}
            self._held = (told, bags)
        for row in rows:
            if row not in bags:
                bags[row] = _bag(catalog.text(row))
        return [bags[row] for row in rows]
