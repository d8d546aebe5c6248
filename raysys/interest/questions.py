"""What validation asks of a network: everybody's first day after the log, over all items."""

from dataclasses import dataclass

import numpy as np
import torch

from raysys.evaluation.metrics import mean_error, ndcg
from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.sequences import Sequences, gap_buckets
from raysys.types import DAY_MS, Floats, Ints

PEOPLE = 256
"""Histories that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Histories of n users, padded on the right to (n, H), and what they did on the next day."""

    row: Ints
    kind: Ints
    gap: Ints
    length: Ints
    """(n,) events of each history."""
    truth: tuple[Ints, ...]
    """(n,) item rows of the first day, each once."""
    users: Ints
    """(n,) user codes."""

    @classmethod
    def of(cls, events: Interactions, valid: Interactions, config: NetworkConfig) -> "Questions":
        """One question for each user with a history in `events` and a wanted deed in `valid`.

        The moment of asking is that user's first deed of the day.
        """
        targets = [KINDS.index(kind) for kind in config.targets]
        before, after = Sequences.of(events), Sequences.of(valid.where(np.isin(valid.kind, targets)))
        place = {user: number for number, user in enumerate(before.users().tolist())}
        asked = [(n, place[u]) for n, u in enumerate(after.users().tolist()) if u in place]
        shape = (len(asked), config.history_length)
        row, kind, gap = (np.zeros(shape, np.int64) for _ in range(3))
        length, truth = np.zeros(len(asked), np.int64), []
        for number, (mine, old) in enumerate(asked):
            low, high = after.start[mine : mine + 2]
            now_ms = int(after.time_ms[low])
            day = after.time_ms[low:high] // DAY_MS == now_ms // DAY_MS
            truth.append(np.unique(after.row[low:high][day]))
            end = int(before.start[old + 1])
            kept = slice(max(int(before.start[old]), end - config.history_length), end)
            size = length[number] = kept.stop - kept.start
            row[number, :size], kind[number, :size] = before.row[kept], before.kind[kept]
            gap[number, :size] = gap_buckets(before.time_ms[kept], now_ms)
        users = after.users()[[mine for mine, _ in asked]] if asked else np.zeros(0, np.int64)
        return cls(row=row, kind=kind, gap=gap, length=length, truth=tuple(truth), users=users)

    def __len__(self) -> int:
        return len(self.row)

    def scores(self, model: InterestNetwork) -> Floats:
        """(n, I) score of every item for every user."""
        device = model.known.device
        model.eval()
        with torch.no_grad():
            table = model.item_vectors()
            found = [np.zeros((0, len(table)), np.float32)]
            for low in range(0, len(self), PEOPLE):
                part = slice(low, low + PEOPLE)
                columns = (self.row[part], self.kind[part], self.gap[part])
                row, kind, gap = (torch.from_numpy(c).to(device) for c in columns)
                place = np.arange(len(row)) * row.shape[1] + self.length[part] - 1
                users = model.user_vectors(table, row, kind, gap, torch.from_numpy(place).to(device))
                found.append((users @ table.T).float().cpu().numpy())
        return np.concatenate(found)

    def ndcg(self, model: InterestNetwork, length: int = 10) -> float:
        """Mean NDCG; NaN when nothing is asked."""
        return mean_error(self.judge(self.scores(model), length))[0]

    def judge(self, scores: Floats, length: int = 10) -> Floats:
        """NDCG (n,) of the order by `scores` (n, I)."""
        most = min(length, scores.shape[1])
        top = np.argpartition(-scores, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, 1)
        return np.array(
            [ndcg(np.isin(t, true), len(true), length) for t, true in zip(top, self.truth, strict=True)]
        )
