"""What people decided: filters, boosts, pins and caps, and how they reach the draw.

Rules act before or inside the draw, never after it: a filter removes a candidate, a boost
is a term of the utility, a pin or a cap restricts what is allowed at a position.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.policy.draw import Cap
from raysys.types import Bools, Boost, Candidates, Diversify, Filter, Floats, Ints, ItemId, Pin, Reason, Rule

OPS = ("eq", "in", "lt", "gt", "exists")
STRONGEST = 1e6
"""More than this no boost can add: it would drown every other term's digits."""
FURTHEST = 1_000_000
"""The last position that a pin or a cap may speak of."""
PATHS = ("category",)
"""Fields where a value also means everything below it: `grocery` matches `grocery/dairy`."""


class Fields:
    """Attributes of candidates, column by column; what came with a candidate wins over the catalog."""

    def __init__(self, catalog: Catalog, rows: Ints, candidates: Candidates) -> None:
        self._catalog, self._rows, self._candidates = catalog, rows, candidates
        self._known: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def values(self, name: str) -> list[Any]:
        """Value (C,) of a field for each candidate, None where unknown."""
        if name not in self._known:
            if name == "item_id":
                column: list[Any] = list(self._candidates.item_ids)
            else:
                column = self._catalog.field(self._rows, name)
            for place, attributes in self._candidates.attributes.items():
                if name in attributes:
                    column[place] = attributes[name]
            self._known[name] = column
        return self._known[name]

    def matches(self, filters: Sequence[Filter]) -> Bools:
        """Whether each candidate (C,) meets all `filters`; the unknown meets only `exists: false`."""
        kept = np.ones(len(self), np.bool_)
        for condition in filters:
            test = _test(condition)
            kept &= np.fromiter((test(v) for v in self.values(condition.field)), np.bool_, len(self))
        return kept

    def available(self) -> Bools:
        """Which candidates (C,) are not known to be sold out."""
        open_ = self._catalog.take("available", self._rows, 1.0) > 0
        for place, attributes in self._candidates.attributes.items():
            if "available" in attributes:
                open_[place] = attributes["available"] is not False
        return np.asarray(open_)

    def groups(self, name: str) -> Ints:
        """Candidates (C,) with equal values share a number; -1 where the value is unknown."""
        numbers: dict[Any, int] = {}
        keys = (repr(v) if isinstance(v, list | dict) else v for v in self.values(name))
        return np.array([-1 if k is None else numbers.setdefault(k, len(numbers)) for k in keys], np.int64)


def _test(condition: Filter) -> Callable[[Any], bool]:
    """The condition as a function of one value."""
    wanted = condition.value
    match condition.op:
        case "exists":
            present = wanted is not False
            return lambda value: (value is not None) == present
        case "eq":
            return _membership(condition.field, [wanted])
        case "in":
            return _membership(condition.field, list(wanted))
        case "lt":
            return lambda value: _comparable(value, wanted) and value < wanted
        case "gt":
            return lambda value: _comparable(value, wanted) and value > wanted


def _membership(name: str, wanted: list[Any]) -> Callable[[Any], bool]:
    """Whether a value, or one of a list of values, is among `wanted`."""
    if name in PATHS:
        below = tuple(f"{str(path).rstrip('/')}/" for path in wanted)
        return lambda value: value is not None and f"{value}/".startswith(below)
    return lambda value: any(v in wanted for v in value) if isinstance(value, list) else value in wanted


