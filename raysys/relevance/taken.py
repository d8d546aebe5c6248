"""What was taken under which query, and what that and the catalog say of categories and brands.

Each estimate is the prior of the next (Dirichlet smoothing): how often items with a word have a name, how
often items with the name were taken under queries with the word, and how often under the very query.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.relevance.documents import FIELDS, HASH, HASH_BITS, Document
from raysys.relevance.intent import KINDS, SMOOTHING, Intent, Intents, Table, query_hash
from raysys.relevance.question import Question
from raysys.relevance.vocabulary import Vocabulary
from raysys.text.analysis import Analyzer
from raysys.types import Floats, Ints

HEAD = 5.0
"""A query under which so many items were taken is known by itself; others by their words alone."""
LOGGED = 100.0
"""How many items taken under a word what the catalog says of it weighs: those of one query are much alike."""
USUAL = 100.0
"""How many items taken the catalog's shares weigh, where the shares of what is taken are estimated."""
NAMING = {FIELDS.index(name) for name in ("title", "category", "brand")}
"""Fields whose words say what an item is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """n times that an item was taken under a query."""

    queries: Sequence[str]
    query: Ints
    """(n,) which of `queries`"""
    row: Ints
    """(n,) of the catalog"""
    weight: Floats
    """(n,)"""

    @classmethod
    def of(cls, queries: Sequence[str], row: Ints, weight: Floats | None = None) -> Self:
        """From the query (n,) and row (n,) of each time; rows of -1 are left out."""
        if len(queries) != len(row):
            raise DataError(f"{len(queries)} queries but {len(row)} items taken; send one for each")
        code = {text: number for number, text in enumerate(dict.fromkeys(queries))}
        query, known = np.array([code[text] for text in queries], np.int64), row >= 0
        each = np.ones(len(row)) if weight is None else weight
        return cls(queries=list(code), query=query[known], row=row[known], weight=each[known])


NOBODY = Taken.of((), np.zeros(0, np.int64))


class _Counts(NamedTuple):
    """How often each key was seen; a key is a word or a query and a name."""

    key: Ints
    """(n,) rising, each once"""
    times: Floats

    @classmethod
    def of(cls, key: Ints, weight: Floats) -> Self:
        keys, place = np.unique(key, return_inverse=True)
        return cls(keys, _sums(place, weight, len(keys)))

    def at(self, keys: Ints) -> Floats:
        """Counts (m,) of keys (m,), 0 where one was not seen."""
        if not len(self.key):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.key, keys), len(self.key) - 1)
        return np.where(self.key[place] == keys, self.times[place], 0.0)


def learn_intents(
    catalog: Catalog, documents: Sequence[Document], analyzer: Analyzer, taken: Taken = NOBODY
) -> Intents:
    """What queries say of the categories and brands of a catalog.

    Args:
        documents: the items as they are read, in the catalog's order.
    """
    if not documents:
        return Intents()
    said = _said(documents)
    asked = [Question.of(text, analyzer, Vocabulary.empty()) for text in taken.queries]
    names = np.concatenate([document.names for document in documents])  # (I, kinds)
    texts = (catalog.categories, catalog.brands)
    return Intents(*(_intent(texts[n], names[:, n], said, asked, taken) for n in range(len(KINDS))))


def _said(documents: Sequence[Document]) -> tuple[Ints, Ints]:
    """Row (n,) and word hash (n,) of each word that says what an item is, once for each item."""
    row = np.repeat(np.arange(len(documents)), [len(document.words) for document in documents])
    words = np.concatenate([document.words for document in documents])
    naming = (words > 0) & np.isin(words >> HASH_BITS, list(NAMING))
    pair = np.unique((row[naming] << HASH_BITS) | (words[naming] & HASH).astype(np.int64))
    return pair >> HASH_BITS, pair & int(HASH)


def _intent(
    texts: Sequence[str], hashes: Ints, said: tuple[Ints, Ints], asked: Sequence[Question], taken: Taken
) -> Intent:
    named = np.flatnonzero(hashes > 0)
    if not len(named):
        return Intent()
    distinct, first, code = np.unique(hashes[named], return_index=True, return_inverse=True)
    name_of = np.full(len(hashes), -1)
    name_of[named] = code
    size = len(distinct)
    stocked = np.bincount(code, minlength=size) / len(code)
    row, word = said
    known = name_of[row] >= 0
    in_catalog = _Counts.of(word[known] * size + name_of[row[known]], np.ones(int(known.sum())))
    known = name_of[taken.row] >= 0
    query, name, weight = taken.query[known], name_of[taken.row[known]], taken.weight[known]
    share = (np.bincount(name, weight, minlength=size) + USUAL * stocked) / (weight.sum() + USUAL)
    return Intent(
        names=tuple(texts[place] for place in named[first].tolist()),
        hashes=distinct.astype(np.int64),
        share=share,
        words=_by_word(in_catalog, _in_log(asked, query, name, weight, size), stocked, share),
        queries=_by_query([query_hash(question.tokens) for question in asked], query, name, weight),
    )


def _in_log(asked: Sequence[Question], query: Ints, name: Ints, weight: Floats, size: int) -> _Counts:
    """How often each name was taken under queries with each word."""
    lengths = np.array([len(question.hashes) for question in asked], np.int64)
    words = np.concatenate([np.zeros(0, np.int64), *(q.hashes.astype(np.int64) for q in asked)])
    start, count = np.cumsum(lengths) - lengths, lengths[query]
    within = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    word = words[np.repeat(start[query], count) + within]
    return _Counts.of(word * size + np.repeat(name, count), np.repeat(weight, count))


def _by_word(catalog: _Counts, log: _Counts, stocked: Floats, share: Floats) -> Table:
    """Log lift of each name by word: what the log says, with what the catalog says as its prior."""
    key = np.union1d(catalog.key, log.key)
    word, name = key // len(share), key % len(share)
    _, at = np.unique(word, return_inverse=True)
    items, times = catalog.at(key), log.at(key)
    all_items, all_times = np.bincount(at, items), np.bincount(at, times)
    likely = (items / stocked[name] + SMOOTHING) / (all_items[at] + SMOOTHING)
    likely = (times / share[name] + LOGGED * likely) / (all_times[at] + LOGGED)
    rest = SMOOTHING / (all_items + SMOOTHING) * LOGGED / (all_times + LOGGED)
    return Table.of(word, name, np.log(likely), np.log(rest))


def _by_query(hashes: Sequence[int], query: Ints, name: Ints, weight: Floats) -> Table:
    """How often each name was taken under each frequent query."""
    key = np.array(hashes, np.int64)[query]
    frequent = np.isin(key, _frequent(key, weight))
    pairs, place = np.unique(np.stack([key[frequent], name[frequent]], axis=1), axis=0, return_inverse=True)
    count = _sums(place.reshape(-1), weight[frequent], len(pairs))
    return Table.of(pairs[:, 0], pairs[:, 1], count, np.zeros(len(np.unique(pairs[:, 0]))))


def _frequent(key: Ints, weight: Floats) -> Ints:
    keys, place = np.unique(key, return_inverse=True)
    return np.asarray(keys[_sums(place, weight, len(keys)) >= HEAD])


def _sums(place: Ints, weight: Floats, size: int) -> Floats:
    """The weights (n,) summed by place (n,): (size,)."""
    return np.bincount(place, weight, minlength=size).astype(np.float64)
