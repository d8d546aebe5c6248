"""What if the weights or the dial were others: how logged rankings would have changed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from raysys.bundle import Bundle
from raysys.errors import ConfigError, DataError
from raysys.evaluation.reward_model import attention
from raysys.log import RankingRecord
from raysys.policy.scorer import Policy
from raysys.replay import Replayer, ranked
from raysys.signals import SIGNALS
from raysys.types import Floats, Ints

TOP = 10
"""Positions that are compared."""
FIELDS = ("category", "brand")


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """How N logged rankings would change in their first 10 positions, drawn with the same noise."""

    rankings: int
    changed: int
    """Rankings of which any position is another."""
    overlap: float
    """Mean share of the items on top that stay there, in whatever order."""
    utility: tuple[float, float]
    """Mean utility of what is looked at, before and after, both as the bundle values it."""
    moved: tuple[tuple[str, float], ...]
    """Item and the change of its attention in all rankings together, largest first."""
    exposure: Mapping[str, tuple[tuple[str, float, float], ...]]
    """For each field: value, share of attention before and after, largest change first."""
    skipped: Counter[str]


def altered(bundle: Bundle, weights: Mapping[str, float]) -> Bundle:
    """The bundle with some signals' weights replaced in every profile."""
    if unknown := sorted(set(weights) - set(SIGNALS)):
        raise ConfigError(f"there is no signal {unknown[0]!r}; the signals are {', '.join(SIGNALS)}")
    policy = bundle.policy
    if not isinstance(policy, Policy):
        raise ConfigError(f"the policy of bundle {bundle.id} is a {type(policy).__name__}, expected a Policy")
    changed = np.array(policy.weights)
    for name, value in weights.items():
        changed[:, SIGNALS.index(name)] = value
    return replace(bundle, policy=replace(policy, weights=changed))


def what_if(records: Iterable[RankingRecord], before: Replayer, after: Replayer) -> WhatIf:
    """Draw every record of `before`'s bundle both ways.

    Raises:
        DataError: no record is of this bundle.
    """
    skipped: Counter[str] = Counter()
    changed, overlaps, utilities = 0, [], []
    gains: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for record in records:
        if not ranked(record) or record.bundle_id != before.bundle.id or not len(record.order):
            skipped["of an auction, another bundle or nothing"] += 1
            continue
        old, new = before.rank(record), after.rank(record)
        tops = old.draw.order[:TOP], new.draw.order[:TOP]
        changed += not np.array_equal(*tops)
        overlaps.append(len(np.intersect1d(*tops)) / len(tops[0]))
        utilities.append([_looked_at(old.utility, top) for top in tops])
        for side, top in enumerate(tops):
            for candidate, share in zip(top.tolist(), attention(len(top)).tolist(), strict=True):
                gains[record.item_ids[candidate]][side] += share
    if not overlaps:
        raise DataError(
            f"none of {skipped.total()} records is a ranking of bundle {before.bundle.id};"
            " name the bundle that served them"
        )
    moves = sorted(((item, float(new - old)) for item, (old, new) in gains.items()), key=lambda m: -abs(m[1]))
    low, high = np.mean(utilities, axis=0)
    return WhatIf(
        rankings=len(overlaps),
        changed=changed,
        overlap=float(np.mean(overlaps)),
        utility=(float(low), float(high)),
        moved=tuple(move for move in moves if abs(move[1]) > 1e-9),
        exposure={field: _exposure(before.bundle, field, gains) for field in FIELDS},
        skipped=skipped,
    )


def _looked_at(utility: Floats, top: Ints) -> float:
    """Utility of the candidates `top`, averaged by how much their positions are looked at."""
    return float(np.average(utility[top], weights=attention(len(top))))


def _exposure(
    bundle: Bundle, field: str, gains: Mapping[str, Floats]
) -> tuple[tuple[str, float, float], ...]:
    """Shares of attention by the value of a field; what the catalog does not know is `unknown`."""
    items = list(gains)
    values = bundle.catalog.field(bundle.catalog.rows(items), field)
    sums: dict[str, Floats] = defaultdict(lambda: np.zeros(2))
    for item, value in zip(items, values, strict=True):
        sums[str(value or "unknown")] += gains[item]
    total = np.sum(list(sums.values()), axis=0)
    shares = [(value, *(sides / total).tolist()) for value, sides in sums.items()]
    return tuple(sorted(shares, key=lambda row: -abs(row[2] - row[1])))
