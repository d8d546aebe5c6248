"""Bad data stops at the door, and says which field."""

import pytest

from raysys.errors import DataError
from raysys.events import encode_event, identity, parse_event

AD = b'{"type":"ad","ad_id":"x","campaign_id":"c","advertiser_id":"v","bid_micros":1,"bid_for":"click",'
CLICK = b'{"type":"interaction","kind":"click","item_id":"a","time_ms":1}'


def test_an_event_survives_being_written_and_read_again() -> None:
    event = parse_event(CLICK)
    assert parse_event(encode_event(event)) == event


def test_the_same_event_has_the_same_identity_and_its_own_id_wins() -> None:
    assert identity(parse_event(CLICK)) == identity(parse_event(CLICK))
    named = parse_event(CLICK[:-1] + b',"event_id":"e1"}')
    assert identity(named) == "e1"


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b'{"type":"interaction","kind":"cluck","item_id":"a","time_ms":1}', "kind"),
        (b'{"type":"interaction","kind":"click","time_ms":1}', "item_id"),
        (b'{"type":"interaction","kind":"click","item_id":"","time_ms":1}', "item_id"),
        (b'{"type":"interaction","kind":"click","item_id":"a","time_ms":-1}', "time_ms"),
        (b'{"type":"item","item_id":"a","colour":"red"}', "colour"),
        (b'{"type":"item","item_id":"a","image_embedding":[1,"x"]}', "image_embedding[1]"),
        (b'{"type":"item","item_id":"a","image_embedding":[' + b"0," * 4096 + b"0]}", "image_embedding"),
        (AD + b'"targeting":{"categories":5}}', "targeting"),
        (AD + b'"targeting":{"surfaces":[{}]}}', "targeting"),
        (AD + b'"targeting":{"moods":["good"]}}', "targeting"),
        (
            b'{"type":"impression","query_id":"q","surface":"feed","item_ids":["a",3],"time_ms":1}',
            "item_ids[1]",
        ),
        (
            b'{"type":"impression","query_id":"q","surface":"feed","item_ids":["a"],"propensities":[0],"time_ms":1}',
            "propensities[0]",
        ),
    ],
)
def test_a_bad_event_is_refused_with_the_name_of_the_field(line: bytes, field: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_event(line)
    assert caught.value.field.startswith(field)


def test_a_time_far_ahead_of_the_receivers_clock_is_refused() -> None:
    with pytest.raises(DataError, match="more than a day after now"):
        parse_event(b'{"type":"interaction","kind":"click","item_id":"a","time_ms":99999999999}', now_ms=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("attributes", {"n": [2**53 + 1]}), ("attributes", {"n": {"m": -(10**400)}}), ("price_micros", 2**64)],
)
def test_a_number_that_nobody_could_read_back_is_refused_where_it_arrives(field: str, value: object) -> None:
    with pytest.raises(DataError, match="beyond 2") as caught:
        parse_event({"type": "item", "item_id": "a", "title": "t", field: value})
    assert caught.value.field == field


def test_attributes_have_a_depth() -> None:
    deep: object = 1
    for _ in range(20):
        deep = [deep]
    with pytest.raises(DataError, match="deeper than 16"):
        parse_event({"type": "user", "user_id": "ann", "attributes": {"a": deep}})


def test_a_picture_with_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        parse_event({"type": "item", "item_id": "a", "audio_embedding": [1.0, float("nan")]})
