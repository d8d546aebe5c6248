"""Does this item answer this query? Words, letters, sizes and meaning, as one number."""

import math
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.catalog import Catalog
from raysys.relevance.documents import Documents, Library, fields_of, read_fields
from raysys.relevance.features import ALL, NAMES, features
from raysys.relevance.intent import KINDS, UNKNOWN, Intents, query_hash
from raysys.relevance.model import Mix, Model, load_model
from raysys.relevance.question import Question
from raysys.relevance.taken import NOBODY, Taken, learn_intents
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.analysis import Analyzer
from raysys.text.normalize import MOST_CHARACTERS
from raysys.types import Floats, Ints, Understood, Wording

QUESTIONS = 1_024
"""Queries that are kept as they were read."""
TEXT = "text.json"
LIKELIEST = 5
"""Categories and brands that are told of a query."""
SPOKEN_OF = math.log(1.5)
"""The log lift of a name from which on an explanation speaks of it."""
ALIKE = 0.1
"""So much more of a query must be there in similar spellings before an explanation speaks of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelevanceScorer:
    """A candidate's relevance depends on the query and on that candidate alone."""

    analyzer: Analyzer = field(default_factory=Analyzer)
    vocabulary: Vocabulary = field(default_factory=Vocabulary.empty)
    intents: Intents = UNKNOWN
    model: Model = field(default_factory=Mix)
    _library: Library = field(init=False, repr=False, compare=False)
    _questions: Callable[[str], Question] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_library", Library(self.analyzer))
        read = lru_cache(QUESTIONS)(
            lambda text: Question.of(text, self.analyzer, self.vocabulary, self.intents)
        )
        object.__setattr__(self, "_questions", lambda text: read(text[:MOST_CHARACTERS]))

    @classmethod
    def learn(cls, texts: Iterable[str], analyzer: Analyzer | None = None) -> Self:
        """Word rarity from texts that are no items, such as judged titles; nothing is judged."""
        read = analyzer or Analyzer()
        return cls(analyzer=read, vocabulary=Vocabulary.of_texts(texts, read))

    @classmethod
    def of_catalog(
        cls, catalog: Catalog, analyzer: Analyzer | None = None, taken: Taken | None = None
    ) -> Self:
        """Word rarity, lengths of fields and what queries are after, from a catalog; nothing is judged.

        Args:
            taken: what was taken under which query, if there is a log.
        """
        read = analyzer or Analyzer()
        documents = [read_fields(read, fields_of(catalog, row)) for row in range(len(catalog))]
        intents = learn_intents(catalog, documents, read, taken or NOBODY)
        return cls(analyzer=read, vocabulary=Vocabulary.of(documents), intents=intents)

    def scores(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> Floats:
        """Relevance (C,) in [0, 1] of known items.

        Args:
            vector: (D,) unit vector of the query, None if it could not be had.
            rows: (C,) rows of `catalog`, none of them -1.
        """
        return self.model.relevance(self.features(text, vector, rows, catalog, self.model.reads))

    def of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[Wording], vectors: Floats | None
    ) -> Floats:
        """Relevance (C,) in [0, 1] of texts, with their unit vectors (C, D), zero where one is not known."""
        return self.model.relevance(self.features_of_texts(text, vector, texts, vectors, self.model.reads))

    def features(
        self,
        text: str,
        vector: Floats | None,
        rows: Ints,
        catalog: Catalog,
        wanted: frozenset[str] = ALL,
    ) -> Floats:
        """Features (C, len(NAMES)) of known items; see `scores`."""
        if not len(rows):
            return np.zeros((0, len(NAMES)), np.float32)
        vectors = None if vector is None else np.asarray(catalog.text_vectors[rows])
        return self._features(text, vector, self._library.items(catalog, rows), vectors, wanted)

    def features_of_texts(
        self,
        text: str,
        vector: Floats | None,
        texts: Sequence[Wording],
        vectors: Floats | None,
        wanted: frozenset[str] = ALL,
    ) -> Floats:
        """Features (C, len(NAMES)) of texts; see `of_texts`."""
        if not len(texts):
            return np.zeros((0, len(NAMES)), np.float32)
        return self._features(text, vector, self._library.texts(texts), vectors, wanted)

    def understood(self, text: str) -> Understood:
        """The words of a query, and the categories and brands that it makes likely."""
        question = self._questions(text)
        words, query = question.hashes.astype(np.int64), query_hash(question.tokens)
        category, brand = (tuple(intent.likeliest(words, query, LIKELIEST)) for intent in self.intents)
        return Understood(words=question.tokens, categories=category, brands=brand)

    def notes(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> list[str]:
        """What to say of each known item's relevance; see `scores`."""
        seen = self.features(text, vector, rows, catalog).tolist()
        return [in_words(row, self.model.reads) for row in seen]

    def notes_of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[Wording], vectors: Floats | None
    ) -> list[str]:
        """What to say of each text's relevance; see `of_texts`."""
        seen = self.features_of_texts(text, vector, texts, vectors).tolist()
        return [in_words(row, self.model.reads) for row in seen]

    def _features(
        self,
        text: str,
        vector: Floats | None,
        documents: Documents,
        vectors: Floats | None,
        wanted: frozenset[str],
    ) -> Floats:
        meaning = cosines(vector, vectors, len(documents.words.start))
        return features(self._questions(text), documents, self.vocabulary, meaning, wanted)

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        (folder / TEXT).write_bytes(msgspec.json.format(msgspec.json.encode(self.analyzer.table())))
        self.vocabulary.save(folder)
        self.intents.save(folder / "intents")
        self.model.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(
            analyzer=Analyzer.parse(msgspec.json.decode((folder / TEXT).read_bytes())),
            vocabulary=Vocabulary.load(folder),
            intents=Intents.load(folder / "intents"),
            model=load_model(folder),
        )


