"""A query as the features of relevance read it: hashes, rarities, letters in threes, sizes."""

from dataclasses import dataclass

import numpy as np

from raysys.relevance.documents import LETTERS, token_hash, trigrams_of
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.analysis import Analyzer
from raysys.text.quantities import Quantity
from raysys.types import Floats, Ints

MOST_WORDS = 24
"""Of a query; what comes behind is not read."""
WORD_BITS = 64


@dataclass(frozen=True, slots=True)
class Question:
    """Q distinct words in the order of the query."""

    tokens: tuple[str, ...]
    hashes: Ints
    """(Q,) uint32"""
    rarity: Floats
    """(Q,)"""
    sizes: tuple[Quantity, ...]
    letters: tuple[tuple[int, ...], ...]
    """For each word, the places of its trigrams in `tables`."""
    tables: tuple[Ints, ...]
    """(LETTERS + 1,) uint64 each: which bit stands for a trigram's hash."""

    @classmethod
    def of(cls, text: str, analyzer: Analyzer, vocabulary: Vocabulary) -> "Question":
        """Read a query."""
        read = analyzer.read(text)
        tokens = tuple(dict.fromkeys(read.tokens))[:MOST_WORDS]
        hashes = np.array([token_hash(token) for token in tokens], np.uint32)
        bit_of: dict[int, int] = {}
        letters = tuple(
            tuple(bit_of.setdefault(gram, len(bit_of)) for gram in dict.fromkeys(trigrams_of(token)))
            for token in tokens
        )
        tables = tuple(np.zeros(LETTERS + 1, np.uint64) for _ in range(-(-len(bit_of) // WORD_BITS)))
        for gram, bit in bit_of.items():
            tables[bit // WORD_BITS][gram] = np.uint64(1) << np.uint64(bit % WORD_BITS)
        rarity = vocabulary.rarities(hashes.astype(np.int64))
        return cls(tokens, hashes, rarity, read.quantities, letters, tables)
