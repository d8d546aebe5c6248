"""What people asked for: past queries as events of a history, told by their words.

A query is a place of the history like an interaction, with a kind of its own; its vector is the
mean of its words' vectors. Words are hashed, so a log of them needs no vocabulary and no text.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np

from raysys.events import KINDS
from raysys.state.fold import QUERY_CHARS
from raysys.text.analysis import Analyzer
from raysys.types import Bools, Floats, Ints

QUERY = len(KINDS)
"""The kind of a query, after those of interactions."""
ASKED = -2
"""The row of the first query of a history; the others count down from it. -1 is an unknown item."""
LEAST = 2
"""People who must have asked with a word for it to be learned: what one alone says stays out of bundles."""
WORDS = 1 << 15
"""Words that are learned at most, the most frequent ones: 8 MiB at a width of 64."""
_READ = Analyzer()


@lru_cache(maxsize=20_000)
def hashed(text: str) -> tuple[int, ...]:
    """Hashes of the words of a query, as much of it as a state keeps; each once, rising."""
    words = _READ.tokens(text[:QUERY_CHARS])
    return tuple(sorted({zlib.crc32(word.encode(errors="surrogatepass")) for word in words}))


class Bags(NamedTuple):
    """Words of Q queries, one query's after the other's; none is empty."""

    start: Ints
    """(Q,) where each query begins."""
    word: Ints
    """Rows of a vocabulary."""

    def at(self, places: Ints) -> "Bags":
        """Those of some queries (q,)."""
        size = np.diff(self.start, append=len(self.word))[places]
        start = np.cumsum(size) - size
        return Bags(start, self.word[np.repeat(self.start[places] - start, size) + np.arange(size.sum())])

    def inside(self, row: Ints) -> "Bags":
        """Those of the queries in histories (B, L), whose `row` is below 0, in the order of their places."""
        return self.at(ASKED - row[row < 0])

    def means(self, vectors: Floats) -> Floats:
        """Mean (Q, D) float32 of the words' vectors (V, D) of each query."""
        if not len(self.start):
            return np.zeros((0, vectors.shape[1]), np.float32)
        size = np.diff(self.start, append=len(self.word))
        summed = np.add.reduceat(np.asarray(vectors[self.word], np.float32), self.start)
        return np.asarray(summed / size[:, None], np.float32)


NO_BAGS = Bags(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Q queries, those of one user in the order in which they were asked."""

    user: Ints
    """(Q,) user codes."""
    time_ms: Ints
    after: Ints
    """(Q,) how many of the user's interactions came before."""
    start: Ints
    """(Q + 1,) where the words of each query begin."""
    word: Ints
    """Hashes of the words; a query may have none."""

    @classmethod
    def of(cls, user: Ints, time_ms: Ints, after: Ints, texts: Sequence[str]) -> Self:
        said = [hashed(text) for text in texts]
        size = np.fromiter(map(len, said), np.int64, len(said))
        word = np.fromiter((word for words in said for word in words), np.int64, int(size.sum()))
        return cls(user=user, time_ms=time_ms, after=after, start=np.append(0, np.cumsum(size)), word=word)

    def __len__(self) -> int:
        return len(self.user)

    def at(self, places: Ints, after: Ints | None = None) -> "Queries":
        """Those at some places (q,), rising, maybe after other numbers (q,) of interactions."""
        size = np.diff(self.start)[places]
        start = np.append(0, np.cumsum(size))
        word = self.word[np.repeat(self.start[places] - start[:-1], size) + np.arange(start[-1])]
        return Queries(
            user=self.user[places],
            time_ms=self.time_ms[places],
            after=self.after[places] if after is None else after,
            start=start,
            word=word,
        )

    def beside(self, user: Ints, keep: Bools) -> "Queries":
        """What is known of them when of a log's interactions only some stay.

        A query stays if the user's interaction before or after it does, or some on either side, so
        that of a history that is cut nothing is known from behind the cut.

        Args:
            user: (N,) of the log, whose interactions are in order of time.
            keep: (N,) which of them stay.
        """
        if not len(self):
            return self
        told = _Among(self, user, keep)
        stays = told.next_to | ((told.before > 0) & (told.behind > 0)) | told.alone
        places = np.flatnonzero(stays)
        return self.at(places, told.before[places])

    def without(self, user: Ints, gone: Bools) -> "Queries":
        """All of them, when interactions `gone` (N,) are taken out from between them."""
        return self.at(np.arange(len(self)), _Among(self, user, ~gone).before) if len(self) else self

    def by_user(self, users: Ints) -> "Queries":
        """In order of user, of those among `users` (N,), sorted."""
        place = np.minimum(np.searchsorted(users, self.user), max(len(users) - 1, 0))
        mine = np.flatnonzero(users[place] == self.user) if len(users) else _NONE
        return self.at(mine[np.argsort(self.user[mine], kind="stable")])

    @classmethod
    def joined(cls, parts: "Sequence[Queries]") -> "Queries":
        """Those of different users."""
        sizes = np.concatenate([np.diff(part.start) for part in parts])
        user, time_ms, after, word = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("user", "time_ms", "after", "word")
        )
        start = np.append(0, np.cumsum(sizes))
        return cls(user=user, time_ms=time_ms, after=after, start=start, word=word)