def in_words(row: Sequence[float], reads: Set[str] = ALL) -> str:
    """Words, spelling, meaning, sizes and names of one row of features, as a merchandiser reads them.

    Args:
        reads: the features that count; of what a query is after only those are spoken of.
    """
    seen = dict(zip(NAMES, row, strict=True))
    told = [f"has {100 * seen['coverage']:.0f} % of its words by weight"]
    if seen["letters"] > seen["coverage"] + ALIKE:
        told.append(f"with similar spellings {100 * seen['letters']:.0f} %")
    if math.isfinite(seen["meaning"]):
        told.append(f"is {max(seen['meaning'], 0.0):.2f} like it in meaning")
    if seen["query_sizes"]:
        told.append(f"has {100 * seen['sizes_agree']:.0f} % of its sizes")
    if seen["sizes_differ"]:
        told.append(f"has other sizes for {100 * seen['sizes_differ']:.0f} %")
    if seen["brand_named"]:
        told.append("is of the brand it names")
    for kind in KINDS:
        lift = seen[f"{kind}_wanted"]
        if f"{kind}_wanted" in reads and abs(lift) >= SPOKEN_OF:
            more = "more" if lift > 0 else "less"
            told.append(f"is of a {kind} that it makes {math.exp(abs(lift)):.0f} times {more} likely")
    return ", ".join(told)


def cosines(vector: Floats | None, vectors: Floats | None, size: int) -> Floats:
    """Cosine (C,) of a query's unit vector to others (C, D), NaN where one is missing or zero.

    A sum for each row by itself: a product of matrices may round a row by how many there are.
    """
    if vector is None or vectors is None or not np.any(vector):
        return np.full(size, np.nan)
    meaning = np.einsum("cd,d->c", vectors.astype(np.float32), vector.astype(np.float32))
    return np.where(np.any(vectors != 0.0, axis=1), meaning, np.nan)
