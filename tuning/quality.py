"""Held-out quality of an interest model beside every simple alternative, in one window of time.

The tasks are those of the demo's protocol: the items of the first shopping day and of the whole
window (`first_day`, `window`), those never bought before (`discovery`), and, among the items of
one leaf of the category, which of them were bought (`search`; a slice for each kind of query).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from raysys.evaluation.metrics import clustered_error, ndcg
from raysys.interest.features import SOURCES, UserView
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.recall import recall
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import FACTS, LEAF
from raysys.types import DAY_MS, Bools, Floats, Ints

TASKS = ("first_day", "window", "discovery", "search")
SLICES = ("search repeat", "search switch", "search new type")
MODEL = "raysys"
LENGTH = 10

Alternative = Callable[[int, UserView], Floats]
"""Scores (I,) of a simple system for a user code and their view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """NDCG@10 by task or slice and system: one value for each user (or query) that has a truth."""

    values: Mapping[tuple[str, str], Floats]
    users: Mapping[str, Ints]
    """The user behind each value of a task."""
    coverage: Mapping[str, float]
    """Share of the truth of a task among the items that recall proposes."""
    prob: Floats
    """(n,) the model's probability of what recall proposed, to everybody."""
    done: Bools
    """(n,) whether it was done within the window."""

    def systems(self, task: str) -> list[str]:
        """Those measured on a task, the model last."""
        found = [system for name, system in self.values if name == task]
        return sorted(found, key=lambda system: system == MODEL)

    def mean(self, task: str, system: str) -> tuple[float, float]:
        """Mean and its standard error, by user."""
        return clustered_error(self.values[task, system], self.users[task])

    def gain(self, task: str, over: str, system: str = MODEL) -> tuple[float, float]:
        """Mean and standard error of the paired difference to another system."""
        return clustered_error(self.values[task, system] - self.values[task, over], self.users[task])

    def rows(self) -> list[tuple[str, str, float, float, float, float]]:
        """(task, system, mean, error, the model's gain over it, its error) of everything."""
        return [
            (task, system, *self.mean(task, system), *self.gain(task, system))
            for task in (*TASKS, *SLICES)
            for system in (self.systems(task) if task in self.users else ())
        ]


def simple_systems() -> dict[str, Alternative]:
    """Systems that need no combination."""

    def source(name: str) -> Alternative:
        return lambda user, view: view.scores[SOURCES.index(name)]

    def popular(user: int, view: UserView) -> Floats:
        return view.shelf.facts[:, FACTS.index("recent")]

    def own(user: int, view: UserView) -> Floats:
        return np.append(view.faded, 0.0)[view.place] + 1e-6 * popular(user, view)

    def own_then_alike(user: int, view: UserView) -> Floats:
        alike = view.scores[SOURCES.index("user_knn")]
        return np.append(view.faded, 0.0)[view.place] + 1e-3 * alike + 1e-9 * popular(user, view)

    return {
        "popularity": popular,
        "own frequency": own,
        "item-kNN": source("item_knn"),
        "co-visitation": source("co_visit"),
        "user-kNN": source("user_knn"),
        "own + user-kNN": own_then_alike,
    }


def measure(
    scorer: InterestScorer,
    before: Interactions,
    truth: Interactions,
    now_ms: int,
    others: Mapping[str, Alternative] | None = None,
    most_queries: int = 0,
    day_starts_ms: int = 0,
    searched: Mapping[str, Alternative] | None = None,
) -> Table:
    """What everybody known from `before` (all before `now_ms`) did in `truth`, ranked by each system.

    Args:
        scorer: fitted on `before`, with the items of the catalog.
        others: more systems than the simple ones.
        most_queries: search queries looked at for each user; 0 is all of them.
        day_starts_ms: when a shopping day begins, after midnight UTC.
        searched: systems that are looked at in searches alone.
    """
    systems = simple_systems() | dict(others or {})
    if scorer.network is not None:
        systems["network alone"] = lambda user, view: view.scores[SOURCES.index("network")]
    sheet = _Sheet()
    everybody = habits_of(before)
    for user, places in tqdm(list(truth.by_user()), desc="held-out quality", unit="user"):
        if user in everybody:
            rows, day = truth.row[places], (truth.time_ms[places] - day_starts_ms) // DAY_MS
            first = np.unique(rows[day == day.min()])
            view, window = scorer.view_of(everybody[user], now_ms), np.unique(rows)
            scores = {name: system(user, view) for name, system in systems.items()}
            _user(sheet, scorer, scores, user, view, first, window, now_ms)
            scores |= {name: system(user, view) for name, system in (searched or {}).items()}
            _searches(sheet, scorer, scores, user, view, window, now_ms, most_queries)
    return sheet.table()


