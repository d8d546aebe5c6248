"""A network learns from judgements, step by step, and ends as good as it was at its best.

What learns is a `Task`: it says what a lesson costs and how it scores pairs. The steps, when to stop, and
how a run that was stopped goes on are the same for all of them.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from raysys.errors import ConfigError
from raysys.relevance.fit import Judgements, mean_ndcg
from raysys.relevance.lessons import Lesson, lessons, some
from raysys.types import Floats, Ints

STATE = "state.pt"
WARM_UP = 20
"""Steps until the learning rate is what it is to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast something learns."""

    learning_rate: float
    layers: int
    """So many of the upper layers learn."""
    pairs: int = 96
    """In a step, and about so many: the pairs of a query stay together."""
    passes: float = 1.0
    cpu_seconds: float = 0.0
    """After so many it ends, with the learning rate brought down until then; 0 is no limit."""
    held_out: float = 0.1
    """Share of the queries that say when to stop; 0 learns from all, to the end."""
    checks: int = 10
    """How often they are asked."""
    patience: int = 3
    """So many checks without a gain end it."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.held_out < 1.0:
            raise ConfigError(f"held_out is {self.held_out}, must be in [0, 1)")
        for name in ("layers", "pairs", "checks", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.passes <= 0.0 or self.cpu_seconds < 0.0 or self.learning_rate <= 0.0:
            raise ConfigError("passes and learning_rate must be above 0, cpu_seconds at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Where the network stands after some of its lessons."""

    pairs: int
    cpu_seconds: float
    loss: float
    """Mean of the steps since the last check."""
    held_loss: float
    """On the queries that were held out; NaN if none were."""
    order: float
    """Share of their pairs of texts that it puts in the right order; it says when to stop, for a loss can
    fall by what is the same for all texts of a query."""
    ndcg: float
    """@5 on them."""


class Task(Protocol):
    """What learns, and from what."""

    @property
    def learning(self) -> Mapping[str, torch.nn.Parameter]:
        """The parameters that move."""
        ...

    def begin(self, told: Judgements) -> None:
        """Before the first step, with all that will be learned from."""
        ...

    def loss(self, lesson: Lesson, rng: np.random.Generator) -> torch.Tensor:
        """Of a step, while learning."""
        ...

    def scores(self, asked: Judgements) -> tuple[Floats, float]:
        """Scores (N,) of pairs by what has been learned so far, and the loss of them."""
        ...

    def constants(self) -> list[float]:
        """What `begin` found, so that a run that goes on need not find it again."""
        ...

    def restore(self, constants: list[float]) -> None: ...


def learn(task: Task, judged: Judgements, schedule: Schedule, folder: Path | None = None) -> Iterator[Check]:
    """Fit a task in place; after the last check it is as good as it was at its best.

    Args:
        folder: keeps the state after every check, so that a run that was stopped goes on from it; the checks
            that it had come again.

    Raises:
        DataError: nothing can be learned from the judgements.
    """
    held = np.random.default_rng(schedule.seed).random(len(judged.queries)) < schedule.held_out
    apart = held[judged.query]
    told = some(judged, ~apart)
    asked = some(judged, apart) if apart.any() and np.ptp(judged.relevant[apart]) else None
    learner = _Learner(task, schedule)
    steps = max(round(schedule.passes * len(told.query) / schedule.pairs), 1)
    if folder is not None and (folder / STATE).exists():
        learner.restore(folder / STATE)
        yield from learner.checks
    else:
        task.begin(told)
        if asked is not None:
            learner.judge(asked)
            yield learner.checks[-1]
    begun = time.process_time() - learner.spent
    for number, lesson in enumerate(lessons(told, schedule.pairs, steps, schedule.seed)):
        if number < learner.steps:
            continue
        done = learner.done(steps)
        if done >= 1.0 or learner.stopped:
            break
        learner.step(lesson, done)
        learner.spent = time.process_time() - begun
        if int(schedule.checks * learner.done(steps)) > int(schedule.checks * done):
            learner.judge(asked)
            if folder is not None:
                learner.keep(folder / STATE)
            yield learner.checks[-1]
    learner.finish()


class _Learner:
    """A task with its optimizer, and the best that it has been."""

    def __init__(self, task: Task, schedule: Schedule) -> None:
        self.task, self.schedule = task, schedule
        self.steps, self.pairs, self.spent = 0, 0, 0.0
        self.checks: list[Check] = []
        self._losses: list[float] = []
        self._learning = dict(task.learning)
        self._best: dict[str, torch.Tensor] = {}
        self._optimizer = torch.optim.AdamW(
            self._learning.values(), schedule.learning_rate, weight_decay=0.01, fused=True
        )

    def done(self, steps: int) -> float:
        """How much is behind it of so many steps, or of its budget."""
        spent = self.spent / self.schedule.cpu_seconds if self.schedule.cpu_seconds else 0.0
        return min(max(self.steps / steps, spent), 1.0)

    @property
    def stopped(self) -> bool:
        """Whether the last checks brought nothing."""
        order, last = [check.order for check in self.checks], self.schedule.patience
        return len(order) > last and max(order[:-last]) >= max(order[-last:])

    def step(self, lesson: Lesson, done: float) -> None:
        """One step; `done` says how much of the whole is behind it, for warm-up and decay."""
        rng = np.random.default_rng([self.schedule.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, so that what goes on is what would have been
        for group in self._optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate * min((self.steps + 1) / WARM_UP, 1.0) * (1.0 - done)
        loss = self.task.loss(lesson, rng)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self._learning.values()), 1.0)
        self._optimizer.step()
        self._losses.append(float(loss.detach()))
        self.steps, self.pairs = self.steps + 1, self.pairs + len(lesson.query)

    def judge(self, asked: Judgements | None) -> None:
        """Add a check by the queries that were held out."""
        held = ndcg = order = float("nan")
        if asked is not None:
            scores, held = self.task.scores(asked)
            ndcg = mean_ndcg(scores, asked.relevant, asked.query)
            order = concordance(scores, asked.relevant, asked.query)
        loss = float(np.mean(self._losses)) if self._losses else float("nan")
        self._losses.clear()
        best = max((check.order for check in self.checks), default=-1.0)
        self.checks.append(
            Check(
                pairs=self.pairs,
                cpu_seconds=self.spent,
                loss=loss,
                held_loss=held,
                order=order,
                ndcg=ndcg,
            )
        )
        if not order <= best:  # also where nobody was held out
            self._best = {name: part.detach().clone() for name, part in self._learning.items()}

    def finish(self) -> None:
        """Back to the best."""
        self._load(self._best)

    def keep(self, path: Path) -> None:
        """Write everything that `restore` needs, whole or not at all."""
        state = {
            "learning": {name: part.detach() for name, part in self._learning.items()},
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "pairs": self.pairs,
            "spent": self.spent,
            "constants": self.task.constants(),
            "checks": [[getattr(check, name) for name in Check.__slots__] for check in self.checks],
        }
        draft = path.with_suffix(".tmp")
        torch.save(state, draft)
        draft.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from where `keep` was."""
        state = torch.load(path, weights_only=True)
        self._load(state["learning"])
        self._best = state["best"]
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps, self.pairs, self.spent = state["steps"], state["pairs"], state["spent"]
        self.task.restore(state["constants"])
        self.checks = [Check(**dict(zip(Check.__slots__, told, strict=True))) for told in state["checks"]]

    def _load(self, parts: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, part in parts.items():
                self._learning[name].copy_(part)


def concordance(scores: Floats, relevant: Floats, query: Ints) -> float:
    """Share of the pairs of one query that `scores` (N,) put in the right order, by how unlike they are."""
    right = total = 0.0
    for number in np.unique(query):
        rows = query == number
        apart = relevant[rows][:, None] - relevant[rows]  # (n, n), above 0 where the first is better
        ahead = np.sign(scores[rows][:, None] - scores[rows])
        worth = np.maximum(apart, 0.0)
        right += float((worth * (ahead + 1.0) / 2.0).sum())
        total += float(worth.sum())
    return right / total if total else float("nan")
