"""Logs with queries between the interactions, for tests."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from raysys.events import KINDS, Event, Impression, Interaction
from raysys.interest.interactions import Interactions
from raysys.interest.queries import Queries

Line = tuple[int, int, int | str, int]
"""User, time, the row of an item or the text of a query, and a kind."""


def log_of(lines: Sequence[Line]) -> Interactions:
    """The log of lines in order of time; what comes first at one time, came first."""
    done = np.array([line for line in lines if not isinstance(line[2], str)] or np.zeros((0, 4)), np.int64)
    user, time_ms, row, kind = done.reshape(-1, 4).T
    counts: Counter[int] = Counter()
    asked: list[tuple[int, int, int, str]] = []
    for who, when, what, _ in lines:
        if isinstance(what, str):
            asked.append((who, when, counts[who], what))
        else:
            counts[who] += 1
    users, times, after = np.array([one[:3] for one in asked] or np.zeros((0, 3)), np.int64).reshape(-1, 3).T
    queries = Queries.of(user=users, time_ms=times, after=after, texts=[one[3] for one in asked])
    return Interactions(user=user, row=row, kind=kind, time_ms=time_ms, queries=queries)


def event_of(number: int, line: Line) -> Event:
    """One line as an event of user `u0`, `u1` and so on."""
    user, time_ms, what, kind = line
    user_id = f"u{user}"
    if isinstance(what, str):
        return Impression(
            query_id=f"q{number}", surface="search", item_ids=[], time_ms=time_ms, query=what, user_id=user_id
        )
    return Interaction(kind=KINDS[kind], item_id=f"i{what}", time_ms=time_ms, user_id=user_id)
