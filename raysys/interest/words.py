"""What an item says of itself, as bags of words and of traits: it needs nobody to have taken it."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.content import attribute_values, prefixes
from raysys.interest.partners import Rows
from raysys.text.normalize import words
from raysys.types import Floats, Ints

Bag = Callable[[Catalog, int], Iterable[str]]
"""What the item at a row of a catalog says, as tokens."""


def words_of(catalog: Catalog, row: int) -> Iterable[str]:
    """The words of its title."""
    return words(catalog.titles[row])


def traits_of(catalog: Catalog, row: int) -> Iterator[str]:
    """Its brand, every prefix of its category, and each value of each attribute."""
    if catalog.brands[row]:
        yield f"brand={catalog.brands[row]}"
    yield from (f"category={path}" for path in prefixes(catalog.categories[row]))
    yield from attribute_values(catalog.attributes[row])


BAGS: dict[str, Bag] = {"words": words_of, "traits": traits_of}
EMPTY = Rows(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How much an item is said to be like what somebody has: a cosine of TF-IDF rows.

    The vocabulary is what at least two items said when the model was fitted; items that come
    later are read with it.
    """

    bag: str
    """A key of BAGS."""
    token: Ints
    """(V,) hash of each token that counts, rising."""
    rarity: Floats
    """(V,) inverse document frequency."""
    rows: Rows = field(default=EMPTY)
    """(I, V) unit rows of the items of the catalog last given to `with_items`; not saved."""
    postings: Rows = field(default=EMPTY)
    """(V, I) the same, by token."""

    @classmethod
    def learn(cls, bag: str, catalog: Catalog) -> Self:
        """From the items of a catalog."""
        said = _hashes(bag, catalog, 0)[1]
        token, count = np.unique(said, return_counts=True)
        often = count > 1
        rarity = np.log(max(len(catalog), 1) / count[often])
        return cls(bag=bag, token=token[often], rarity=rarity).with_items(catalog)

    def with_items(self, catalog: Catalog) -> Self:
        """With rows for the items that `catalog` has beyond those known here."""
        known = len(self.rows)
        if known >= len(catalog):
            return self
        item, said = _hashes(self.bag, catalog, known)
        counts = np.isin(said, self.token)
        item, place = item[counts], np.searchsorted(self.token, said[counts])
        value = self.rarity[place]
        size = len(catalog) - known
        norm = np.sqrt(np.bincount(item, value**2, minlength=size))
        start = np.concatenate([self.rows.start[:-1], self.rows.start[-1] + _starts(item, size)])
        rows = Rows(
            start,
            np.concatenate([self.rows.column, place.astype(np.int32)]),
            np.concatenate([self.rows.value, (value / np.maximum(norm[item], 1e-9)).astype(np.float32)]),
        )
        return replace(self, rows=rows, postings=_transposed(rows, len(self.token)))

    def scores(self, rows: Ints, weights: Floats, width: int) -> Floats:
        """(width,) likeness of every item to those at `rows` (n,) with their `weights`."""
        said = self.rows.weighted(rows, weights, len(self.token))
        spoken = np.flatnonzero(said)
        return self.postings.weighted(spoken, said[spoken], width)

    def save(self, folder: Path) -> None:
        np.save(folder / f"{self.bag}_token.npy", self.token, allow_pickle=False)
        np.save(folder / f"{self.bag}_rarity.npy", self.rarity, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, bag: str) -> Self:
        token, rarity = (
            np.load(folder / f"{bag}_{name}.npy", allow_pickle=False) for name in ("token", "rarity")
        )
        return cls(bag=bag, token=token, rarity=rarity)


def _hashes(bag: str, catalog: Catalog, first: int) -> tuple[Ints, Ints]:
    """Item (N,) from `first` on, counted from 0, and the hash of a token that it says, each once."""
    item, said = [], []
    for row in range(first, len(catalog)):
        tokens = {zlib.crc32(token.encode(errors="surrogatepass")) for token in BAGS[bag](catalog, row)}
        item += [row - first] * len(tokens)
        said += sorted(tokens)
    return np.array(item, np.int64), np.array(said, np.int64)


def _starts(of: Ints, size: int) -> Ints:
    return np.concatenate([[0], np.cumsum(np.bincount(of, minlength=size))]).astype(np.int64)


def _transposed(rows: Rows, width: int) -> Rows:
    order = np.argsort(rows.column, kind="stable")
    item = np.repeat(np.arange(len(rows)), np.diff(rows.start))
    return Rows(_starts(rows.column, width), item[order].astype(np.int32), rows.value[order])
