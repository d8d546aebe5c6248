"""Value and order: weights from policy and dial, rules, the draw, and the reasons for its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from raysys.catalog import Catalog
from raysys.explain import reasons_of
from raysys.policy.draw import Draw, draw_ranking, query_noise
from raysys.rules import Ruling, apply_rules
from raysys.signals import ENGINE, SIGNALS
from raysys.surfaces.experts import Chosen
from raysys.surfaces.pool import Pool
from raysys.surfaces.settings import Settings, rules_of
from raysys.types import Floats, Pin, Query, RankedItem

NO_CONTEXT = np.zeros(0, np.float32)
"""Where the policy was not asked."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """How signals become utility for one query."""

    weights: Floats
    """(S,)"""
    temperature: float
    """Of the draw; a ranking is explored if it is at least COLDEST."""
    pins_only: bool = False
    """At dial 0 neither boosts nor caps change the engine's order."""
    context: Floats = field(default_factory=lambda: NO_CONTEXT)
    """(F,) what the policy chose by; (0,) where it was not asked."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """Profile 0, chosen without asking the policy."""

    weights: Floats
    profile: int = 0
    prob: float = 1.0


def engine_only(size: int) -> Valuation:
    """The engine's order, sorted and not drawn; `size` is S."""
    weights = np.zeros(size)
    weights[ENGINE] = 1.0
    return Valuation(weights, 0.0, pins_only=True)


def valuation(query: Query, choice: Chosen, temperature: float, settings: Settings) -> Valuation:
    """Weights (S,) and temperature: the policy's, or with the dial a blend of engine and person."""
    weights = np.asarray(choice.weights, dtype=np.float64)
    if query.weight is None:
        return Valuation(weights, temperature)
    if query.weight <= 0.0:
        return engine_only(len(weights))
    dial = min(query.weight, 1.0)
    personal = weights.copy()
    personal[ENGINE] = 0.0
    spread = settings.spread[choice.profile] if settings.spread else float(np.linalg.norm(personal))
    share = dial / spread if spread > 0 else 0.0
    blend = personal * share
    blend[ENGINE] = 1.0 - dial
    return Valuation(blend, temperature * share)


def weighed(standard: Floats, weights: Floats) -> Floats:
    """Utility (C,) of signals (C, S) under weights (S,).

    A sum for each row by itself: a matrix product may round a row by how many others there are.
    """
    return np.asarray((standard.astype(np.float64) * weights).sum(axis=1))


def spreads(weights: Floats, standard: Floats) -> tuple[float, ...]:
    """`Settings.spread` for profiles (A, S), from signals (n, S) of rankings that were held out."""
    personal = np.array(weights, dtype=np.float64)
    personal[:, ENGINE] = 0.0
    spread = [float(np.std(weighed(standard, profile))) for profile in personal]
    return tuple(value if value > 1e-9 else 1.0 for value in spread)


def pointwise(weights: Floats) -> Floats:
    """Weights (S,) without the engine's term; relevance alone where nothing else is left."""
    alone = np.asarray(weights, dtype=np.float64).copy()
    alone[ENGINE] = 0.0
    if not alone.any():
        alone[SIGNALS.index("relevance")] = 1.0
    return alone


@dataclass(frozen=True, slots=True)
class Ordered:
    """A drawn ranking of a pool, from its first position on."""

    draw: Draw
    utility: Floats
    """(C,)"""
    ruling: Ruling


def order(
    query: Query,
    pool: Pool,
    standard: Floats,
    value: Valuation,
    settings: Settings,
    seed: int,
    catalog: Catalog,
) -> Ordered:
    """Draw positions 0 to offset + length of the ranking of `pool`, from signals (C, S) and rules."""
    _, rules = rules_of(settings, query)
    if value.pins_only:
        rules = tuple(rule for rule in rules if isinstance(rule, Pin))
    ruling = apply_rules(rules, pool.fields, pool.candidates.item_ids)
    utility = weighed(standard, value.weights) + ruling.utility(len(pool.rows))
    hashes = catalog.hashes_of(pool.candidates.item_ids, pool.rows)
    draw = draw_ranking(
        utility,
        query.offset + query.length,
        temperature=value.temperature,
        noise=lambda epoch: query_noise(seed, query.id, hashes, epoch),
        ties=pool.ties,
        pins=ruling.pins,
        caps=ruling.caps,
    )
    return Ordered(draw, utility, ruling)


def page(
    query: Query,
    pool: Pool,
    ordered: Ordered,
    raw: Floats,
    standard: Floats,
    weights: Floats,
    notes: Mapping[int, Mapping[str, str]] | None = None,
) -> tuple[RankedItem, ...]:
    """The slice of a ranking that was asked for, with reasons if they were.

    Args:
        notes: what experts add to the words of their signals, by candidate.
    """
    draw, items = ordered.draw, []
    for position in range(query.offset, len(draw.order)):
        candidate = int(draw.order[position])
        ruled = ordered.ruling.reasons(candidate, draw.held.get(candidate, ())) if query.explain else []
        note = (notes or {}).get(candidate)
        reasons = (
            reasons_of(raw[candidate], standard[candidate], weights, ruled, note) if query.explain else ()
        )
        items.append(
            RankedItem(
                item_id=pool.candidates.item_ids[candidate],
                score=float(ordered.utility[candidate]),
                propensity=float(draw.propensities[position]),
                forced=bool(draw.forced[position]),
                reasons=reasons,
            )
        )
    return tuple(items)
