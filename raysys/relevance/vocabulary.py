"""How rare words are and how long fields are in a catalog: what lexical scores are measured with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from raysys.relevance.documents import FIELDS, HASH, HASH_BITS, Document, read_fields
from raysys.text.analysis import Analyzer
from raysys.types import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Rarity of words by hash; a word never seen weighs as much as the rarest."""

    token: Ints
    """(V,) hash of each word, rising."""
    rarity: Floats
    """(V,) inverse document frequency as BM25 has it."""
    lengths: Floats
    """(fields,) mean number of words of a field where it has some."""

    @classmethod
    def empty(cls) -> Self:
        """Nothing known: all words weigh 1."""
        return cls(token=np.zeros(0, np.int64), rarity=np.zeros(0), lengths=np.full(len(FIELDS), 10.0))

    @classmethod
    def of_texts(cls, texts: Iterable[str], analyzer: Analyzer) -> Self:
        """From texts that are all title."""
        return cls.of([read_fields(analyzer, (text,)) for text in texts])

    @classmethod
    def of(cls, documents: Sequence[Document]) -> Self:
        """From documents as they are read."""
        if not documents:
            return cls.empty()
        owner = np.repeat(np.arange(len(documents)), [len(document.words) for document in documents])
        words = np.concatenate([document.words for document in documents])
        owner, words = owner[words > 0], words[words > 0]
        field = words >> HASH_BITS
        counts = np.bincount(field, minlength=len(FIELDS))
        held = [len(np.unique(owner[field == number])) for number in range(len(FIELDS))]
        said = np.unique((owner << HASH_BITS) | (words & HASH).astype(np.int64)) & int(HASH)
        token, count = np.unique(said, return_counts=True)
        rarity = np.log1p((len(documents) - count + 0.5) / (count + 0.5))
        return cls(token=token, rarity=rarity, lengths=np.maximum(counts / np.maximum(held, 1), 1.0))

    def rarities(self, tokens: Ints) -> Floats:
        """Rarity (n,) of tokens by hash (n,)."""
        if not len(self.token):
            return np.ones(len(tokens))
        place = np.minimum(np.searchsorted(self.token, tokens), len(self.token) - 1)
        return np.where(self.token[place] == tokens, self.rarity[place], self.rarity.max())

    def save(self, folder: Path) -> None:
        for name in ("token", "rarity", "lengths"):
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        token, rarity, lengths = (
            np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("token", "rarity", "lengths")
        )
        return cls(token=token, rarity=rarity, lengths=lengths)
