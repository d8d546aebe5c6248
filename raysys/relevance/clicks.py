"""What clicks say of relevance once it is known where people look (position-based model).

A click needs two things: the place is looked at, which depends on the position alone, and the item
attracts, which depends on query and item alone (Richardson, Dominowska and Ragno 2007). Expectation
maximization tells them apart where items were shown at several positions (Wang et al. 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.errors import DataError
from raysys.relevance.fit import Judgements
from raysys.types import Bools, Floats, Ints

STEPS = 200
SETTLED = 1e-6
DEEPEST = 10_000
"""No list is looked through so far: a larger position is a mistake, and would be paid for in memory."""
PRIOR = 1.0
"""Showings that every pair is given beforehand, at the mean attraction: little data moves little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicks:
    """Showings summed up: (G,) groups of one pair of query and item at one position."""

    pair: Ints
    """Which pair, from 0."""
    position: Ints
    shown: Floats
    clicked: Floats

    @classmethod
    def of(cls, pair: Ints, position: Ints, clicked: Bools) -> Self:
        """From single showings (N,).

        Raises:
            DataError: nobody clicked, or everybody did everywhere; a position is none.
        """
        if len(position) and not 0 <= position.min() <= position.max() < DEEPEST:
            raise DataError(
                f"positions from {position.min()} to {position.max()}, expected 0 to {DEEPEST - 1}"
            )
        if not 0.0 < float(np.mean(clicked)) < 1.0:
            raise DataError(
                f"{len(clicked)} showings with click rate {np.mean(clicked)}, expected some clicks"
            )
        width = int(position.max()) + 1
        group, place = np.unique(pair * width + position, return_inverse=True)
        return cls(
            pair=group // width,
            position=group % width,
            shown=np.bincount(place).astype(np.float64),
            clicked=np.bincount(place, clicked).astype(np.float64),
        )

    def rates(self) -> Floats:
        """Clicks per showing of each pair, wherever it stood: biased by position."""
        mean = self.clicked.sum() / self.shown.sum()
        return np.asarray(
            (np.bincount(self.pair, self.clicked) + PRIOR * mean)
            / (np.bincount(self.pair, self.shown) + PRIOR)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickModel:
    """Who looks where, and what attracts whoever looks."""

    examined: Floats
    """(positions,) chance to be looked at, 1 at the position that is looked at most."""
    attracts: Floats
    """(pairs,) chance to be clicked if looked at, in [0, 1]."""
    weight: Floats
    """(pairs,) showings that were looked at, by expectation: the evidence."""

    @classmethod
    def fit(cls, clicks: Clicks) -> Self:
        """By expectation maximization from the click rates."""
        pair, position = clicks.pair, clicks.position
        examined = np.bincount(position, clicks.clicked) / np.maximum(
            np.bincount(position, clicks.shown), 1.0
        )
        examined = np.clip(examined / max(examined.max(), 1e-9), 0.01, 1.0)
        attracts, mean = clicks.rates(), clicks.clicked.sum() / clicks.shown.sum()
        passed = clicks.shown - clicks.clicked
        shown = np.maximum(np.bincount(position, clicks.shown), 1e-9)
        for _ in range(STEPS):
            looked, liked = examined[position], attracts[pair]
            none = np.maximum(1.0 - looked * liked, 1e-12)
            # of those who did not click: who looked all the same, and who would have liked it
            also_looked, also_liked = (
                passed * looked * (1 - liked) / none,
                passed * liked * (1 - looked) / none,
            )
            new = np.bincount(position, clicks.clicked + also_looked) / shown
            liking = np.bincount(pair, clicks.clicked + also_liked) + PRIOR * mean
            attracts = liking / (np.bincount(pair, clicks.shown) + PRIOR)
            moved = float(np.abs(new - examined).max())
            examined = new
            if moved < SETTLED:
                break
        top = max(
            float(examined.max()), 1e-9
        )  # only the product is known: the best place is looked at for sure
        examined, attracts = examined / top, np.clip(attracts * top, 0.0, 1.0)
        return cls(
            examined=examined,
            attracts=attracts,
            weight=np.bincount(pair, clicks.shown * examined[position]).astype(np.float64),
        )


def judgements_of(queries: Sequence[str], texts: Sequence[str], position: Ints, clicked: Bools) -> Judgements:
    """Showings (N,) of a text for a query at a position (from 0), as judgements: what attracts is relevant.

    The most attractive pair is relevant for sure; a pair weighs as much as it was looked at.
    """
    query_of = {text: number for number, text in enumerate(dict.fromkeys(queries))}
    text_of = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    query = np.array([query_of[text] for text in queries])
    text = np.array([text_of[name] for name in texts])
    pairs, pair = np.unique(np.stack([query, text], axis=1), axis=0, return_inverse=True)
    model = ClickModel.fit(Clicks.of(pair, position, clicked))
    return Judgements(
        queries=list(query_of),
        texts=list(text_of),
        query=pairs[:, 0],
        text=pairs[:, 1],
        relevant=model.attracts / model.attracts.max(),
        weight=model.weight / model.weight.mean(),
    )


def harvested(clicks: Clicks) -> Floats:
    """Examination (positions,) from items that stood at neighboring positions (intervention harvesting).

    The ratio of click rates at k and k + 1, over pairs shown at both, needs no model of what attracts
    (Agarwal et al. 2019).
    """
    size = int(clicks.position.max()) + 1
    table = np.zeros((2, int(clicks.pair.max()) + 1, size))
    table[0, clicks.pair, clicks.position] = clicks.shown
    table[1, clicks.pair, clicks.position] = clicks.clicked
    shown, clicked = table
    ratio = np.ones(size)
    for place in range(1, size):
        both = np.minimum(shown[:, place - 1], shown[:, place])
        rate = clicked / np.maximum(shown, 1.0)
        before, here = (float(both @ rate[:, at]) for at in (place - 1, place))
        ratio[place] = here / before if before > 0 else 1.0
    examined = np.cumprod(ratio)
    return np.asarray(examined / examined.max())
