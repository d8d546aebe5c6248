"""What words, letters, sizes, names and meaning say about each document: (C, features), each row by itself.

Sums over a query's words run in the order of the query, one after the other, so that a row rounds alike
in any company.
"""

from collections.abc import Iterator, Set

import numpy as np

from raysys.relevance.documents import FIELDS, HASH, HASH_BITS, LETTER_HASHES, Documents
from raysys.relevance.intent import KINDS
from raysys.relevance.question import Question
from raysys.relevance.ragged import Ragged
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.quantities import BARE
from raysys.types import Bools, Floats, Ints

BY_FIELD = tuple(f"in_{name}" for name in FIELDS)
NAMES = (
    "meaning", "bm25f", "coverage", "share", "missing_rarest", "last_word", "first_word", *BY_FIELD,
    "pairs", "order", "span", "last_from_end", "first_place",
    "letters", "letters_jaccard", "letters_worst", "sizes_agree", "sizes_differ", "brand_named",
    "category_wanted", "brand_wanted",
    "query_words", "query_sizes", "query_rarity", "title_words", "title_sizes",
)  # fmt: skip
"""Columns, in order."""
PLACES = frozenset({"pairs", "order", "span", "last_from_end", "first_place"})
LETTERS = frozenset({"letters", "letters_jaccard", "letters_worst"})
SIZES = frozenset({"sizes_agree", "sizes_differ"})
"""Columns that are made together, and left out together where nobody reads them."""
FEW = PLACES | LETTERS | SIZES | {"meaning", "bm25f"}
"""The columns that are made without the rest."""
ALL = frozenset(NAMES)
PLACE = {name: number for number, name in enumerate(NAMES)}

K1 = 1.2
B = 0.3
WEIGHTS = (1.0, 0.6, 0.8, 0.5, 0.2)
"""BM25F (Robertson, Zaragoza and Taylor 2004): saturation, length normalization, weight of each field."""
CLOSE = 0.01
"""Two sizes are one if they differ by less than this share."""
WORD_BITS = 64
FAR = np.int64(1 << 20)


def features(
    question: Question,
    documents: Documents,
    vocabulary: Vocabulary,
    meaning: Floats,
    wanted: Set[str] = ALL,
) -> Floats:
    """Features (C, len(NAMES)) float32 of documents for a query.

    Args:
        meaning: (C,) cosine of query and document, NaN where a vector is missing.
        wanted: names of the columns that will be read; others may be left 0.
    """
    found = np.zeros((len(documents.words.start), len(NAMES)), np.float32)
    found[:, PLACE["meaning"]] = meaning
    for name, column in _columns(question, documents, vocabulary, wanted):
        found[:, PLACE[name]] = column
    return found


def _columns(
    question: Question, documents: Documents, vocabulary: Vocabulary, wanted: Set[str]
) -> Iterator[tuple[str, Floats | float]]:
    start = documents.words.start
    words = np.asarray(documents.words.values, np.uint32)
    field = words >> HASH_BITS
    lengths = [np.add.reduceat((field == f) & (words > 0), start, dtype=np.int64) for f in range(len(FIELDS))]
    hits = (words & HASH) == question.hashes[:, np.newaxis]  # (Q, N)
    counts = [
        np.add.reduceat(hits & (field == f), start, axis=1, dtype=np.int64) if lengths[f].any() else None
        for f in range(len(FIELDS))
    ]  # (Q, C) each
    present = np.logical_or.reduceat(hits, start, axis=1)
    yield "bm25f", _bm25f(question, counts, lengths, present, vocabulary)
    if wanted & LETTERS:
        yield from _letters(question, documents.trigrams, present)
    if wanted & SIZES:
        yield from _sizes(question, documents.quantities)
    if wanted & PLACES:
        yield from _places(question, hits & (field == 0), start, lengths[0], words)
    if wanted <= FEW:
        return
    yield from _coverage(question, counts, present)
    brand = counts[FIELDS.index("brand")]
    named = np.zeros(len(start)) if brand is None else (brand > 0).sum(axis=0)
    yield "brand_named", (named >= lengths[FIELDS.index("brand")]) & (named > 0)
    names = np.asarray(documents.names.values, np.int64)  # (C, kinds)
    for place, (kind, after) in enumerate(zip(KINDS, question.wanted, strict=True)):
        yield f"{kind}_wanted", after.of(names[:, place])
    yield "query_words", float(len(question.tokens))
    yield "query_sizes", float(len(question.sizes))
    yield "query_rarity", float(question.rarity.mean()) if len(question.rarity) else 0.0
    yield "title_words", lengths[0].astype(np.float64)
    yield "title_sizes", documents.quantities.sizes - 1.0


def _weighed(question: Question, values: Floats | Bools) -> Floats:
    """Mean (C,) of values (Q, C), the rarer words of the query counting for more."""
    total = np.zeros(values.shape[1])
    for weight, row in zip(question.rarity, values, strict=True):
        total += weight * row
    return np.asarray(total / max(float(question.rarity.sum()), 1e-9))


