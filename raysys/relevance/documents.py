"""Documents as arrays: the words of each field, the letters in threes, and the sizes that they tell."""

import re
import threading
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from raysys.catalog import Catalog
from raysys.relevance.ragged import Anything, Ragged, Shelf
from raysys.text.analysis import Analyzer
from raysys.text.normalize import MOST_CHARACTERS, UNSEGMENTED, normalize
from raysys.text.quantities import Quantity
from raysys.types import Ints, Wording

FIELDS = ("title", "category", "brand", "attributes", "description")
"""In the order of the top bits of a word; what is no item has the first three at most."""
MOST_WORDS = 128
"""Of a field; the rest of a long text is not read."""
HASH_BITS = 29
HASH = np.uint32((1 << HASH_BITS) - 1)
"""What is left of a word without its field: two given words meet in one hash once in 500 million times."""
LONG = 64
"""Letters of a word that are read in threes; longer words are mostly none, and are not kept in memory."""
LETTER_HASHES = 1 << 14
"""Different hashes of three letters; a document of sixty meets a wrong one four times in a thousand."""
CACHED = 20_000
"""Texts of no item that are kept as they were read: about 1 KiB each."""


_UNSEGMENTED = re.compile(f"[{UNSEGMENTED}]")


class Document(NamedTuple):
    """One document; each array ends in a filler, so that none is empty and no phrase runs on."""

    words: npt.NDArray[np.uint32]
    """Field and hash of each word in order, 0 between fields."""
    trigrams: npt.NDArray[np.uint16]
    """Hashes of three letters in a row within words of the title, each once; the filler is LETTER_HASHES."""
    quantities: npt.NDArray[np.float32]
    """(n, 3) as `Quantity`; the filler's dimension is -1."""
    names: npt.NDArray[np.uint32]
    """(1, 2) hash of the whole category and of the whole brand; 0 for none."""


class Documents(NamedTuple):
    """C documents side by side."""

    words: Ragged
    trigrams: Ragged
    quantities: Ragged
    names: Ragged


def token_hash(token: str) -> int:
    """Of a token, never 0 and the same on every machine."""
    return (zlib.crc32(token.encode(errors="surrogatepass")) & int(HASH)) or 1


def trigrams_of(token: str) -> list[int]:
    """Hashes below LETTER_HASHES of three letters in a row, from before the first to behind the last.

    Where scripts need no spaces a word has but one or two characters, and each says much: they stand alone.
    """
    edged = f"#{token}#"
    alone = _UNSEGMENTED.match(token) is not None
    parts = token if alone else (edged[place : place + 3] for place in range(max(len(edged) - 2, 1)))
    return [zlib.crc32(part.encode(errors="surrogatepass")) & LETTER_HASHES - 1 for part in parts]


@lru_cache(maxsize=8_192)
def name_hash(name: str) -> int:
    """Of a whole name, in whatever case; 0 for none."""
    told = normalize(name)
    return (zlib.crc32(told.encode(errors="surrogatepass")) or 1) if told else 0


def _hashes(token: str) -> tuple[int, list[int]]:
    """A word's own hash and those of its letters in threes."""
    return token_hash(token), trigrams_of(token[:LONG])


_hashed = lru_cache(maxsize=65_536)(_hashes)


def read_fields(analyzer: Analyzer, fields: Sequence[str]) -> Document:
    """A document from the text of each of its first fields, in the order of FIELDS."""
    words: list[int] = []
    trigrams: set[int] = set()
    sizes: list[Quantity] = []
    for number, text in enumerate(fields):
        if not text:
            continue
        read = analyzer.read(text, MOST_WORDS)
        for token in read.tokens:
            word, letters = _hashed(token) if len(token) <= LONG else _hashes(token)
            words.append(word | number << HASH_BITS)
            if number == 0:
                trigrams.update(letters)
        words.append(0)
        sizes += read.quantities
    return Document(
        np.array(words or [0], np.uint32),
        np.array([*sorted(trigrams), LETTER_HASHES], np.uint16),
        np.array([*sizes, (0.0, -1, 0.0)], np.float32),
        np.array([[name_hash(name) for name in (*fields[1:3], "", "")[:2]]], np.uint32),
    )


def _cut(wording: Wording) -> Wording:
    return Wording(*(part[:MOST_CHARACTERS] for part in wording))


def fields_of(catalog: Catalog, row: int) -> list[str]:
    """The texts of an item, in the order of FIELDS."""
    told = dict(catalog.attributes[row])
    description = told.pop("description", "")
    return [
        *catalog.wording(row).fields,
        " ".join(_texts(told.values())),
        description if isinstance(description, str) else "",
    ]


def _texts(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, str))


class Library:
    """Documents at hand: items of one catalog by row, and other texts read lately; safe between threads."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._lock = threading.Lock()
        self._columns: tuple[tuple[Any, ...], ...] = ((), (), (), ())
        self._empty()
        self._texts = lru_cache(maxsize=CACHED)(lambda wording: read_fields(analyzer, wording.fields))
        self._analyzer = analyzer

    def _empty(self) -> None:
        self._known = np.zeros(0, np.bool_)
        self._shelves = (Shelf(np.uint32), Shelf(np.uint16), Shelf(np.float32, (3,)), Shelf(np.uint32, (2,)))
        self._retold = 0

    def items(self, catalog: Catalog, rows: Ints) -> Documents:
        """The items at `rows` (C,); each is read once, and again when it is told anew."""
        with self._lock:
            self._follow(catalog)
            for row in np.unique(rows[~self._known[rows]]).tolist():
                document = read_fields(self._analyzer, fields_of(catalog, row))
                parts: tuple[Anything, ...] = document
                for shelf, values in zip(self._shelves, parts, strict=True):
                    shelf.put(row, values)
                self._known[row] = True
            return Documents(*(shelf.pick(rows) for shelf in self._shelves))

    def texts(self, texts: Sequence[Wording]) -> Documents:
        """Texts (C,) that are no items."""
        # what would be cut in reading is cut before it is kept, or one request could fill the memory
        kept = [one if sum(map(len, one)) <= MOST_CHARACTERS else _cut(one) for one in texts]
        columns: Iterable[tuple[Anything, ...]] = zip(*map(self._texts, kept), strict=True)
        return Documents(*(Ragged.of(column) for column in columns))

    @property
    def held(self) -> int:
        """Words in memory, those that retold items left behind among them."""
        return self._shelves[0].used

    def _follow(self, catalog: Catalog) -> None:
        """Forget the rows whose texts are others than those that were read."""
        columns = (catalog.titles, catalog.categories, catalog.brands, catalog.attributes)
        if all(old is new for old, new in zip(self._columns, columns, strict=True)):
            return
        size = len(self._known)
        told = {
            row
            for before, after in zip(self._columns, columns, strict=True)
            for row, (old, new) in enumerate(zip(before[:size], after, strict=False))
            if old is not new
        }
        self._columns = columns
        self._retold += len(told)
        if self._retold > len(catalog) + 1_000:  # what retold items left behind is given back now and then
            self._empty()
        if told and len(self._known):
            self._known[list(told)] = False
        self._known = np.append(self._known, np.zeros(max(len(catalog) - len(self._known), 0), np.bool_))
        for shelf in self._shelves:
            shelf.widen(len(catalog))
