"""What the interest model looks at for one person and many candidates.

Fitting and serving call the same functions on the same habits, so there is no skew between them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from raysys.interest.habits import Habits
from raysys.interest.partners import Following, Neighbors, Rows
from raysys.interest.shelf import BRAND, FACTS, LEAF, LEAF_BRAND, PARENT, TOP, Shelf
from raysys.interest.words import Likeness
from raysys.state.protocol import FAST_DAYS, SLOW_DAYS
from raysys.types import DAY_MS, Bools, Floats, Ints

SOURCES = ("co_visit", "item_knn", "user_knn", "follow", "words", "traits", "network")
"""Who scores every item for a person: the partners, and the network if there is one."""
RANKED = 150
"""Places of each source's own ranking that are told apart."""
FEATURES = (
    "own_bought",
    "own_touched",
    "own_slow",
    "own_fast",
    "own_share",
    "own_recency",
    "own_since",
    "own_tenure",
    "own_gap",
    "own_due",
    "own_never",
    "item_due",
    "leaf_slow",
    "leaf_share",
    "own_in_leaf",
    "brand_in_leaf",
    "leaf_since",
    "leaf_due",
    "parent_share",
    "top_share",
    "brand_share",
    "price_fit",
    *SOURCES,
    *(f"{source}_of_best" for source in SOURCES),
    *(f"{source}_rank" for source in SOURCES),
    *FACTS,
    "days",
    "idle",
    "basket",
    "repeats",
)


class Recall(Protocol):
    """The network as a source of scores. See `raysys.interest.encoder`."""

    def knows(self, habits: Habits) -> bool: ...

    def scores(self, habits: Habits, now_ms: int) -> Floats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Partners:
    """The partners' matrices over the I items that they were learned from, and what items say."""

    co_visit: Rows
    following: Following
    item_knn: Rows
    neighbors: Neighbors
    likeness: tuple[Likeness, ...]
    """By the last of SOURCES before the network."""

    def __len__(self) -> int:
        return len(self.co_visit)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserView:
    """A person as the interest model sees them, over the I items of a shelf."""

    shelf: Shelf
    place: Ints
    """(I,) index of an item in the own rows; P, a row of nothing, if it is not among them."""
    own: Floats
    """(P + 1, 6): bought, touched, slow, fast, first_ms, last_ms."""
    faded: Floats
    """(P,) the slow counts as they stand now."""
    groups: tuple[Floats, ...]
    """For each of PLACES: (groups, 4) faded slow count, days bought or touched, first_ms, last_ms."""
    scores: Floats
    """(len(SOURCES), I)"""
    heard: Floats
    """(len(SOURCES),) 1 for the sources that the combination looks at, 0 for those that only recall."""
    best: Floats
    """(len(SOURCES),) the highest score of each source among what is not one's own, at least a little."""
    tops: tuple[Ints, ...]
    """For each source, the at most RANKED rows above 0 that are not one's own, the best last."""
    edges: tuple[Floats, ...]
    """Their scores, rising."""
    user: Floats
    """(4,) days, idle, basket, repeats."""
    total: float
    """Faded slow count of everything."""
    rated: float
    """Ratings with stars, and the sum of them."""
    stars: float
    price_ratio: float
    """What this person usually pays beside the usual price of a leaf, in logs."""

    @property
    def rows(self) -> Ints:
        """Rows (P,) of the own items."""
        return np.flatnonzero(self.place < len(self.own) - 1)


