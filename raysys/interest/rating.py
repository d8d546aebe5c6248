"""How many stars would this person give this item? A head fitted by squared error, for logs with ratings.

Stars are the mean of all, and how far this person and this item are from it (the baseline predictors of
Koren 2009). How far to trust few ratings is learned: each deviation comes at several strengths of
shrinkage, and the weights of them all minimize the squared error of every rating of the log, told from
those before it alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.types import Floats, Ints

ENOUGH = 200
"""Ratings below which there is no such head."""
SHRINK = (1.0, 5.0, 25.0)
"""Ratings of the mean that a deviation is mixed with."""
RIDGE = 1.0
RATING = KINDS.index("rating")
HEAD, ITEMS = "rating.json", "rating_items.npy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingHead:
    """Expected stars of items by what people and items have been given so far."""

    mean: float
    weights: Floats
    """(2 * len(SHRINK) + 1,) of a person's deviations, of an item's, and a constant."""
    low: float
    high: float
    """The fewest and the most stars that the log has."""
    items: Floats
    """(I, 2) ratings of each item, and the sum of their stars."""

    def stars(self, rated: float, given: float, rows: Ints) -> Floats:
        """Expected stars (C,) of the items at `rows` (C,), NaN where the row is -1.

        Args:
            rated: how often this person has rated something.
            given: the sum of those stars.
            rows: rows beyond the I items have not been rated by anybody.
        """
        own = self.items[np.clip(rows, 0, len(self.items) - 1)]
        own = np.where(((rows >= 0) & (rows < len(self.items)))[:, None], own, 0.0)
        person = np.broadcast_to(np.array([rated, given]), own.shape)
        seen = np.concatenate([_deviations(person, self.mean), _deviations(own, self.mean)], axis=1)
        # a sum for each row by itself, so that it does not depend on how many there are
        found = self.mean + (seen * self.weights[:-1]).sum(axis=1) + self.weights[-1]
        return np.where(rows >= 0, np.clip(found, self.low, self.high), np.nan)

    def save(self, folder: Path) -> None:
        """Write into `folder`, which exists."""
        head = {"mean": self.mean, "weights": self.weights.tolist(), "low": self.low, "high": self.high}
        (folder / HEAD).write_bytes(msgspec.json.encode(head))
        np.save(folder / ITEMS, self.items, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What `save` wrote; None if nothing was."""
        if not (folder / HEAD).exists():
            return None
        head = msgspec.json.decode((folder / HEAD).read_bytes())
        items = np.load(folder / ITEMS, "r", allow_pickle=False)
        return cls(**head | {"weights": np.array(head["weights"]), "items": items})


def fit_rating(events: Interactions, items: int) -> RatingHead | None:
    """The head of a log with enough ratings, None of others."""
    rated = events.where((events.kind == RATING) & np.isfinite(events.stars()))
    if len(rated) < ENOUGH:
        return None
    stars = rated.stars()
    mean = float(stars.mean())
    codes = (np.unique(rated.user, return_inverse=True)[1], rated.row)
    seen = np.concatenate([_deviations(_before(code, stars), mean) for code in codes], axis=1)
    seen = np.append(seen, np.ones((len(seen), 1)), axis=1)
    penalty = RIDGE * np.diag(np.append(np.ones(seen.shape[1] - 1), 0.0))
    weights = np.linalg.solve(seen.T @ seen + penalty, seen.T @ (stars - mean))
    counts = (np.bincount(rated.row, each, minlength=items) for each in (np.ones(len(stars)), stars))
    return RatingHead(
        mean=mean,
        weights=weights,
        low=float(stars.min()),
        high=float(stars.max()),
        items=np.stack(list(counts), axis=1),
    )


def _deviations(told: Floats, mean: float, shrink: Sequence[float] = SHRINK) -> Floats:
    """How far (n, S) from the mean the ratings and sums of stars `told` (n, 2) are, shrunk to it."""
    off = told[:, 1] - mean * told[:, 0]
    return np.stack([off / (told[:, 0] + each) for each in shrink], axis=1)


def _before(code: Ints, stars: Floats) -> Floats:
    """Ratings (n, 2) of the same code before each one of the log, and the sum of their stars."""
    order = np.argsort(code, kind="stable")
    start = np.flatnonzero(np.diff(code[order], prepend=-1))
    size = np.diff(np.append(start, len(code)))
    found = np.empty((len(code), 2))
    for number, column in enumerate((np.ones(len(code)), stars)):
        total = np.cumsum(column[order]) - column[order]
        found[order, number] = total - np.repeat(total[start], size)
    return found
