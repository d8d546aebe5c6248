"""Which category and which brand a query is after: the chance of each, from its words and from itself.

Learned by `raysys.relevance.taken`; here it is only looked up, once for each query that is kept.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np

from raysys.types import Bools, Floats, Ints

KINDS = ("category", "brand")
"""What an item has one of; the columns of `Document.names`."""
SMOOTHING = 10.0
"""How many items taken an estimate weighs as the prior of the next."""
DAMPING = 0.5
"""Words of a query say much the same, so what they say together counts for half."""
MOST = 64
"""Names kept for a query; all others share what is left as they share it without one."""
LIKELY, TELLING = 0.05, 1.2
"""The least chance of a name that is told, where a query makes some name so many times as likely as it is."""
LARGEST = 4.0
"""Bound of a log lift."""
ARRAYS = ("key", "start", "name", "value", "rest")


class Wanted(NamedTuple):
    """What one query says of the names of one kind."""

    hashes: Ints
    """(m,) of the likeliest names, rising"""
    lift: Floats
    """(m,) log of how many times as likely the query makes each"""
    rest: float
    """The same of every other name that is known."""
    known: Ints
    """(V,) hashes of all names, rising"""

    def of(self, hashes: Ints) -> Floats:
        """Log lift (C,) of names by hash (C,); 0 for none, and for a name that nothing is known of."""
        if not len(self.hashes):
            return np.zeros(len(hashes))
        lift = np.where(_found(self.known, hashes)[0], self.rest, 0.0)
        there, place = _found(self.hashes, hashes)
        return np.where(there, self.lift[place], lift)


def _found(rising: Ints, keys: Ints) -> tuple[Bools, Ints]:
    """Which of the keys (n,) are among `rising` (m,), m at least 1, and where (n,)."""
    place = np.minimum(np.searchsorted(rising, keys), len(rising) - 1)
    return rising[place] == keys, place


NOTHING = Wanted(np.zeros(0, np.int64), np.zeros(0), 0.0, np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Numbers of names by key, in compressed rows."""

    key: Ints
    """(R,) rising"""
    start: Ints
    """(R + 1,)"""
    name: Ints
    """(N,) which name"""
    value: Floats
    """(N,)"""
    rest: Floats
    """(R,) the value of every other name"""

    @classmethod
    def of(cls, key: Ints, name: Ints, value: Floats, rest: Floats) -> Self:
        """From N entries in the order of their keys (N,), and what the rest has for each key (R,)."""
        keys, start = np.unique(key, return_index=True)
        return cls(key=keys, start=np.append(start, len(key)), name=name, value=value, rest=rest)

    def rows(self, keys: Ints) -> list[int]:
        """Rows of those keys (n,) that are known."""
        if not len(self.key):
            return []
        there, place = _found(self.key, keys)
        return [int(row) for row in place[there]]

    def part(self, row: int) -> tuple[Ints, Floats]:
        """The names (n,) of a row and their values (n,)."""
        begin, end = int(self.start[row]), int(self.start[row + 1])
        return self.name[begin:end], self.value[begin:end]

    def save(self, folder: Path) -> None:
        folder.mkdir()
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**{name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ARRAYS})


def no_table() -> Table:
    """A table without a row."""
    none = np.zeros(0, np.int64)
    return Table.of(none, none, np.zeros(0), np.zeros(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What queries say of the V names of one kind."""

    names: tuple[str, ...] = ()
    hashes: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    """(V,) of the names, rising"""
    share: Floats = field(default_factory=lambda: np.zeros(0))
    """(V,) the chance of each name, whatever the query"""
    words: Table = field(default_factory=no_table)
    """Log lift of names by word."""
    queries: Table = field(default_factory=no_table)
    """How often each name was taken, by frequent query."""

    def chances(self, words: Ints, query: int) -> Floats | None:
        """(V,) the chance of each name given a query, None where the query and all its words are unknown.

        Words are taken as independent of each other (naive Bayes); what was taken under the very query
        is added to that.

        Args:
            words: (Q,) hashes of the query's words.
            query: its `query_hash`.
        """
        said, asked = self.words.rows(words), self.queries.rows(np.array([query]))
        if not said and not asked:
            return None
        lift = np.zeros(len(self.names))
        for row in said:
            name, value = self.words.part(row)
            lift += self.words.rest[row]
            lift[name] += value - self.words.rest[row]
        chance: Floats = self.share * np.exp(DAMPING * (lift - lift.max(initial=0.0)))
        chance /= chance.sum()
        for row in asked:
            name, count = self.queries.part(row)
            chance *= SMOOTHING
            chance[name] += count
            chance /= count.sum() + SMOOTHING
        return chance

    def wanted(self, words: Ints, query: int) -> Wanted:
        """What a query says of each name; see `chances`."""
        chance = self.chances(words, query)
        if chance is None:
            return NOTHING
        kept = np.sort(np.argsort(-chance, kind="stable")[:MOST])
        left, usual = 1.0 - chance[kept].sum(), 1.0 - self.share[kept].sum()
        lift = np.log(np.maximum(chance[kept] / self.share[kept], 1e-9))
        rest = np.log(max(left, 1e-9) / usual) if usual > 1e-9 else 0.0
        lift, rest = (np.clip(value, -LARGEST, LARGEST) for value in (lift, rest))
        return Wanted(self.hashes[kept], lift, float(rest), self.hashes)

    def likeliest(self, words: Ints, query: int, length: int) -> list[tuple[str, float]]:
        """The names that a query is likely after, with their chances, best first."""
        chance = self.chances(words, query)
        if chance is None or float((chance / self.share).max()) < TELLING:
            return []
        best = np.argsort(-chance, kind="stable")[:length].tolist()
        return [(self.names[code], float(chance[code])) for code in best if chance[code] >= LIKELY]

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir(parents=True)
        (folder / "names.json").write_bytes(msgspec.json.encode(self.names))
        for name in ("hashes", "share"):
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        self.words.save(folder / "words")
        self.queries.save(folder / "queries")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(
            names=msgspec.json.decode((folder / "names.json").read_bytes(), type=tuple[str, ...]),
            hashes=np.load(folder / "hashes.npy", allow_pickle=False),
            share=np.load(folder / "share.npy", allow_pickle=False),
            words=Table.load(folder / "words"),
            queries=Table.load(folder / "queries"),
        )


class Intents(NamedTuple):
    """Of each kind."""

    category: Intent = Intent()
    brand: Intent = Intent()

    def wanted(self, words: Ints, query: int) -> tuple[Wanted, ...]:
        """By kind; see `Intent.chances`."""
        return tuple(intent.wanted(words, query) for intent in self)

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        for kind, intent in zip(KINDS, self, strict=True):
            intent.save(folder / kind)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(*(Intent.load(folder / kind) for kind in KINDS))


UNKNOWN = Intents()
"""Nothing is known of any query."""


def query_hash(tokens: Sequence[str]) -> int:
    """Of the words of a query in order; the same on every machine."""
    told = " ".join(tokens).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "little", signed=True)
