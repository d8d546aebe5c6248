"""What the policy knows when it chooses a profile: surface, channel, query class, state, session."""

import numpy as np

from raysys.state.protocol import State
from raysys.text.keywords import QUERY_CLASSES, QueryClass
from raysys.types import CHANNELS, DAY_MS, SURFACES, Floats, Query

_SUMMARY = ("known", "log_days", "log_history", "idle_weeks", "repeat_share", "log_own_items", "log_step")
CONTEXT: tuple[str, ...] = (
    *(f"surface:{name}" for name in SURFACES),
    *(f"channel:{name or 'unknown'}" for name in CHANNELS),
    *(f"query:{name}" for name in QUERY_CLASSES),
    *_SUMMARY,
)
"""The names of the F context features, in order."""


def context_vector(query: Query, state: State | None, query_class: QueryClass) -> Floats:
    """The context (F,) float32 of one query; an unknown user is all zeros in the summary."""
    one_hot = (
        [query.surface == name for name in SURFACES]
        + [query.channel == name for name in CHANNELS]
        + [query_class == name for name in QUERY_CLASSES]
    )
    return np.array([*one_hot, *_summary(state, query.time_ms)], np.float32)


def _summary(state: State | None, now_ms: int) -> list[float]:
    """Numbers of the order of 1 that say how much is known of this user, and since when."""
    if state is None:
        return [0.0] * len(_SUMMARY)
    bought = sum(state.own_bought)
    repeats = bought - sum(1 for count in state.own_bought if count)
    return [
        1.0,
        float(np.log1p(state.days)) / 4.0,
        float(np.log1p(len(state.history_items))) / 4.0,
        min(max(now_ms - state.last_ms, 0) / (7 * DAY_MS), 8.0) / 4.0,
        repeats / bought if bought else 0.0,
        float(np.log1p(len(state.own_items))) / 6.0,
        float(np.log1p(state.steps)) / 3.0,
    ]
