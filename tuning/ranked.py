"""Rankings of the whole catalog for everybody asked, and how good they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import ray
from tqdm import tqdm

from raysys.catalog import Catalog
from raysys.evaluation.next_item import NextItemMetrics, judge_by_library
from raysys.interest.asked import Asked
from raysys.interest.habits import NOBODY, Habits, habits_of
from raysys.interest.recall import recall
from raysys.interest.scorer import InterestScorer
from raysys.types import Floats, Ints
from tuning.trials import start_ray

Scores: TypeAlias = Callable[[Habits, int], Floats]
"""The score (I,) of every item for a person as of a moment."""
LENGTH = 100
"""Places of a ranking that the metrics' library sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The heads of n rankings, and where the first true item stands in the whole of each."""

    top: Ints
    """(n, LENGTH) rows, -1 where there are no more."""
    first: Ints
    """(n,) from 0; -1 where no true item may be ranked."""

    def judged(self, asked: Asked) -> NextItemMetrics:
        """By the trusted library, held against our own arrays."""
        return judge_by_library(self.top, asked.truth, self.first)


def people_of(asked: Asked) -> Iterator[tuple[Habits, int, Ints]]:
    """Habits, moment and what is one's own, of everybody asked."""
    mine = asked.before.where(np.isin(asked.before.user, asked.user))
    known = habits_of(mine)
    seen = {user: np.unique(mine.row[places]) for user, places in mine.by_user()}
    nothing = np.zeros(0, np.int64)
    for user, now_ms in zip(asked.user.tolist(), asked.now_ms.tolist(), strict=True):
        yield known.get(user, NOBODY), now_ms, seen.get(user, nothing)


def ranked(scores: Scores, asked: Asked, words: str = "") -> Ranked:
    """Everybody's ranking; with `new_only` without what is their own. Of equal scores the first row leads."""
    tops, firsts = [], []
    people = tqdm(people_of(asked), total=len(asked), desc=words, unit="user", disable=not words)
    for (habits, now_ms, own), truth in zip(people, asked.truth, strict=True):
        score = np.array(scores(habits, now_ms), np.float64)
        if asked.new_only:
            score[own] = -np.inf
        tops.append(_top(score))
        firsts.append(_first(score, truth))
    return Ranked(top=np.array(tops, np.int64), first=np.array(firsts, np.int64))


def _top(score: Floats) -> Ints:
    found = np.full(LENGTH, -1)
    kept = min(LENGTH, len(score))
    edge = np.partition(score, -kept)[-kept]
    # all above the edge, then those on it in order of their rows
    rows = np.concatenate([np.flatnonzero(score > edge), np.flatnonzero(score == edge)])[:kept]
    rows = np.sort(rows)
    rows = rows[np.argsort(-score[rows], kind="stable")]
    rows = rows[np.isfinite(score[rows])]
    found[: len(rows)] = rows
    return found


def _first(score: Floats, truth: Ints) -> int:
    able = truth[np.isfinite(score[truth])]
    if not len(able):
        return -1
    best = able[np.lexsort((able, -score[able]))[0]]
    return int((score > score[best]).sum() + (score[:best] == score[best]).sum())


def whole(scorer: InterestScorer, popularity: Floats) -> Scores:
    """Every item's place by an interest model: what it recalls by log odds, the rest by popularity (I,)."""
    behind = -1e3 - 1.0 / (1.0 + popularity)

    def scores(habits: Habits, now_ms: int) -> Floats:
        view = scorer.view_of(habits, now_ms)
        rows = recall(view, scorer.sizes, new_only=scorer.new_only)
        found = behind.copy()
        found[rows] = scorer.log_odds(view, rows, now_ms)[:, scorer.kinds.index(scorer.primary)]
        return found

    return scores


def ranked_side_by_side(folder: Path, catalog: Catalog, asked: Asked, cores: int) -> Ranked:
    """Everybody's ranking by the interest model saved in `folder`, a share of the people on each core.

    Args:
        catalog: with its items counted as of when the model was fitted.
    """
    if cores == 1:
        return _share(folder, catalog, asked)
    start_ray(cores)
    task, items = ray.remote(num_cpus=1)(_share), ray.put(catalog)
    parts = [np.arange(len(asked)) * cores // len(asked) == number for number in range(cores)]
    pending = [task.remote(folder.resolve(), items, asked.of(part)) for part in parts]
    found = [ray.get(one) for one in tqdm(pending, desc="asking the model", unit="part")]
    return Ranked(
        top=np.concatenate([part.top for part in found]), first=np.concatenate([part.first for part in found])
    )


def _share(folder: Path, catalog: Catalog, asked: Asked) -> Ranked:
    scorer = InterestScorer.load(folder).with_items(catalog)
    return ranked(whole(scorer, catalog.popularity), asked)
