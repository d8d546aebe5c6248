"""Rules: what filters match, what the grammar refuses, and what pins and caps come to."""

from typing import Any

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.rules import Fields, apply_rules, chosen, parse_filter, parse_rule, rule_table
from raysys.types import Boost, Candidates, Diversify, Filter, ItemId, Pin, Wording
from tests.fakes import ids, shop

SENT = Candidates(
    item_ids=ids("i0", "i1", "i2", "stranger"),
    engine_scores=np.array([4.0, 3.0, 2.0, 1.0]),
    texts={3: Wording("a stranger")},
    attributes={1: {"brand": "cord", "sizes": ["s", "m"]}, 3: {"price_micros": 5}},
)
FIELDS = Fields(shop(), shop().rows(SENT.item_ids), SENT)


@pytest.mark.parametrize(
    ("name", "op", "value", "matched"),
    [
        ("brand", "eq", "acme", [1, 0, 1, 0]),
        ("brand", "eq", "cord", [0, 1, 0, 0]),
        ("brand", "in", ["acme", "cord"], [1, 1, 1, 0]),
        ("brand", "exists", True, [1, 1, 1, 0]),
        ("brand", "exists", False, [0, 0, 0, 1]),
        ("category", "eq", "grocery", [1, 1, 0, 0]),
        ("category", "eq", "grocery/dairy", [1, 0, 0, 0]),
        ("category", "eq", "groc", [0, 0, 0, 0]),
        ("price_micros", "lt", 2_000_000, [1, 0, 0, 1]),
        ("price_micros", "gt", 1_000_000, [0, 1, 1, 0]),
        ("brand", "lt", 5, [0, 0, 0, 0]),
        ("sizes", "eq", "m", [0, 1, 0, 0]),
        ("sizes", "in", ["m", "xl"], [0, 1, 0, 0]),
        ("item_id", "in", ["stranger"], [0, 0, 0, 1]),
        ("nothing", "eq", None, [1, 1, 1, 1]),
    ],
)
def test_filters_match_as_they_read(name: str, op: Any, value: Any, matched: list[int]) -> None:
    assert FIELDS.matches([Filter(field=name, op=op, value=value)]).astype(int).tolist() == matched


def test_chosen_candidates_keep_what_came_with_them() -> None:
    few = chosen(SENT, np.array([1, 3]))
    assert few.item_ids == ids("i1", "stranger")
    assert few.engine_scores is not None
    assert few.engine_scores.tolist() == [3.0, 1.0]
    assert few.texts == {1: Wording("a stranger")}
    assert few.attributes == {0: SENT.attributes[1], 1: SENT.attributes[3]}


def test_boosts_add_up_and_name_themselves() -> None:
    acme = Filter(field="brand", op="eq", value="acme")
    rules = (Boost(match=(acme,), by=2.0, id="summer"), Boost(match=(), by=-0.5, id="all"))
    ruling = apply_rules(rules, FIELDS, SENT.item_ids)
    assert ruling.utility(4).tolist() == [1.5, -0.5, 1.5, -0.5]
    assert [r.text for r in ruling.reasons(0)] == [
        "raised by 2 by the rule 'summer'",
        "lowered by 0.5 by the rule 'all'",
    ]


def test_two_pins_at_one_position_stand_one_after_the_other() -> None:
    pins = tuple(Pin(item_id=ItemId(i), position=0) for i in ("i1", "i2", "i1", "nobody"))
    assert apply_rules(pins, FIELDS, SENT.item_ids).pins == {0: 1, 1: 2}


def test_a_cap_does_not_group_what_is_unknown() -> None:
    ruling = apply_rules((Diversify(field="brand", max=1, within=2),), FIELDS, SENT.item_ids)
    assert ruling.caps[0].groups.tolist() == [0, 1, 0, -1]


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "pin", "id": "p", "item_id": "a", "position": 3},
        {"kind": "boost", "id": "b", "match": [{"field": "f", "op": "exists", "value": True}], "by": 1.5},
        {"kind": "bury", "id": "b", "match": [], "by": -1.5},
        {"kind": "diversify", "id": "d", "field": "brand", "max": 1, "within": 4},
    ],
)
def test_a_rule_survives_the_way_to_json_and_back(raw: dict[str, Any]) -> None:
    assert rule_table(parse_rule(raw)) == raw


def test_a_bury_always_lowers() -> None:
    assert parse_rule({"kind": "bury", "match": [], "by": 2}) == parse_rule(
        {"kind": "bury", "match": [], "by": -2}
    )


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "rules[2].kind"),
        ({"kind": "hide"}, "rules[2].kind"),
        ({"kind": "pin", "item_id": "a", "position": -1}, "rules[2].position"),
        ({"kind": "pin", "item_id": "a", "position": True}, "rules[2].position"),
        ({"kind": "pin", "item_id": 5, "position": 1}, "rules[2].item_id"),
        ({"kind": "boost", "match": [], "by": float("nan")}, "rules[2].by"),
        (
            {"kind": "boost", "match": [{"field": "a", "op": "ne", "value": 1}], "by": 1},
            "rules[2].match[0].op",
        ),
        (
            {"kind": "boost", "match": [{"field": "a", "op": "in", "value": 1}], "by": 1},
            "rules[2].match[0].value",
        ),
        ({"kind": "boost", "match": ["a"], "by": 1}, "rules[2].match[0]"),
        ({"kind": "diversify", "field": "a", "max": 0, "within": 1}, "rules[2].max"),
        ({"kind": "diversify", "field": "a", "max": 1, "within": 1, "x": 1}, "rules[2]"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_field(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as error:
        parse_rule(raw, "rules[2]")
    assert error.value.field == field


def test_a_filter_of_an_unknown_shape_is_refused() -> None:
    with pytest.raises(DataError, match="unknown field 'values'"):
        parse_filter({"field": "a", "op": "in", "values": []})
