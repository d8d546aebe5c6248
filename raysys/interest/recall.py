"""Which items are worth a closer look for one person: the best of every source, from the whole catalog."""

from dataclasses import dataclass

import numpy as np

from raysys.interest.features import UserView
from raysys.interest.shelf import FACTS, LEAF
from raysys.types import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallSizes:
    """How many items each source proposes."""

    source: int = 150
    """Of each partner and of the network."""
    popular: int = 150
    leaf: int = 150
    """Of what sells in the leaves that this person buys from."""


SIZES = RecallSizes()


def recall(view: UserView, sizes: RecallSizes, *, new_only: bool = False) -> Ints:
    """Rows, without repeats: everything one's own, and the best of each source.

    Args:
        new_only: leave out what is one's own, where nobody takes a thing twice.
    """
    recent = view.shelf.facts[:, FACTS.index("recent")]
    shelf = view.shelf.codes[LEAF]
    leaf = view.groups[LEAF][shelf, 0] * view.shelf.facts[:, FACTS.index("share_in_leaf")]
    wanted = np.ones(len(view.shelf), np.bool_)
    wanted[view.rows] = not new_only
    chosen = np.zeros(len(view.shelf), np.bool_)
    chosen[view.rows] = not new_only
    for score, count in ((recent, sizes.popular), (leaf, sizes.leaf)):
        chosen[_top(np.where(wanted, score, 0.0), count)] = True
    for score in view.scores:
        chosen[_top(np.where(wanted, score, 0.0), sizes.source)] = True
    return np.flatnonzero(chosen)


def _top(score: Floats, count: int) -> Ints:
    """The `count` highest above 0, in no order."""
    if not count:
        return np.zeros(0, np.int64)
    if count < len(score):
        best = np.argpartition(score, len(score) - count)[len(score) - count :]
    else:
        best = np.arange(len(score))
    return np.asarray(best[score[best] > 0])