_NONE = np.zeros(0, np.int64)
NO_QUERIES = Queries(user=_NONE, time_ms=_NONE, after=_NONE, start=np.zeros(1, np.int64), word=_NONE)


class _Among:
    """Where Q queries stand among the interactions of their users, some of which are kept."""

    def __init__(self, queries: Queries, user: Ints, keep: Bools) -> None:
        order = np.argsort(user, kind="stable")
        mine, kept = user[order], keep[order]
        low = np.searchsorted(mine, queries.user, "left")
        high = np.searchsorted(mine, queries.user, "right")
        place = low + queries.after
        count = np.append(0, np.cumsum(kept))
        kept = np.append(kept, False)
        self.before: Ints = count[place] - count[low]
        """(Q,) kept ones of the user before each."""
        self.behind: Ints = count[high] - count[place]
        self.next_to: Bools = ((place > low) & kept[place - 1]) | ((place < high) & kept[place])
        """(Q,) whether the one before it or the one after it is kept."""
        self.alone: Bools = low == high
        """(Q,) of users without interactions."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that a network learned."""

    token: Ints
    """(V,) their hashes, rising."""

    def __len__(self) -> int:
        return len(self.token)

    def rows(self, words: Ints) -> Ints:
        """Place (n,) of each hash; -1 for words that are not among these."""
        place = np.minimum(np.searchsorted(self.token, words), len(self.token) - 1)
        return np.where(self.token[place] == words, place, -1)

    def read(self, queries: Queries) -> tuple[Ints, Bags]:
        """Places (q,) of the queries that have a known word, and these words."""
        row = self.rows(queries.word)
        known = row >= 0
        count = np.append(0, np.cumsum(known))
        size = np.diff(count[queries.start])
        places = np.flatnonzero(size)
        size = size[places]
        return places, Bags(np.cumsum(size) - size, row[known])


class WordCounts:
    """How many people asked with each word, counted part by part of a log, different people in each."""

    def __init__(self) -> None:
        self._token, self._count = _NONE, _NONE

    def add(self, queries: Queries) -> None:
        user = np.repeat(queries.user, np.diff(queries.start))
        said = np.unique(np.stack([queries.word, user]), axis=1)[0]
        token, count = np.unique(said, return_counts=True)
        self._token, place = np.unique(np.concatenate([self._token, token]), return_inverse=True)
        self._count = np.bincount(
            place, np.concatenate([self._count, count]), minlength=len(self._token)
        ).astype(np.int64)

    def vocabulary(self) -> Vocabulary | None:
        """The WORDS most frequent ones of those that LEAST people or more asked with; None without any."""
        best = np.lexsort((self._token, -self._count))[:WORDS]
        best = best[self._count[best] >= LEAST]
        return Vocabulary(np.sort(self._token[best])) if len(best) else None


def with_queries(
    rows: Ints, kinds: Ints, times_ms: Ints, at: Ints, asked_ms: Ints
) -> tuple[Ints, Ints, Ints]:
    """Rows, kinds and times (n + q,) of a history (n,) with queries (q,) in it.

    Args:
        at: (q,) the event that each query comes before, rising.
        asked_ms: (q,) when.
    """
    count = np.arange(len(at))
    asked = at + count
    done = np.ones(len(rows) + len(at), np.bool_)
    done[asked] = False

    def both(mine: Ints, theirs: Ints | int) -> Ints:
        found = np.empty(len(done), np.int64)
        found[done], found[asked] = mine, theirs
        return found

    return both(rows, ASKED - count), both(kinds, QUERY), both(times_ms, asked_ms)