def _bm25f(
    question: Question,
    counts: list[Ints | None],
    lengths: list[Ints],
    present: Bools,
    vocabulary: Vocabulary,
) -> Floats:
    """BM25F (C,) as a share of what it can be at most."""
    often = np.zeros(present.shape)
    for weight, count, length, mean in zip(WEIGHTS, counts, lengths, vocabulary.lengths, strict=True):
        if count is not None:
            often += weight * count / (1.0 - B + B * length / mean)
    return _weighed(question, often / (K1 + often))


def _coverage(question: Question, counts: list[Ints | None], present: Bools) -> Iterator[tuple[str, Floats]]:
    """Which words are there at all, and in which field."""
    yield "coverage", _weighed(question, present)
    yield "share", present.sum(axis=0) / max(len(present), 1)
    absent = question.rarity[:, np.newaxis] * ~present
    yield "missing_rarest", absent.max(axis=0, initial=0.0)
    none = np.zeros(present.shape[1])
    yield "last_word", present[-1].astype(np.float64) if len(present) else none
    yield "first_word", present[0].astype(np.float64) if len(present) else none
    for name, count in zip(BY_FIELD, counts, strict=True):
        yield name, _weighed(question, count > 0) if count is not None else none


def _places(
    question: Question, hits: Bools, start: Ints, length: Ints, words: Ints
) -> Iterator[tuple[str, Floats]]:
    """Phrases, order and nearness of the query's words in the title, by where each stands first."""
    place = np.arange(len(words)) - np.repeat(start, np.diff(start, append=len(words)))
    first = np.minimum.reduceat(np.where(hits, place, FAR), start, axis=1)  # (Q, C)
    there = first < FAR
    possible = max(len(first) - 1, 1)
    # a hit on the last word of a document cannot run on: a filler stands behind it
    together = hits[:-1, :-1] & hits[1:, 1:]
    ends = np.pad(together, ((0, 0), (0, 1)))
    yield "pairs", np.logical_or.reduceat(ends, start, axis=1).sum(axis=0) / possible
    ordered = there[:-1] & there[1:] & (first[:-1] < first[1:])
    yield "order", ordered.sum(axis=0) / possible
    found = there.sum(axis=0)
    nearest, furthest = first.min(axis=0, initial=FAR), np.where(there, first, -1).max(axis=0, initial=-1)
    yield "span", np.where(found > 0, found / np.maximum(furthest - nearest + 1, 1), 0.0)
    last = first[-1] if len(first) else np.full(len(start), FAR)
    yield "last_from_end", np.where(last < FAR, (last + 1) / np.maximum(length, 1), 0.0)
    yield "first_place", np.where(found > 0, 1.0 - nearest / np.maximum(length, 1), 0.0)


def _letters(question: Question, trigrams: Ragged, present: Bools) -> Iterator[tuple[str, Floats]]:
    """Share of each word's letters in threes that the title has: small mistakes cost little."""
    bits = np.zeros((len(trigrams.start), len(question.trigrams)), np.uint8)
    for begun in range(0, len(question.trigrams), WORD_BITS):  # each of 64 trigrams is a bit of one number
        asked = question.trigrams[begun : begun + WORD_BITS]
        bit_of = np.zeros(LETTER_HASHES + 1, np.uint64)
        bit_of[asked] = np.uint64(1) << np.arange(len(asked), dtype=np.uint64)
        seen = np.bitwise_or.reduceat(bit_of[trigrams.values], trigrams.start)
        found = np.unpackbits(seen.view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
        bits[:, begun : begun + WORD_BITS] = found[:, : len(asked)]
    alike = np.zeros(present.shape)
    for row, places in enumerate(question.letters):
        alike[row] = bits[:, places].sum(axis=1) / len(places)
    alike = np.where(present, 1.0, alike)
    yield "letters", _weighed(question, alike)
    yield "letters_worst", alike.min(axis=0, initial=1.0)
    common = bits.sum(axis=1).astype(np.float64)
    yield "letters_jaccard", common / np.maximum(len(question.trigrams) + trigrams.sizes - 1 - common, 1.0)


def _sizes(question: Question, quantities: Ragged) -> Iterator[tuple[str, Floats]]:
    """Share of the query's sizes that the document has, and of those that it has otherwise."""
    told = np.asarray(quantities.values, np.float32)
    value, dimension, number = told[:, 0], told[:, 1], told[:, 2]
    agree, differ = np.zeros(len(quantities.start)), np.zeros(len(quantities.start))
    for size, kind, written in question.sizes:
        bare = kind == BARE  # `pipe 3` may mean 3 of anything, so nothing speaks against it
        comparable = (dimension >= 0) if bare else (dimension == kind)
        found, wanted = (number, written) if bare else (value, size)
        same = comparable & (np.abs(found - wanted) <= CLOSE * abs(wanted))
        has = np.logical_or.reduceat(same, quantities.start)
        agree += has
        differ += ~has & (not bare) & np.logical_or.reduceat(comparable, quantities.start)
    count = max(len(question.sizes), 1)
    yield "sizes_agree", agree / count
    yield "sizes_differ", differ / count
