"""Value and order: weights from policy and dial, rules, the draw, and the reasons for its outcome."""

from dataclasses import dataclass

import numpy as np

from raysys.explain import reasons_of
from raysys.policy.draw import Draw, draw_ranking, query_noise
from raysys.rules import Fields, Ruling, apply_rules, chosen
from raysys.signals import ENGINE, SIGNALS
from raysys.surfaces.experts import Chosen
from raysys.surfaces.predict import Experts, engine_positions
from raysys.surfaces.settings import Settings, rules_of
from raysys.types import Candidates, Floats, Ints, Pin, Query, RankedItem


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates that may be shown, with what is known of them."""

    candidates: Candidates
    rows: Ints
    """(C,) -1 if unknown."""
    fields: Fields
    positions: Ints | None
    """(C,) the engine's positions; None if the engine has no say."""
    places: Ints
    """(C,) where each stood among the candidates that were sent."""

    @property
    def ties(self) -> Ints:
        return np.arange(len(self.rows)) if self.positions is None else self.positions


@dataclass(frozen=True, slots=True)
class Valuation:
    """How signals become utility for one query."""

    weights: Floats
    """(S,)"""
    temperature: float
    pins_only: bool = False
    """At dial 0 neither boosts nor caps change the engine's order."""


def pool_of(
    query: Query,
    candidates: Candidates,
    experts: Experts,
    settings: Settings,
    hidden: frozenset[str],
    engine: bool,
) -> Pool:
    """The candidates that filters let through; `engine` says whether their order has a meaning."""
    rows = experts.catalog.rows(candidates.item_ids)
    fields = Fields(experts.catalog, rows, candidates)
    filters, _ = rules_of(settings, query)
    kept = fields.matches(filters)
    surface = settings.of(query.surface)
    if surface.drop_unavailable:
        kept &= fields.available()
    if surface.drop_hidden and hidden:
        kept &= ~np.isin(rows, experts.catalog.rows(sorted(hidden))) | (rows < 0)
    positions = engine_positions(candidates) if engine else None
    places = np.flatnonzero(kept)
    if len(places) < len(kept):
        candidates, rows = chosen(candidates, places), rows[places]
        positions = None if positions is None else positions[places]
        fields = Fields(experts.catalog, rows, candidates)
    return Pool(candidates, rows, fields, positions, places)


def distinct(candidates: Candidates) -> Candidates:
    """Every item once; a repeated one keeps its first place."""
    first = {item: place for place, item in reversed(list(enumerate(candidates.item_ids)))}
    if len(first) == len(candidates):
        return candidates
    return chosen(candidates, np.array(sorted(first.values()), np.int64))


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
    experts: Experts,
) -> Ordered:
    """Draw positions 0 to offset + length of the ranking of `pool`, from signals (C, S) and rules."""
    _, rules = rules_of(settings, query)
    if value.pins_only:
        rules = tuple(rule for rule in rules if isinstance(rule, Pin))
    ruling = apply_rules(rules, pool.fields, pool.candidates.item_ids)
    utility = standard @ value.weights + ruling.utility(len(pool.rows))
    hashes = experts.catalog.hashes_of(pool.candidates.item_ids, pool.rows)
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
    query: Query, pool: Pool, ordered: Ordered, raw: Floats, standard: Floats, weights: Floats
) -> tuple[RankedItem, ...]:
    """The slice of a ranking that was asked for, with reasons if they were."""
    draw, items = ordered.draw, []
    for position in range(query.offset, len(draw.order)):
        candidate = int(draw.order[position])
        ruled = ordered.ruling.reasons(candidate, draw.held.get(candidate, ())) if query.explain else []
        reasons = reasons_of(raw[candidate], standard[candidate], weights, ruled) if query.explain else ()
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
