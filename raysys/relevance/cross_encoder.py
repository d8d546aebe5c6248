"""A network that reads query and text together learns from judgements (fine-tuning a cross-encoder).

The lesson is the grade (least squares). What is wrong alike for all texts of a query changes no order, so it
counts for less than what is wrong between them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from raysys.relevance.fit import Judgements
from raysys.relevance.learner import Check, Schedule, learn
from raysys.relevance.lessons import Lesson, portion
from raysys.text.torch_pairs import Reader, learning
from raysys.types import Floats

ALIKE = 0.3
"""Weight of the squared error itself, beside that within each query."""
ASKED = 1_000
"""Pairs by which the line from the cosine to relevance is laid before anything is learned."""

LEAST = 0.1
"""Slope of it at least: cosines that say nothing yet are to learn to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossConfig(Schedule):
    """How the cross-encoder learns."""

    learning_rate: float = 1.5e-4
    pairs: int = 64
    held_out: float = 0.0
    """None: the share of the queries that judges it is kept from it anyway, see `tuning.cross_encoder`."""
    layers: int = 4


def fine_tune_pairs(
    reader: Reader, judged: Judgements, config: CrossConfig, folder: Path | None = None
) -> Iterator[Check]:
    """Fit the network of a reader in place; see `raysys.relevance.learner.learn`."""
    yield from learn(_Pairs(reader, config), judged, config, folder)
    reader.network.eval()


class _Pairs:
    """Relevance of pairs that are read as one."""

    def __init__(self, reader: Reader, config: CrossConfig) -> None:
        self.reader = reader
        self.learning = learning(reader.network, config.layers)

    def begin(self, told: Judgements) -> None:
        """Lay the line from cosines to relevance by least squares."""
        network, rows = self.reader.network, np.random.default_rng(0).permutation(len(told.query))[:ASKED]
        some = portion(told, rows)
        slope, offset = float(network.slope.detach()), float(network.offset.detach())
        cosine = (self._said(some) - offset) / slope
        away = cosine - cosine.mean()
        slope = max(float(np.mean(away * some.relevant) / max(float(np.mean(away**2)), 1e-6)), LEAST)
        with torch.no_grad():
            network.slope.fill_(slope)
            network.offset.fill_(float(some.relevant.mean()) - slope * float(cosine.mean()))

    def loss(self, lesson: Lesson, rng: np.random.Generator) -> torch.Tensor:
        self.reader.network.train()
        said = self.reader(lesson.queries, lesson.texts, lesson.query, lesson.text)
        return graded(said, lesson)

    def scores(self, asked: Judgements) -> tuple[Floats, float]:
        whole = portion(asked, np.arange(len(asked.query)))
        said = self._said(whole)
        return said, float(graded(torch.from_numpy(said).float(), whole))

    def constants(self) -> list[float]:
        return []  # the line is among what learns

    def restore(self, constants: list[float]) -> None:
        pass

    def _said(self, lesson: Lesson) -> Floats:
        return self.reader.scores(lesson.queries, lesson.texts, lesson.query, lesson.text)


def graded(said: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Mean squared error of what is said (N,) within queries, and some of it as it is."""
    weight = torch.as_tensor(lesson.weight, dtype=torch.float32, device=said.device)
    error = said - torch.as_tensor(lesson.relevant, dtype=torch.float32, device=said.device)
    query = torch.from_numpy(lesson.query).to(said.device)
    total = torch.zeros(len(lesson.queries), device=said.device)
    mean = total.index_add(0, query, error * weight) / total.index_add(0, query, weight).clamp(min=1e-9)
    return (weight * ((error - mean[query]) ** 2 + ALIKE * error**2)).mean()
