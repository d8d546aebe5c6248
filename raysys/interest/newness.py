"""Items made new, one at a time: how they would look, and be recalled, if nobody had taken them.

A log holds few items that were new when they were taken, and a study's holds none. But of every item
that is known it can be said what would be known of it if it were new: partners would say nothing,
nothing would be counted, and a network would know it by its content. All others, and the person, stay
as they are; so nothing has to be learned again, and every answer in a lesson tells of a new item too.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.content import Content
from raysys.interest.examples import Examples
from raysys.interest.features import SOURCES, UserView
from raysys.interest.habits import Habits
from raysys.interest.recall import RecallSizes
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import Shelf
from raysys.interest.source import NetworkSource
from raysys.types import Bools, Floats

MADE = 50_000
"""Items that are made new, at most."""
BELIEF = 10.0
"""Answers that have to go to items that are new, or not, until the log is believed by half."""
SHARE = 0.1
"""Of all answers: so many are believed to go to new items though the log has never seen it."""
SAID = ("words", "traits")
"""Sources that say of a new item what they say of it now."""
NETWORK = SOURCES.index("network")


@dataclass(frozen=True, slots=True, kw_only=True)
class Newness:
    """What is known of the items of a lesson if they are new."""

    able: Bools
    """(I,) the items that are made new: such as somebody has taken."""
    shelf: Shelf
    """Nobody has taken anything of it."""
    network: NetworkSource | None
    told: tuple[Floats, ...]
    """For each network the vectors (I, D) that items have by their content."""

    @classmethod
    def of(cls, scorer: InterestScorer, catalog: Catalog, seed: int) -> Self:
        """For a scorer with the items of `catalog`."""
        assert scorer.shelf is not None, "give the scorer its items first"
        able = np.zeros(len(catalog), np.bool_)
        taken = np.flatnonzero(~scorer.shelf.untaken)
        able[np.random.default_rng([seed, 4]).permutation(taken)[:MADE]] = True
        told: tuple[Floats, ...] = ()
        if scorer.network is not None:
            told = tuple(_told(one, catalog, able, seed) for one in scorer.network.together)
        return cls(able=able, shelf=scorer.shelf.as_new(), network=scorer.network, told=told)

    def view(self, view: UserView, habits: Habits, now_ms: int) -> UserView:
        """The person among items each of which is new; places are those among the others as they are."""
        scores = np.zeros_like(view.scores)
        for name in SAID:
            scores[SOURCES.index(name)] = view.scores[SOURCES.index(name)]
        if self.network is not None and view.scores[NETWORK].any():
            scores[NETWORK] = self.network.scores_as(habits, now_ms, self.told)
        return replace(view, shelf=self.shelf, scores=scores)

    def left(self, view: UserView) -> Bools:
        """(I,) the items that can be made new to this person: what is their own cannot."""
        left = self.able.copy()
        left[view.rows] = False
        return left

    def recalled(self, view: UserView, sizes: RecallSizes) -> Bools:
        """(I,) what would be recalled for `view`, a person among new items."""
        chosen = np.zeros(len(self.able), np.bool_)
        for name in SAID:
            top = view.tops[SOURCES.index(name)]
            chosen[top[max(len(top) - sizes.source, 0) :]] = True
        edges = view.edges[NETWORK]
        if len(edges):
            chosen |= view.scores[NETWORK] > edges[max(len(edges) - sizes.source, 0)]
        return chosen


def _told(source: NetworkSource, catalog: Catalog, able: Bools, seed: int) -> Floats:
    """The vectors (I, D) of a network's items by content; of those that are `able` (I,) by that of others."""
    from raysys.interest.cold import told_by_others

    known = np.zeros(len(able), np.bool_)
    known[: source.encoder.size] = source.encoder.known
    rows = np.flatnonzero(able)
    if not known[rows].any():
        return source.vectors
    found = np.array(source.vectors)
    found[rows] = told_by_others(Content.of_rows(catalog, rows), source.vectors[rows], known[rows], seed)
    return found


def worth(told: Examples, log_odds: Floats, answers: Floats) -> Floats:
    """How much likelier (E,) truly new items are taken than items made new, by what the lessons saw.

    Items made new are such as somebody took in the end, so they say which new item is liked better, and
    how much it would be liked if it were worth as much as those. What new items of this catalog are
    worth is counted: how many answers went to items that nobody had taken before they were asked for,
    beside how many were expected. BELIEF answers hold it at 1 where little was counted.

    Where the log has seen none of them taken, as a closed log cannot, it does not know whether they
    were there to be taken. A shop adds items because they will be sold: then they are believed to be
    worth what they would be worth if known, as long as no more than SHARE of all answers is expected
    to go to them; beyond it the catalog holds many that nobody wants, and they share that.

    Args:
        told: pairs with items that were truly new.
        log_odds: (N, E) of them, as if made new.
        answers: (E,) all answers in the same lessons, weighted alike.
    """
    expected = told.weight @ (1.0 / (1.0 + np.exp(-np.clip(log_odds, -50.0, 50.0))))
    counted = (told.weight @ told.done + BELIEF) / (expected + BELIEF)
    believed = np.minimum(SHARE * answers / np.maximum(expected, 1e-9), 1.0)
    return np.asarray(np.maximum(counted, believed))
