"""User vectors of many users at once, for validation and for the ensemble."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, told
from raysys.interest.sequences import Sequences, gap_bucket
from raysys.types import Floats, Ints

PLACES = 1 << 15
"""Places of histories that are read at once."""


def user_vectors(
    model: InterestNetwork, events: Interactions, users: Ints, now_ms: Ints, *, ahead: int | None = None
) -> Floats:
    """Vectors (n, D) float32 of users after all their events, as of a moment; zero without a history.

    Queries are events for a model that knows a word of them.

    Args:
        events: those of unknown items, row -1, are passed over.
        users: (n,) codes.
        now_ms: (n,) the moment of asking of each user.
        ahead: whether they look for the next item or for one after it; as the config says if not given.
    """
    sequences = Sequences.of(events.known(), model.vocabulary)
    model.eval()
    with torch.no_grad():
        return read(model, sequences, users, now_ms, model.item_vectors(), ahead=ahead)


def read(
    model: InterestNetwork,
    sequences: Sequences,
    users: Ints,
    now_ms: Ints,
    table: Tensor,
    *,
    ahead: int | None = None,
) -> Floats:
    """As `user_vectors`, of a model in evaluation mode with item vectors `table` (I, D)."""
    codes = sequences.users()
    place = np.searchsorted(codes, users)
    high = sequences.start[np.minimum(place + 1, len(codes))]
    low = sequences.start[np.minimum(place, len(codes))]
    known = np.isin(users, codes)
    low = np.maximum(np.where(known, low, high), high - model.config.history_length)
    found = np.zeros((len(users), model.config.width), np.float32)
    for mine, length in _groups(high - low):
        index = low[mine][:, None] + np.arange(length)
        gap = sequences.gap[index]
        gap[:, -1] = gap_bucket(now_ms[mine] - sequences.time_ms[index[:, -1]])
        rows = sequences.row[index]
        columns = (np.maximum(rows, 0), sequences.kind[index], gap)
        row, kind, gaps = (torch.from_numpy(column).to(table.device) for column in columns)
        history = F.embedding(row, table)
        if model.words is not None and (rows < 0).any():
            history = told(history, rows, sequences.bags.inside(rows), model.words)
        vectors = model.last_vectors(history, kind, gaps, ahead)
        found[mine] = vectors.float().cpu().numpy()
    return found


def _groups(size: Ints) -> Iterator[tuple[Ints, int]]:
    """Places of histories of equal size above 0, and that size."""
    order = np.argsort(size, kind="stable")
    sizes, starts = np.unique(size[order], return_index=True)
    for length, same in zip(sizes.tolist(), np.split(order, starts[1:]), strict=True):
        step = max(PLACES // max(length, 1), 1)
        for begin in range(0, len(same) if length > 0 else 0, step):
            yield same[begin : begin + step], length
