"""What a network is fitted to: a log in memory, or one that is read anew in every epoch, user by user."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import KINDS
from raysys.interest.initial import Meetings
from raysys.interest.interactions import NOTHING, Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.queries import Vocabulary, WordCounts
from raysys.interest.sequences import Batch, Sequences, batched, windows
from raysys.types import Bools, Ints

Chunks: TypeAlias = Callable[[int], Iterator[Interactions]]
"""The log in an epoch, from 0 on: every user in exactly one chunk, with the complete history. User
codes may be any, but those of `valid` are the same."""
PEOPLE = 10_000
"""Users of a streamed log whose histories are kept in memory for validation."""


class Log:
    """A log with what one pass over it told: its size, the counts of its items, and who met whom."""

    def __init__(
        self,
        events: Interactions | Chunks,
        items: int,
        config: NetworkConfig,
        valid: Interactions | None,
        meetings: Meetings,
    ) -> None:
        """Read a log once.

        Args:
            items: I, the size of the catalog whose rows the events name; others, -1, are passed over.
            valid: whose users' histories are kept.
            meetings: is told all pairs of items.

        Raises:
            DataError: nothing in it is a target.
        """
        self._config = config
        self._chunks = events if callable(events) else None
        self._whole: Sequences | None = None
        self.vocabulary: Vocabulary | None = None
        """Words of its queries, None if it has none."""
        self.size = 0
        """Interactions."""
        self.seen = np.zeros(items, np.int64)
        """(I,) interactions with each item."""
        self.wanted = np.zeros(items, np.int64)
        """(I,) those of them that are targets."""
        people = _people(valid, PEOPLE if callable(events) else None)
        kept, words = [NOTHING], WordCounts()
        for chunk in events(0) if callable(events) else [events]:
            known = chunk.known()
            part = Sequences.of(known)
            self.size += len(part)
            self.seen += np.bincount(part.row, minlength=items)
            self.wanted += np.bincount(part.row[self._targets(part)], minlength=items)
            meetings.add(part)
            words.add(known.queries)
            kept.append(known.where(np.isin(known.user, people)))
        if not self.wanted.any():
            raise DataError(f"none of the {self.size} interactions is one of targets {config.targets}")
        self.vocabulary = words.vocabulary()
        if not callable(events):
            self._whole = part if self.vocabulary is None else Sequences.of(known, self.vocabulary)
        self.histories = Interactions.joined(kept)
        """Interactions of the users of `valid`, of a streamed log of PEOPLE of them at most."""

    def batches(self, number: int, rng: np.random.Generator) -> Iterator[tuple[Batch, float]]:
        """The batches of one pass, in an order of its own, each with the share of the pass before it."""
        before, config = 0.0, self._config
        for part in self._parts(number):
            share, wanted = int((part.row >= 0).sum()) / self.size, self._targets(part)
            groups = list(batched(windows(part, config.history_length, rng), config.batch_tokens, rng))
            for place, group in enumerate(groups):
                batch = Batch.of(part, group, wanted, config.day_share, config.ahead)
                yield batch, before + place / len(groups) * share
            before += share

    def _parts(self, number: int) -> Iterator[Sequences]:
        if self._whole is not None:
            yield self._whole
        elif self._chunks is not None:
            for chunk in self._chunks(number):
                if len(known := chunk.known()):
                    yield Sequences.of(known, self.vocabulary)

    def _targets(self, part: Sequences) -> Bools:
        return np.isin(part.kind, [KINDS.index(kind) for kind in self._config.targets])


def streamed(folder: Path, catalog: Catalog, users_per_chunk: int, seed: int = 0) -> Chunks:
    """The chunks of a dataset folder, with the user codes of `Interactions.of_frame`.

    Memory holds some files of the folder, whatever its size.
    """
    from raysys.dataset.stream import user_chunks

    def chunks(number: int) -> Iterator[Interactions]:
        for frame in user_chunks(folder, users_per_chunk, seed + number, queries=True):
            yield Interactions.of_frame(frame, catalog)

    return chunks


def _people(valid: Interactions | None, most: int | None) -> Ints:
    """User codes of a validation, `most` of them drawn at random but always the same ones."""
    users = np.unique(valid.user) if valid is not None else NOTHING.user
    if most is None or len(users) <= most:
        return users
    return np.sort(np.random.default_rng(0).choice(users, most, replace=False))
