"""Why an item stands where it stands: terms that add up to its score, in a merchandiser's words."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from raysys.signals import SIGNALS
from raysys.types import Floats, Reason

SMALLEST = 1e-9
"""A term below this says nothing and is left out; all of them stay far within 1e-6."""

_Words = Callable[[float], str]


def _percent(prob: float) -> str:
    return f"{100 * prob:.0f} %" if prob >= 0.1 else f"{100 * prob:.2g} %"


def _interest(log_odds: float) -> str:
    prob = 1 / (1 + math.exp(-log_odds))
    return f"this person's chance to take it is estimated at {_percent(prob)}"


WORDS: dict[str, _Words] = {
    "engine": lambda v: f"the host placed it at position {max(0, round(2 ** (1 / v) - 2)) + 1}",
    "relevance": lambda v: f"fits the query ({v:.2f} of 1)",
    "interest": _interest,
    "repeat": lambda v: f"due to be bought again ({v:.2f})",
    "price_fit": lambda v: f"its price is {math.exp(-v):.1f} times away from what this person usually takes",
    "margin": lambda v: f"the shop keeps {_percent(v)} of its price",
    "interest_margin": lambda v: f"expected margin of a showing is {math.expm1(v):.3g}",
    "freshness": lambda v: f"new in the catalog ({v:.2f} of 1)",
    "popularity": lambda v: f"taken about {math.expm1(v):.3g} times lately, by everybody",
    "uncertainty": lambda v: f"little is known of this person and item ({v:.2f} of 1)",
    "ad_value": lambda v: f"an advertiser's showing worth {math.expm1(v):.3g}",
}


def reasons_of(
    raw: Floats,
    standard: Floats,
    weights: Floats,
    ruled: Sequence[Reason],
    notes: Mapping[str, str] | None = None,
) -> tuple[Reason, ...]:
    """The terms of one candidate's utility, the largest first; what rules did without a term comes last.

    Args:
        raw: (S,) its signals before standardizing, for the words.
        standard: (S,) its signals as they were weighed.
        weights: (S,)
        ruled: what rules did to it, see `Ruling.reasons`.
        notes: what an expert adds to the words of its signal.
    """
    parts = standard.astype(np.float64) * weights
    terms = [
        Reason(name, float(part), _text(name, float(value), float(part), (notes or {}).get(name, "")))
        for name, value, part in zip(SIGNALS, raw, parts, strict=True)
        if abs(part) > SMALLEST
    ]
    return tuple(sorted([*terms, *ruled], key=lambda reason: -abs(reason.value)))


def _text(name: str, raw: float, value: float, note: str) -> str:
    direction = "in its favor" if value > 0 else "against it"
    try:
        return f"{WORDS[name](raw)}{note and f'; {note}'}: {direction}"
    except (OverflowError, ZeroDivisionError, ValueError):
        return f"{name}: {direction}"


def total(reasons: Sequence[Reason]) -> float:
    """The score that `reasons` explain."""
    return math.fsum(reason.value for reason in reasons)
