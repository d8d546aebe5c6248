"""What a sentence encoder minimizes while it learns; the losses are those of sentence-transformers.

graded: a line through the cosine says the grade (least squares). ordered: a better pair of the batch has the
larger cosine (CoSENT). contrastive: a query is nearer to its best text than to its worst and to all texts of
the others (InfoNCE, multiple negatives ranking). Noisy grades are for least squares: the others follow their
worst pairs. Where nothing is bad for sure, it is contrast that learns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch

from raysys.relevance.fit import Judgements
from raysys.relevance.lessons import Lesson, lessons, portion
from raysys.types import Floats, Ints

SCALE = 20.0
"""Of cosines, as is usual: one of .05 more is e times as likely."""
ASKED = 1_000
"""Pairs by which the line from cosines to grades is laid."""
LEAST = 0.1
"""Correlation of cosines and grades that is assumed at least."""
APART = 0.2
"""So much less relevant than the query's best text a hard negative is."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """A sum of losses."""

    names: Sequence[str]
    slope: float
    """From a cosine to relevance."""
    offset: float
    encoder: Any

    @classmethod
    def of(
        cls,
        encoder: Any,
        judged: Judgements,
        names: Sequence[str],
        vectors: Callable[[Any, Sequence[str]], Floats],
    ) -> Self:
        """For an encoder that has learned nothing of the judgements yet.

        The line from cosines to relevance is that of least squares, so that learning neither moves nor
        shrinks the cosines as a whole, but changes who is nearer than whom.
        """
        rows = np.random.default_rng(0).permutation(len(judged.query))[:ASKED]
        some = portion(judged, rows)
        queries, texts = vectors(encoder, some.queries), vectors(encoder, some.texts)
        cosine, relevant = np.sum(queries[some.query] * texts[some.text], axis=1), some.relevant
        spread = max(float(cosine.std()), 1e-3), float(relevant.std())
        alike = float(np.mean((cosine - cosine.mean()) * (relevant - relevant.mean())))
        slope = max(alike / max(spread[0] * spread[1], 1e-9), LEAST) * spread[1] / spread[0]
        return cls(tuple(names), slope, float(relevant.mean() - slope * cosine.mean()), encoder)

    def along(self, slope: float, offset: float) -> Self:
        """The same with another line, such as that of a run that goes on."""
        return replace(self, slope=slope, offset=offset)

    def __call__(self, queries: torch.Tensor, texts: torch.Tensor, lesson: Lesson) -> torch.Tensor:
        """The loss of a lesson, from vectors (Q, D) and (T, D) of its queries and texts."""
        from sentence_transformers.sentence_transformer import losses

        pairs = [queries[lesson.query], texts[lesson.text]]
        relevant = torch.as_tensor(lesson.relevant, dtype=torch.float32, device=queries.device)
        total = torch.zeros((), device=queries.device)
        if "graded" in self.names:
            each = losses.CosineSimilarityLoss(self.encoder, torch.nn.MSELoss(reduction="none"))
            wanted = (relevant - self.offset) / self.slope
            error = self.slope**2 * each.compute_loss_from_embeddings(pairs, wanted)
            total = total + (error * torch.as_tensor(lesson.weight, device=error.device)).mean()
        if "ordered" in self.names:
            loss = losses.CoSENTLoss(self.encoder, SCALE)
            total = total + loss.compute_loss_from_embeddings(pairs, relevant)
        if "contrastive" in self.names:
            asked, best, worst = triplets(lesson)
            if len(asked) > 1:
                loss = losses.MultipleNegativesRankingLoss(self.encoder, SCALE)
                sides = [queries[asked], texts[lesson.text[best]], texts[lesson.text[worst]]]
                total = total + loss.compute_loss_from_embeddings(sides, None)
        return total

    def mean(self, queries: Floats, texts: Floats, judged: Judgements) -> float:
        """The loss of vectors (Q, D) and (T, D) of all that was judged, in lessons of a hundred pairs."""
        query_of = {text: place for place, text in enumerate(judged.queries)}
        text_of = {text: place for place, text in enumerate(judged.texts)}
        found, weights = [], []
        for lesson in lessons(judged, 100, max(len(judged.query) // 100, 1), 0):
            sides = (
                torch.from_numpy(queries[[query_of[text] for text in lesson.queries]]),
                torch.from_numpy(texts[[text_of[text] for text in lesson.texts]]),
            )
            found.append(float(self(*sides, lesson)))
            weights.append(len(lesson.query))
        return float(np.average(found, weights=weights))


def triplets(lesson: Lesson) -> tuple[Ints, Ints, Ints]:
    """Queries (n,) that have a good text, with the rows (n,) of the best and of a hard negative each.

    A query without a clearly worse text takes the best one of the next query, which its batch holds
    against it anyway. Of texts that several queries of a lesson want, one query keeps its place: the others
    would count them as wrong.
    """
    asked, best, worst, taken = [], [], [], set()
    for number in range(len(lesson.queries)):
        rows = np.flatnonzero(lesson.query == number)
        top, low = rows[np.argmax(lesson.relevant[rows])], rows[np.argmin(lesson.relevant[rows])]
        if lesson.relevant[top] <= 0.0 or lesson.text[top] in taken:
            continue
        taken.add(lesson.text[top])
        asked.append(number)
        best.append(top)
        worst.append(low if lesson.relevant[top] - lesson.relevant[low] >= APART else -1)
    good, bad = np.array(best, np.int64), np.array(worst, np.int64)
    return np.array(asked, np.int64), good, np.where(bad < 0, np.roll(good, -1), bad)
