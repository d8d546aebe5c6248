"""Histories changed at random, anew in every pass; no part of raysys, the ablation tries them.

Crop, mask and reorder as of Xie et al. 2022 (CL4SRec), substitution as of Liu et al. 2021 (CoSeRec),
for the training itself, without their contrastive loss.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from raysys.interest.interactions import Interactions
from raysys.interest.partners import Rows
from raysys.interest.sequences import Batch
from raysys.interest.train import Training
from raysys.types import Ints

CHANGED = 0.2
"""Share of a history that an augmentation changes."""
SMALLEST = 0.5
"""Share of a history that a crop leaves at least."""

Change = Callable[[Interactions, np.random.Generator], Interactions]


def changing(log: Interactions, change: Change, seed: int) -> Callable[[int], Iterator[Interactions]]:
    """The log, changed anew in every pass; it is counted as it is."""
    counted = False

    def chunks(number: int) -> Iterator[Interactions]:
        nonlocal counted
        yield change(log, np.random.default_rng([seed, number])) if counted else log
        counted = True

    return chunks


def cropped(log: Interactions, rng: np.random.Generator) -> Interactions:
    """A random piece of every history."""
    place, size = _places(log)
    kept = np.ceil(rng.uniform(SMALLEST, 1.0, len(size)) * size)
    begin = np.floor(rng.random(len(size)) * (size - kept + 1))
    return log.where((place >= begin[log.user]) & (place < (begin + kept)[log.user]))


def dropped(log: Interactions, rng: np.random.Generator) -> Interactions:
    """Every history without some of its interactions: masked, and what is masked is passed over."""
    return log.where(rng.random(len(log)) >= CHANGED)


def reordered(log: Interactions, rng: np.random.Generator) -> Interactions:
    """Some interactions change places with those up to two later ones."""
    place, _ = _places(log)
    order = np.lexsort((place, log.user))
    moved = place + rng.uniform(0.0, 3.0, len(log)) * (rng.random(len(log)) < CHANGED)
    other = np.lexsort((moved, log.user))
    row, kind = log.row.copy(), log.kind.copy()
    row[order], kind[order] = log.row[other], log.kind[other]
    return replace(log, row=row, kind=kind)


def substitute(training: Training, similar: Rows) -> None:
    """Some items of a history, not those asked for, are read as ones that go with them."""
    batches = training.log.batches

    def replaced(number: int, rng: np.random.Generator) -> Iterator[tuple[Batch, float]]:
        for batch, done in batches(number, rng):
            yield replace(batch, row=_neighbors(batch.row, similar, rng)), done

    training.log.batches = replaced  # type: ignore[method-assign]


def _neighbors(rows: Ints, similar: Rows, rng: np.random.Generator) -> Ints:
    """Rows of any shape, some of them replaced by one of the ten that go with them best."""
    start, count = similar.start[rows], np.minimum(np.diff(similar.start)[rows], 10)
    chosen = similar.column[
        np.minimum(start + (rng.random(rows.shape) * count).astype(np.int64), len(similar.column) - 1)
    ]
    return np.where((rng.random(rows.shape) < CHANGED) & (count > 0), chosen, rows)


def _places(log: Interactions) -> tuple[Ints, Ints]:
    """The place (N,) of an interaction in its user's history, and the lengths (U,) by user code."""
    order = np.argsort(log.user, kind="stable")
    size = np.bincount(log.user)
    place = np.empty(len(log), np.int64)
    place[order] = np.arange(len(log)) - (np.cumsum(size) - size)[log.user[order]]
    return place, size
