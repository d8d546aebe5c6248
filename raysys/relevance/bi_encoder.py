"""A sentence encoder learns what a shop's queries mean, from judgements or clicks (fine-tuning a bi-encoder).

Only the upper layers learn, in bfloat16 where the processor has it: a log of some thousand pairs moves them
enough, and the words that it never says stay where they were.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from raysys.errors import ConfigError
from raysys.relevance.fit import Judgements, mean_ndcg
from raysys.relevance.lessons import Lesson, lessons, some
from raysys.relevance.objectives import Objectives
from raysys.text.augment import Augmenter
from raysys.text.torch_encoder import embedded, learning_parts, vectors
from raysys.types import Floats, Ints

Objective: TypeAlias = Literal["graded", "ordered", "contrastive"]
STATE = "state.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """How the encoder learns."""

    objectives: tuple[Objective, ...] = ("graded",)
    """What a step minimizes, summed; see `raysys.relevance.objectives`."""
    layers: int = 3
    """So many of the upper layers learn."""
    learning_rate: float = 3e-5
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
    augmenter: Augmenter = field(default_factory=Augmenter)
    """How queries are said otherwise while learning."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.objectives or set(self.objectives) - {"graded", "ordered", "contrastive"}:
            raise ConfigError(
                f"objectives are {self.objectives}, expected graded, ordered, contrastive or several of them"
            )
        if not 0.0 <= self.held_out < 1.0:
            raise ConfigError(f"held_out is {self.held_out}, must be in [0, 1)")
        for name in ("layers", "pairs", "checks", "patience"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")
        if self.passes <= 0.0 or self.cpu_seconds < 0.0 or self.learning_rate <= 0.0:
            raise ConfigError("passes and learning_rate must be above 0, cpu_seconds at least 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Where the encoder stands after some of its lessons."""

    pairs: int
    cpu_seconds: float
    loss: float
    """Mean of the steps since the last check."""
    held_loss: float
    """On the queries that were held out; NaN if none were."""
    order: float
    """Share of their pairs of texts that the cosine puts in the right order; it says when to stop, for a
    loss can fall by what is the same for all texts of a query."""
    ndcg: float
    """@5 on them."""


def fine_tune(
    encoder: Any, judged: Judgements, config: EncoderConfig, folder: Path | None = None
) -> Iterator[Check]:
    """Fit a SentenceTransformer in place; after the last check it is as good as it was at its best.

    Args:
        folder: keeps the state after every check, so that a run that was stopped goes on from it; the checks
            that it had come again.

    Raises:
        DataError: nothing can be learned from the judgements.
    """
    held = np.random.default_rng(config.seed).random(len(judged.queries)) < config.held_out
    apart = held[judged.query]
    told = some(judged, ~apart)
    asked = some(judged, apart) if apart.any() and np.ptp(judged.relevant[apart]) else None
    learner = _Learner(encoder, config, Objectives.of(encoder, told, config.objectives, vectors))
    steps = max(round(config.passes * len(told.query) / config.pairs), 1)
    if folder is not None and (folder / STATE).exists():
        learner.restore(folder / STATE)
        yield from learner.checks
    elif asked is not None:
        learner.judge(asked)
        yield learner.checks[-1]
    begun = time.process_time() - learner.spent
    for number, lesson in enumerate(lessons(told, config.pairs, steps, config.seed)):
        if number < learner.steps:
            continue
        done = learner.done(steps)
        if done >= 1.0 or learner.stopped:
            break
        learner.step(lesson, done)
        learner.spent = time.process_time() - begun
        if int(config.checks * learner.done(steps)) > int(config.checks * done):
            learner.judge(asked)
            if folder is not None:
                learner.keep(folder / STATE)
            yield learner.checks[-1]
    learner.finish()


class _Learner:
    """An encoder with its optimizer, and the best that it has been."""

    def __init__(self, encoder: Any, config: EncoderConfig, objectives: Objectives) -> None:
        self.encoder, self.config, self.objectives = encoder, config, objectives
        self.steps, self.pairs, self.spent = 0, 0, 0.0
        self.checks: list[Check] = []
        self._losses: list[float] = []
        self._learning = learning_parts(encoder, config.layers)
        self._best: dict[str, torch.Tensor] = {}
        self._optimizer = torch.optim.AdamW(self._learning.values(), config.learning_rate, weight_decay=0.01)

    def done(self, steps: int) -> float:
        """How much is behind it of so many steps, or of its budget."""
        spent = self.spent / self.config.cpu_seconds if self.config.cpu_seconds else 0.0
        return min(max(self.steps / steps, spent), 1.0)

    @property
    def stopped(self) -> bool:
        """Whether the last checks brought nothing."""
        order, last = [check.order for check in self.checks], self.config.patience
        return len(order) > last and max(order[:-last]) >= max(order[-last:])

    def step(self, lesson: Lesson, done: float) -> None:
        """One step; `done` says how much of the whole is behind it, for warm-up and decay."""
        rng = np.random.default_rng([self.config.seed, self.steps])
        torch.manual_seed(int(rng.integers(2**31)))  # dropout, so that what goes on is what would have been
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min((self.steps + 1) / 20, 1.0) * (1.0 - done)
        self.encoder.train()
        queries = [self.config.augmenter(text, rng) for text in lesson.queries]
        loss = self.objectives(embedded(self.encoder, queries), embedded(self.encoder, lesson.texts), lesson)
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
            queries, texts = vectors(self.encoder, asked.queries), vectors(self.encoder, asked.texts)
            held = self.objectives.mean(queries, texts, asked)
            cosine = np.sum(queries[asked.query] * texts[asked.text], axis=1)
            ndcg = mean_ndcg(cosine, asked.relevant, asked.query)
            order = concordance(cosine, asked.relevant, asked.query)
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
        self.encoder.eval()

    def keep(self, path: Path) -> None:
        """Write everything that `restore` needs, whole or not at all."""
        state = {
            "learning": {name: part.detach() for name, part in self._learning.items()},
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "pairs": self.pairs,
            "spent": self.spent,
            "line": [self.objectives.slope, self.objectives.offset],
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
        self.objectives = self.objectives.along(*state["line"])
        self.checks = [Check(**dict(zip(Check.__slots__, told, strict=True))) for told in state["checks"]]

    def _load(self, parts: dict[str, torch.Tensor]) -> None:
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