def user_view(
    habits: Habits,
    shelf: Shelf,
    partners: Partners,
    network: Recall | None,
    now_ms: int,
    *,
    network_heard: bool = True,
) -> UserView:
    """The view of a person; costs a few sparse products, so keep it while the state stays."""
    rows = habits.rows
    own = np.zeros((len(rows) + 1, 6))
    columns = (habits.bought, habits.touched, habits.slow, habits.fast, habits.first_ms, habits.last_ms)
    for number, column in enumerate(columns):
        own[:-1, number] = column
    place = np.full(len(shelf), len(rows))
    place[rows] = np.arange(len(rows))
    faded = _faded(habits.slow, habits.last_ms, now_ms, SLOW_DAYS)
    scores = _scores(habits, faded, partners, len(shelf))
    if network is not None and network.knows(habits):
        scores[SOURCES.index("network")] = network.scores(habits, now_ms)
    total = float(faded.sum())
    other = np.ones(len(shelf), np.bool_)
    other[rows] = False
    tops = tuple(top_rows(score, RANKED, other) for score in scores)
    return UserView(
        shelf=shelf,
        place=place,
        own=own,
        faded=faded,
        groups=tuple(
            _by_group(own[:-1], faded, code[rows], groups)
            for code, groups in zip(shelf.codes, shelf.sizes, strict=True)
        ),
        scores=scores,
        heard=np.array([source != "network" or network_heard for source in SOURCES], np.float64),
        best=np.array(
            [score[top[-1]] if len(top) else 1e-6 for score, top in zip(scores, tops, strict=True)]
        ),
        tops=tops,
        edges=tuple(score[top] for score, top in zip(scores, tops, strict=True)),
        user=_user(habits, now_ms),
        total=max(total, 1e-9),
        rated=habits.rated,
        stars=habits.stars,
        price_ratio=float(faded @ shelf.price_ratio[rows] / total) if total > 0 else 0.0,
    )


def _scores(habits: Habits, weights: Floats, partners: Partners, size: int) -> Floats:
    """(len(SOURCES), I) what the partners say of every item."""
    scores = np.zeros((len(SOURCES), size))
    trained = len(partners)
    inside = habits.rows < trained
    old, mass = habits.rows[inside], weights[inside]
    if len(old):
        scores[0, :trained] = partners.co_visit.weighted(old, mass, trained)
        scores[1, :trained] = partners.item_knn.weighted(old, mass, trained)
        scores[2, :trained] = partners.neighbors.scores(old, mass)
    latest, share = partners.following.weights(habits.history_rows)
    if len(latest):
        known = latest < trained
        scores[3, :trained] = partners.co_visit.weighted(latest[known], share[known], trained)
        for number, likeness in enumerate(partners.likeness, start=4):
            scores[number] = likeness.scores(latest, share, size)
    return scores


def top_rows(score: Floats, count: int, wanted: Bools) -> Ints:
    """The `count` highest above 0 of the rows `wanted` (I,), the best last."""
    rows = np.flatnonzero((score > 0) & wanted)  # few sources have much to say, and a partition is dear
    if len(rows) > count:
        rows = rows[np.argpartition(score[rows], len(rows) - count)[len(rows) - count :]]
    return np.asarray(rows[np.argsort(score[rows], kind="stable")])


def _by_group(own: Floats, faded: Floats, code: Ints, size: int) -> Floats:
    """(size, 4) of the own items by group."""
    table = np.zeros((size, 4))
    table[:, 0] = np.bincount(code, faded, minlength=size)
    table[:, 1] = np.bincount(code, own[:, 0] + own[:, 1], minlength=size)
    table[:, 2] = np.inf
    np.minimum.at(table[:, 2], code, own[:, 4])
    np.maximum.at(table[:, 3], code, own[:, 5])
    return table


def _user(habits: Habits, now_ms: int) -> Floats:
    counts = habits.bought + habits.touched
    deeds = float(counts.sum())
    last = float(habits.last_ms.max(initial=0.0))
    idle = max(now_ms - last, 0.0) / DAY_MS if last else 0.0
    repeats = 1.0 - len(counts) / deeds if deeds else 0.0
    return np.array([np.log1p(habits.days), np.log1p(idle), np.log1p(deeds / max(habits.days, 1)), repeats])


def features(view: UserView, rows: Ints, now_ms: int) -> Floats:
    """Features (C, len(FEATURES)) float32 of the candidates at `rows` (C,), none of them -1."""
    found = np.empty((len(rows), len(FEATURES)), np.float32)
    own = _own_features(view, rows, now_ms, found)
    _group_features(view, rows, now_ms, own, found)
    at = FEATURES.index(SOURCES[0])
    sources = view.scores[:, rows].T * view.heard
    found[:, at : at + len(SOURCES)] = np.log1p(np.maximum(sources, 0.0))
    found[:, at + len(SOURCES) : at + 2 * len(SOURCES)] = sources / view.best
    at += 2 * len(SOURCES)
    found[:, at : at + len(SOURCES)] = _ranks(view, rows)
    at += len(SOURCES)
    found[:, at : at + len(FACTS)] = view.shelf.facts[rows]
    found[:, at + len(FACTS) :] = view.user
    return found


