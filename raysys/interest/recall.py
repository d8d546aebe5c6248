"""Which items are worth a closer look for one person: the best of every source, from the whole catalog."""

from dataclasses import dataclass

import numpy as np

from raysys.interest.features import UserView, top_rows
from raysys.interest.shelf import FACTS, LEAF
from raysys.types import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallSizes:
    """How many items each source proposes."""

    source: int = 150
    """Of each partner and of the network, at most RANKED."""
    popular: int = 150
    leaf: int = 150
    """Of what sells in the leaves that this person buys from."""


SIZES = RecallSizes()


def recall(view: UserView, sizes: RecallSizes, *, new_only: bool = False) -> Ints:
    """Rows, without repeats: everything one's own, and the best of each source.

    Args:
        new_only: leave out what is one's own, where nobody takes a thing twice.
    """
    shelf = view.shelf.codes[LEAF]
    leaf = view.groups[LEAF][shelf, 0] * view.shelf.facts[:, FACTS.index("share_in_leaf")]
    other = np.ones(len(view.shelf), np.bool_)
    other[view.rows] = False
    chosen = np.zeros(len(view.shelf), np.bool_)
    popular = view.shelf.popular[: sizes.popular + len(view.rows)]
    chosen[popular[other[popular]][: sizes.popular]] = True
    chosen[top_rows(leaf, sizes.leaf, other)] = True
    for top in view.tops:
        chosen[top[max(len(top) - sizes.source, 0) :]] = True
    chosen[view.rows] = not new_only
    return np.flatnonzero(chosen)
