"""A sentence encoder learns what a shop's queries mean, from judgements or clicks (fine-tuning a bi-encoder).

Only the upper layers learn, in bfloat16 where the processor has it: a log of some thousand pairs moves them
enough, and the words that it never says stay where they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from raysys.errors import ConfigError
from raysys.relevance.fit import Judgements
from raysys.relevance.learner import Check, Schedule, learn
from raysys.relevance.lessons import Lesson
from raysys.relevance.objectives import Objectives
from raysys.text.augment import Augmenter
from raysys.text.torch_encoder import embedded, learning_parts, vectors
from raysys.types import Floats

Objective: TypeAlias = Literal["graded", "ordered", "contrastive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig(Schedule):
    """How the encoder learns."""

    objectives: tuple[Objective, ...] = ("graded",)
    """What a step minimizes, summed; see `raysys.relevance.objectives`."""
    layers: int = 3
    learning_rate: float = 3e-5
    augmenter: Augmenter = field(default_factory=Augmenter)
    """How queries are said otherwise while learning."""

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        if not self.objectives or set(self.objectives) - {"graded", "ordered", "contrastive"}:
            raise ConfigError(
                f"objectives are {self.objectives}, expected graded, ordered, contrastive or several of them"
            )


def fine_tune(
    encoder: Any, judged: Judgements, config: EncoderConfig, folder: Path | None = None
) -> Iterator[Check]:
    """Fit a SentenceTransformer in place; see `raysys.relevance.learner.learn`."""
    yield from learn(_BiEncoder(encoder, config), judged, config, folder)
    encoder.eval()


class _BiEncoder:
    """The cosine of the vectors of a query and of a text."""

    def __init__(self, encoder: Any, config: EncoderConfig) -> None:
        self.encoder, self.config = encoder, config
        self.learning = learning_parts(encoder, config.layers)
        self.objectives = Objectives(config.objectives, 1.0, 0.0, encoder)

    def begin(self, told: Judgements) -> None:
        self.objectives = Objectives.of(self.encoder, told, self.config.objectives, vectors)

    def loss(self, lesson: Lesson, rng: np.random.Generator) -> torch.Tensor:
        self.encoder.train()
        queries = [self.config.augmenter(text, rng) for text in lesson.queries]
        return self.objectives(embedded(self.encoder, queries), embedded(self.encoder, lesson.texts), lesson)

    def scores(self, asked: Judgements) -> tuple[Floats, float]:
        queries, texts = vectors(self.encoder, asked.queries), vectors(self.encoder, asked.texts)
        cosine = np.asarray(np.sum(queries[asked.query] * texts[asked.text], axis=1))
        return cosine, self.objectives.mean(queries, texts, asked)

    def constants(self) -> list[float]:
        return [self.objectives.slope, self.objectives.offset]

    def restore(self, constants: list[float]) -> None:
        self.objectives = self.objectives.along(*constants)