def _comparable(value: Any, wanted: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(wanted, int | float)
    return numbers or (isinstance(value, str) and isinstance(wanted, str))


@dataclass(frozen=True, slots=True)
class RuleTerm:
    """What one boost or bury adds to the utility of the candidates it matches."""

    rule: Boost
    matched: Bools
    """(C,)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """Rules applied to the candidates of one query."""

    terms: tuple[RuleTerm, ...]
    pins: Mapping[int, int]
    """Candidate index by position."""
    pinned_by: Mapping[int, Pin]
    """The rule by candidate index."""
    caps: tuple[Cap, ...]
    capped_by: tuple[Diversify, ...]
    """The rule of each cap."""

    def utility(self, size: int) -> Floats:
        """Sum of the terms (C,)."""
        total = np.zeros(size)
        for term in self.terms:
            total += np.where(term.matched, term.rule.by, 0.0)
        return total

    def reasons(self, candidate: int, held: Sequence[int] = ()) -> list[Reason]:
        """What the rules did to one candidate; `held` are the caps that held it back."""
        reasons = [
            Reason(f"rule:{term.rule.id}", term.rule.by, _boost_text(term.rule))
            for term in self.terms
            if term.matched[candidate]
        ]
        if (pin := self.pinned_by.get(candidate)) is not None:
            text = f"pinned to position {pin.position + 1} by the rule {pin.id!r}"
            reasons.append(Reason(f"rule:{pin.id}", 0.0, text))
        for rule in (self.capped_by[cap] for cap in held):
            reasons.append(Reason(f"rule:{rule.id}", 0.0, _cap_text(rule)))
        return reasons


def _boost_text(rule: Boost) -> str:
    verb = "raised" if rule.by > 0 else "lowered"
    return f"{verb} by {abs(rule.by):g} by the rule {rule.id!r}"


def _cap_text(rule: Diversify) -> str:
    window = f"in {rule.within} consecutive positions"
    return f"held back by the rule {rule.id!r}: at most {rule.max} of one {rule.field} {window}"


def chosen(candidates: Candidates, kept: Ints) -> Candidates:
    """The candidates at `kept`, in that order, with what came with them."""
    scores = candidates.engine_scores
    told = candidates.texts or candidates.attributes
    places = list(enumerate(kept.tolist())) if told else []
    return Candidates(
        item_ids=tuple(candidates.item_ids[place] for place in kept.tolist()),
        engine_scores=None if scores is None else scores[kept],
        texts={new: candidates.texts[old] for new, old in places if old in candidates.texts},
        attributes={new: candidates.attributes[old] for new, old in places if old in candidates.attributes},
    )


def apply_rules(rules: Sequence[Rule], fields: Fields, item_ids: Sequence[ItemId]) -> Ruling:
    """What `rules` mean for these candidates.

    A pin of an item that is no candidate does nothing; of two pins of one item the first
    counts, and of two at one position the second takes the next free one.
    """
    boosts = [rule for rule in rules if isinstance(rule, Boost)]
    caps = tuple(rule for rule in rules if isinstance(rule, Diversify))
    pins: dict[int, int] = {}
    pinned_by: dict[int, Pin] = {}
    wanted = [rule for rule in rules if isinstance(rule, Pin)]
    index = {item: place for place, item in enumerate(item_ids)} if wanted else {}
    for pin in wanted:
        candidate = index.get(pin.item_id)
        if candidate is None or candidate in pinned_by:
            continue
        position = pin.position
        while position in pins:
            position += 1
        pins[position], pinned_by[candidate] = candidate, pin
    return Ruling(
        terms=tuple(RuleTerm(rule, fields.matches(rule.match)) for rule in boosts),
        pins=pins,
        pinned_by=pinned_by,
        caps=tuple(Cap(groups=fields.groups(r.field), max=r.max, within=r.within) for r in caps),
        capped_by=caps,
    )


def parse_filter(raw: Mapping[str, Any], where: str = "filter") -> Filter:
    """A filter from its JSON form `{field, op, value}`.

    Raises:
        DataError: names the field under `where`.
    """
    if not isinstance(raw, Mapping):
        raise DataError(f"found {type(raw).__name__}, expected an object", field=where)
    _known(raw, {"field", "op", "value"}, where)
    name: str = _need(raw, "field", str, where)
    op, value = _need(raw, "op", str, where), raw.get("value")
    if op not in OPS:
        raise DataError(f"op is {op!r}, expected one of {', '.join(OPS)}", field=f"{where}.op")
    expected: dict[str, tuple[type, ...]] = {"in": (list, tuple), "exists": (bool, type(None))}
    if not isinstance(value, expected.get(op, (str, int, float, bool))):
        found = type(value).__name__
        wish = {"in": "a list", "exists": "true or false"}.get(op, "a text or a number")
        raise DataError(f"value is {found}, {op} expects {wish}", field=f"{where}.value")
    return Filter(field=name, op=op, value=value)


def parse_rule(raw: Mapping[str, Any], where: str = "rule") -> Rule:
    """A rule from its JSON form; the same grammar in a request and in a bundle's settings.

    Raises:
        DataError: names the field under `where`.
    """
    if not isinstance(raw, Mapping):
        raise DataError(f"found {type(raw).__name__}, expected an object", field=where)
    kind = _need(raw, "kind", str, where)
    name = {"id": str(raw["id"])} if "id" in raw else {"id": kind}
    match kind:
        case "pin":
            _known(raw, {"kind", "id", "item_id", "position"}, where)
            item_id = ItemId(_need(raw, "item_id", str, where))
            return Pin(item_id=item_id, position=_whole(raw, "position", 0, where), **name)
        case "boost" | "bury":
            _known(raw, {"kind", "id", "match", "by"}, where)
            filters = _need(raw, "match", (list, tuple), where)
            match_ = tuple(parse_filter(f, f"{where}.match[{i}]") for i, f in enumerate(filters))
            by = _need(raw, "by", (int, float), where)
            if not abs(by) <= STRONGEST:
                raise DataError(f"by is {by}, expected -{STRONGEST:g} to {STRONGEST:g}", field=f"{where}.by")
            return Boost(match=match_, by=float(by if kind == "boost" else -abs(by)), **name)
        case "diversify":
            _known(raw, {"kind", "id", "field", "max", "within"}, where)
            most, within = _whole(raw, "max", 1, where), _whole(raw, "within", 1, where)
            return Diversify(field=_need(raw, "field", str, where), max=most, within=within, **name)
    raise DataError(f"kind is {kind!r}, expected pin, boost, bury or diversify", field=f"{where}.kind")


def filter_table(condition: Filter) -> dict[str, Any]:
    """The JSON form of a filter, the inverse of `parse_filter`."""
    return {"field": condition.field, "op": condition.op, "value": condition.value}


def rule_table(rule: Rule) -> dict[str, Any]:
    """The JSON form of a rule, the inverse of `parse_rule`."""
    match rule:
        case Pin():
            return {"kind": "pin", "id": rule.id, "item_id": rule.item_id, "position": rule.position}
        case Boost():
            kind = "boost" if rule.by >= 0 else "bury"
            match_ = [filter_table(f) for f in rule.match]
            return {"kind": kind, "id": rule.id, "match": match_, "by": rule.by}
        case Diversify():
            caps = {"field": rule.field, "max": rule.max, "within": rule.within}
            return {"kind": "diversify", "id": rule.id, **caps}


def _need(raw: Mapping[str, Any], name: str, kinds: Any, where: str) -> Any:
    if name not in raw:
        raise DataError(f"missing required field `{name}`", field=f"{where}.{name}")
    value = raw[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise DataError(f"{name} is {type(value).__name__}, which it may not be", field=f"{where}.{name}")
    return value


def _whole(raw: Mapping[str, Any], name: str, least: int, where: str) -> int:
    number: int = _need(raw, name, int, where)
    if number < least:
        raise DataError(f"{name} is {number}, must be at least {least}", field=f"{where}.{name}")
    if number > FURTHEST:
        raise DataError(f"{name} is above {FURTHEST}, the most it may be", field=f"{where}.{name}")
    return number


def _known(raw: Mapping[str, Any], names: set[str], where: str) -> None:
    if unknown := sorted(set(raw) - names):
        raise DataError(f"unknown field {unknown[0]!r}; known are {sorted(names)}", field=where)
