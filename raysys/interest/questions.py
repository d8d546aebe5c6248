"""What validation asks of a network: everybody's first day after the log, over all items."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from raysys.evaluation.metrics import mean_error, ndcg
from raysys.events import KINDS
from raysys.interest.bulk import read
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.queries import Vocabulary
from raysys.interest.sequences import Sequences
from raysys.types import DAY_MS, Floats, Ints

PEOPLE, SCORES = 512, 16_000_000
"""Users, and scores, that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Users with a history, and what they did on the first day after it."""

    sequences: Sequences
    """The histories."""
    users: Ints
    """(n,) user codes, rising."""
    now_ms: Ints
    """(n,) the moment of asking: the user's first deed of the day."""
    truth: tuple[Ints, ...]
    """(n,) item rows of the first day, each once."""
    keep_seen: bool
    """Whether items of the history count as answers."""

    @classmethod
    def of(
        cls,
        events: Interactions,
        valid: Interactions,
        config: NetworkConfig,
        *,
        keep_seen: bool = True,
        most: int | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> "Questions":
        """One question for each user with a history in `events` and a wanted deed in `valid`.

        Args:
            keep_seen: whether an item of the user's history may be an answer.
            most: asks only so many users, drawn at random but always the same ones.
            vocabulary: of the model that will be asked.
        """
        targets = [KINDS.index(kind) for kind in config.targets]
        before, after = (
            Sequences.of(events, vocabulary),
            Sequences.of(valid.where(np.isin(valid.kind, targets))),
        )
        asked = np.flatnonzero(np.isin(after.users(), before.users()))
        if most is not None and len(asked) > most:
            asked = np.sort(np.random.default_rng(0).choice(asked, most, replace=False))
        now_ms, truth = np.zeros(len(asked), np.int64), []
        for number, (low, high) in enumerate(zip(after.start[asked], after.start[asked + 1], strict=True)):
            now_ms[number] = after.time_ms[low]
            day = after.time_ms[low:high] // DAY_MS == now_ms[number] // DAY_MS
            truth.append(np.unique(after.row[low:high][day]))
        users = after.users()[asked]
        return cls(sequences=before, users=users, now_ms=now_ms, truth=tuple(truth), keep_seen=keep_seen)

    def __len__(self) -> int:
        return len(self.users)

    def scores(self, model: InterestNetwork) -> Floats:
        """(n, I) score of every item for every user; minus infinity for what is no answer."""
        return np.concatenate([np.zeros((0, len(model.known)), np.float32), *self._parts(model)])

    def ndcg(self, model: InterestNetwork, length: int = 10) -> tuple[float, float]:
        """Mean NDCG and its standard error over users; NaN when fewer than two are asked."""
        return mean_error(self.gains(model, length))

    def gains(self, model: InterestNetwork, length: int = 10) -> Floats:
        """NDCG (n,) of each user's order by the model."""
        found: list[Floats] = [np.zeros(0)]
        low = 0
        for scores in self._parts(model):
            found.append(judge(scores, self.truth[low : low + len(scores)], length))
            low += len(scores)
        return np.concatenate(found)

    def _parts(self, model: InterestNetwork) -> Iterator[Floats]:
        """The scores, some users at a time."""
        model.eval()
        with torch.no_grad():
            table = model.item_vectors()
            users = read(model, self.sequences, self.users, self.now_ms, table)
            people = max(min(PEOPLE, SCORES // max(len(table), 1)), 1)
            for low in range(0, len(self), people):
                part = torch.from_numpy(users[low : low + people]).to(table.device)
                scores = (part @ table.T).float().cpu().numpy()
                if not self.keep_seen:
                    self._hide_seen(scores, low)
                yield scores

    def _hide_seen(self, scores: Floats, low: int) -> None:
        place = np.searchsorted(self.sequences.users(), self.users[low : low + len(scores)])
        for number, (first, end) in enumerate(
            zip(self.sequences.start[place].tolist(), self.sequences.start[place + 1].tolist(), strict=True)
        ):
            seen = self.sequences.row[first:end]
            scores[number, seen[seen >= 0]] = -np.inf


def judge(scores: Floats, truth: tuple[Ints, ...], length: int = 10) -> Floats:
    """NDCG (n,) of the order by `scores` (n, I) against the right answers (n,)."""
    most = min(length, scores.shape[1])
    top = np.argpartition(-scores, most - 1, axis=1)[:, :most]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, 1)
    return np.array([ndcg(np.isin(t, true), len(true), length) for t, true in zip(top, truth, strict=True)])