class _Sheet:
    """Collects values while users are measured."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}
        self._users: dict[str, list[int]] = {}
        self._covered: dict[str, list[float]] = {}
        self._prob: list[Floats] = []
        self._done: list[Bools] = []

    def predicted(self, prob: Floats, done: Bools) -> None:
        """Keep what the model expected of a user beside what came."""
        self._prob.append(prob)
        self._done.append(done)

    def add(self, task: str, user: int, values: Mapping[str, float], covered: float) -> None:
        self._users.setdefault(task, []).append(user)
        self._covered.setdefault(task, []).append(covered)
        for system, value in values.items():
            self._values.setdefault((task, system), []).append(value)

    def table(self) -> Table:
        return Table(
            values={key: np.array(values) for key, values in self._values.items()},
            users={task: np.array(users) for task, users in self._users.items()},
            coverage={task: float(np.mean(shares)) for task, shares in self._covered.items()},
            prob=np.concatenate(self._prob) if self._prob else np.zeros(0),
            done=np.concatenate(self._done) if self._done else np.zeros(0, np.bool_),
        )


def _user(
    sheet: _Sheet,
    scorer: InterestScorer,
    scores: dict[str, Floats],
    user: int,
    view: UserView,
    first: Ints,
    window: Ints,
    now_ms: int,
) -> None:
    """What one user took, asked for nothing."""
    size = len(view.place)
    primary = scorer.kinds.index(scorer.primary)
    recalled = recall(view, scorer.sizes)
    model = np.full(size, -np.inf)
    model[recalled] = scorer.probs(view, recalled, now_ms)[:, primary]
    sheet.predicted(model[recalled], np.isin(recalled, window))
    fresh = np.ones(size, np.bool_)
    fresh[view.rows] = False
    new = window[fresh[window]]
    for task, truth, shown in (
        ("first_day", first, None),
        ("window", window, None),
        ("discovery", new, fresh),
    ):
        if len(truth):
            values = {name: _ndcg(score, truth, shown) for name, score in (scores | {MODEL: model}).items()}
            sheet.add(task, user, values, float(np.isin(truth, recalled).mean()))


def _searches(
    sheet: _Sheet,
    scorer: InterestScorer,
    scores: Mapping[str, Floats],
    user: int,
    view: UserView,
    window: Ints,
    now_ms: int,
    most_queries: int,
) -> None:
    """What one user took of each leaf, among its items."""
    fresh = np.ones(len(view.place), np.bool_)
    fresh[view.rows] = False
    primary = scorer.kinds.index(scorer.primary)
    codes = view.shelf.codes[LEAF]
    leaves = np.unique(codes[window])
    for leaf in leaves[: most_queries or None].tolist():
        inside = np.flatnonzero(codes == leaf)
        if len(inside) < 2:
            continue
        wanted = np.isin(inside, window)
        found = {name: score[inside] for name, score in scores.items()}
        found[MODEL] = scorer.probs(view, inside, now_ms, asked=True)[:, primary].astype(np.float64)
        values = {name: _ndcg(score, np.flatnonzero(wanted), None) for name, score in found.items()}
        for task in ("search", _slice(fresh[inside], wanted)):
            sheet.add(task, user, values, 1.0)


def _slice(fresh: Bools, wanted: Bools) -> str:
    """Whether a query was answered by an own item again, by another of a leaf bought before, or anew."""
    if fresh.all():
        return "search new type"
    return "search repeat" if (wanted & ~fresh).any() else "search switch"


def _ndcg(score: Floats, truth: Ints, shown: Bools | None) -> float:
    """NDCG@10 of the items in order of their score, ties by row; items not `shown` are left out."""
    usable = score if shown is None else np.where(shown, score, -np.inf)
    most = min(LENGTH * 4, len(usable))
    best = np.argpartition(-usable, most - 1)[:most] if most < len(usable) else np.arange(len(usable))
    best = best[np.isfinite(usable[best])]
    order = best[np.lexsort((best, -usable[best]))][:LENGTH]
    return ndcg(np.isin(order, truth), len(truth), LENGTH)
