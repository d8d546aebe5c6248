"""What a network is fitted with when nobody searched: rules by the size of the log and the budget."""

import numpy as np

from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig

LONG = 40.0
"""Events of the mean history from which on a log counts as one of long histories."""
PASSES = 3e4
"""Events that a CPU second trains, about, at the widths below."""
ENOUGH = 10.0
"""Passes over short histories after which a network learns them by heart and ranks worse."""
ENOUGH_LONG = 25.0
"""Passes over long ones, at that speed, after which it hardly gains any more."""
LARGE, LEAST, MOST, A_TENTH = 1_000_000, 0.1, 0.5, 0.2
"""Of long histories: events from which on the least dropout is best, both bounds, and how much more of
it a tenth of the events takes."""
READY_S, READY_ITEM_S = 2.0, 1.5e-4
"""CPU seconds of a fit that train nothing, and of each item of the catalog: to begin, and to be judged."""
DEEP = 4.0
"""Passes from which on a network may be wide."""


def mean_history(events: Interactions) -> float:
    """Events of the mean user."""
    return len(events) / max(len(np.unique(events.user)), 1)


def is_long(events: Interactions) -> bool:
    """Whether a log counts as one of long histories."""
    return mean_history(events) >= LONG


def enough_seconds(events: Interactions, items: int) -> float:
    """CPU seconds after which a network of this log hardly gains any more."""
    training = max((ENOUGH_LONG if is_long(events) else ENOUGH) * len(events) / PASSES, 1.0)
    return training + READY_S + READY_ITEM_S * items


def network_config(events: Interactions, items: int, cpu_seconds: float, *, seed: int = 0) -> NetworkConfig:
    """The settings for a log of some items and a budget of CPU time.

    Short histories are learned by heart within minutes, so they need a strong dropout and
    smoothed labels; so do few long ones. On many of those a budget ends before that, and what
    counts is speed.

    Args:
        cpu_seconds: for the fit, at most; no more than `enough_seconds` are used.
    """
    passes = cpu_seconds * PASSES / max(len(events), 1)
    deep = passes >= DEEP
    cpu_seconds = min(cpu_seconds, enough_seconds(events, items))
    if is_long(events):
        return NetworkConfig(
            width=96 if deep else 64,
            blocks=3 if passes >= 2.0 * DEEP else 2 if deep else 1,
            dropout=_dropout(len(events)) if deep else 0.05,
            learning_rate=4e-3 if deep else 6e-3,
            cpu_seconds=cpu_seconds,
            seed=seed,
        )
    return NetworkConfig(
        width=128 if deep else 64,
        dropout=0.5 if deep else 0.2,
        label_smoothing=0.1,
        cpu_seconds=cpu_seconds,
        seed=seed,
    )


def _dropout(events: int) -> float:
    """For that many events of long histories: the fewer there are, the sooner they are learned by heart."""
    return float(np.clip(LEAST + A_TENTH * np.log10(LARGE / max(events, 1)), LEAST, MOST))
