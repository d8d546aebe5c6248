"""A query as the features of relevance read it: hashes, rarities, letters in threes, sizes."""

from dataclasses import dataclass

import numpy as np

from raysys.relevance.documents import token_hash, trigrams_of
from raysys.relevance.intent import UNKNOWN, Intents, Wanted, query_hash
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.analysis import Analyzer
from raysys.text.quantities import Quantity
from raysys.types import Floats, Ints

MOST_WORDS, MOST_LETTERS = 24, 32
"""Words and sizes of a query, and trigrams of a word: what comes behind is not read."""


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
    """For each word, the places of its trigrams in `trigrams`."""
    trigrams: Ints
    """(G,) hashes of all trigrams, each once."""
    wanted: tuple[Wanted, ...]
    """What the query says of names, by kind."""

    @classmethod
    def of(
        cls, text: str, analyzer: Analyzer, vocabulary: Vocabulary, intents: Intents = UNKNOWN
    ) -> "Question":
        """Read a query."""
        read = analyzer.read(text)
        tokens = tuple(dict.fromkeys(read.tokens))[:MOST_WORDS]
        hashes = np.array([token_hash(token) for token in tokens], np.uint32)
        place_of: dict[int, int] = {}
        letters = tuple(
            tuple(
                place_of.setdefault(gram, len(place_of))
                for gram in dict.fromkeys(trigrams_of(token)[:MOST_LETTERS])
            )
            for token in tokens
        )
        trigrams = np.array(list(place_of), np.int64)
        rarity = vocabulary.rarities(hashes.astype(np.int64))
        wanted = intents.wanted(hashes.astype(np.int64), query_hash(tokens))
        return cls(tokens, hashes, rarity, read.quantities[:MOST_WORDS], letters, trigrams, wanted)
