"""A smaller last step that says what a larger one says (knowledge distillation: Hinton et al. 2015).

Nobody's answers are looked at, so a smaller one can be made of any fitted model: a student learns the
teacher's log odds of items drawn for some people.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from raysys.boosting import onnx_of
from raysys.errors import ConfigError, DataError
from raysys.interest.boosted import TREES
from raysys.interest.combination import Trees
from raysys.interest.features import UserView, features
from raysys.interest.habits import Habits
from raysys.interest.recall import recall
from raysys.interest.scorer import InterestScorer
from raysys.interest.untaken import untaken
from raysys.types import Floats, Ints

RECALLED, NEAR, OTHERS = 80, 40, 20
"""Items drawn for a person: of those recalled, of the leaves that they buy from, and of all."""
LEARNED, FASTEST = 6.0, 0.3
"""Rounds times the learning rate, and the highest rate: few rounds must each say more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of boosted trees: how many, and leaves of each at most."""

    rounds: int
    leaves: int

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.leaves < 2:
            raise ConfigError(f"{self.rounds} trees of {self.leaves} leaves: at least 1 of 2 are needed")


def distilled(
    teacher: InterestScorer,
    student: InterestScorer,
    people: Iterable[tuple[Habits, int]],
    size: Size,
    seed: int = 0,
) -> InterestScorer:
    """`student` with a last step of `size` that imitates the teacher's.

    Args:
        student: of the same kinds and items; what it sees of a person may be less.
        people: with the moment of asking, after everything that the two have learned from.

    Raises:
        DataError: there are no people.
    """
    seen, offered, asked = _imitated(teacher, student, people, np.random.default_rng([seed, 2]))
    combinations = tuple(_trees(seen, odds, size, seed) for odds in offered.T)
    answers = combinations
    if teacher.answers is not teacher.combinations:
        answers = tuple(_trees(seen, odds, size, seed) for odds in asked.T)
    return replace(student, combinations=combinations, answers=answers)


def _imitated(
    teacher: InterestScorer,
    student: InterestScorer,
    people: Iterable[tuple[Habits, int]],
    rng: np.random.Generator,
) -> tuple[Floats, Floats, Floats]:
    """What the student sees (N, Fi), and the teacher's log odds (N, E), offered and asked for."""
    seen, offered, asked = [], [], []
    for habits, now_ms in people:
        view = teacher.view_of(habits, now_ms)
        rows = _drawn(view, teacher, rng)
        seen.append(features(student.view_of(habits, now_ms), rows, now_ms))
        offered.append(teacher.log_odds(view, rows, now_ms))
        asked.append(teacher.log_odds(view, rows, now_ms, asked=True))
    if not seen:
        raise DataError("nobody to imitate the model for; give people with a history")
    return np.concatenate(seen), np.concatenate(offered), np.concatenate(asked)


def _drawn(view: UserView, scorer: InterestScorer, rng: np.random.Generator) -> Ints:
    """Rows of some of what would be offered and asked for, and of some of the rest; each once.

    What nobody has taken is left out: the student keeps the teacher's combinations for it.
    """
    recalled = recall(view, scorer.sizes, new_only=scorer.new_only)
    near = np.flatnonzero(view.shelf.near(view.groups))
    parts = ((recalled, RECALLED), (near, NEAR), (np.arange(len(view.shelf)), OTHERS))
    rows = np.unique(np.concatenate([rng.permutation(rows)[:most] for rows, most in parts]))
    return rows if scorer.untaken is None else rows[~untaken(view, rows)]


def _trees(seen: Floats, odds: Floats, size: Size, seed: int) -> Trees:
    """Trees that tell log odds (N,); likelier items count more, for the order among them is what is seen."""
    import lightgbm

    settings = TREES | {
        "objective": "regression",
        "num_leaves": size.leaves,
        "learning_rate": min(LEARNED / size.rounds, FASTEST),
        "lambda_l2": 1.0,
        "seed": seed,
    }
    weight = np.sqrt(1.0 / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0))))
    data = lightgbm.Dataset(seen, odds, weight=weight / weight.mean())
    return Trees(onnx_of(lightgbm.train(settings, data, size.rounds)), np.array([1.0, 0.0]))