def _ranks(view: UserView, rows: Ints) -> Floats:
    """(C, len(SOURCES)) log of the place in each source's ranking of what is not one's own.

    It is over all items, so it does not depend on which others are asked about.
    """
    before = [
        len(edges) - np.searchsorted(edges, scores, side="right")
        for edges, scores in zip(view.edges, view.scores[:, rows], strict=True)
    ]
    return np.asarray(np.log1p(np.stack(before, axis=1)) * view.heard)


def _own_features(view: UserView, rows: Ints, now_ms: int, found: Floats) -> Floats:
    """Fills the first columns, of a person's own doings with each item; its faded slow count (C,)."""
    bought, touched, slow, fast, first_ms, last_ms = view.own[view.place[rows]].T
    counts = bought + touched
    never = counts == 0
    since = np.where(never, 0.0, np.maximum(now_ms - last_ms, 0.0)) / DAY_MS
    gap = (last_ms - first_ms) / DAY_MS / np.maximum(counts - 1, 1)
    item_gap = np.expm1(view.shelf.facts[rows, FACTS.index("item_gap")])
    slow = _faded(slow, last_ms, now_ms, SLOW_DAYS)
    columns = (
        np.log1p(bought),
        np.log1p(touched),
        np.log1p(slow),
        np.log1p(_faded(fast, last_ms, now_ms, FAST_DAYS)),
        slow / view.total,
        np.where(never, 0.0, 1.0 / (1.0 + since / 7.0)),
        np.log1p(since),
        np.where(never, 0.0, np.log1p(np.maximum(now_ms - first_ms, 0.0) / DAY_MS)),
        np.log1p(gap),
        due(since, gap, never),
        never,
        due(since, item_gap, never),
    )
    for number, column in enumerate(columns):
        found[:, number] = column
    return np.asarray(slow)


def own_due(view: UserView, rows: Ints, now_ms: int) -> Floats:
    """The column `own_due` (C,) alone."""
    bought, touched, _, _, first_ms, last_ms = view.own[view.place[rows]].T
    counts = bought + touched
    gap = (last_ms - first_ms) / DAY_MS / np.maximum(counts - 1, 1)
    return due(np.maximum(now_ms - last_ms, 0.0) / DAY_MS, gap, counts == 0)


def due(since: Floats, gap: Floats, never: Ints) -> Floats:
    """1 where as many days passed as usually do, falling in logs to both sides; 0 without a usual gap."""
    return np.where(never | (gap <= 0), 0.0, np.exp(-np.abs(np.log((since + 1.0) / (gap + 1.0)))))


def _group_features(view: UserView, rows: Ints, now_ms: int, own_slow: Floats, found: Floats) -> None:
    """Fills the columns of a person's doings with the item's groups."""
    codes = view.shelf.codes[:, rows]
    leaf, count, first_ms, last_ms = view.groups[LEAF][codes[LEAF]].T
    never = count == 0
    since = np.where(never, 0.0, np.maximum(now_ms - last_ms, 0.0)) / DAY_MS
    gap = np.where(never, 0.0, last_ms - np.where(never, 0.0, first_ms)) / DAY_MS / np.maximum(count - 1, 1)
    brand = view.groups[LEAF_BRAND][codes[LEAF_BRAND], 0]
    columns = (
        np.log1p(leaf),
        leaf / view.total,
        own_slow / np.maximum(leaf, 1e-9),
        brand / np.maximum(leaf, 1e-9),
        np.where(never, -1.0, np.log1p(since)),
        due(since, gap, never),
        view.groups[PARENT][codes[PARENT], 0] / view.total,
        view.groups[TOP][codes[TOP], 0] / view.total,
        view.groups[BRAND][codes[BRAND], 0] / view.total,
        -np.abs(view.shelf.price_ratio[rows] - view.price_ratio),
    )
    for number, column in enumerate(columns, start=FEATURES.index("leaf_slow")):
        found[:, number] = column


def _faded(value: Floats, from_ms: Floats, now_ms: int, half_life_days: float) -> Floats:
    days = np.maximum(now_ms - from_ms, 0.0) / DAY_MS
    return np.asarray(value * 0.5 ** (days / half_life_days))
