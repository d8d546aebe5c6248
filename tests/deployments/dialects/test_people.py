"""User, session and item ids travel through clients that have no field for them, if the operator wants it."""

import json
from typing import Any

import numpy as np
import pytest

from deployments.dialects.documents import Reading
from deployments.dialects.envelope import opened
from raysys.events import Interaction
from tests import fakes
from tests.deployments.dialects.door import OPEN, Door
from tests.fakes import NOW_MS, FakeEncoder, encode_texts

IDS = [f"i{n}" for n in range(12)]
BOUGHT = Interaction(kind="purchase", item_id="i3", user_id="ann", time_ms=NOW_MS)
VISITED = Interaction(kind="click", item_id="i5", session_id="s9", time_ms=NOW_MS)
CONTEXT = 'User Context: {"user_id": "ann"}\nQuery: the'


def door(reading: Reading = OPEN, **parts: Any) -> Door:
    return Door(fakes.bundle(**parts), reading=reading, events=[BOUGHT, VISITED])


def favorite(asked: Door, **more: Any) -> str:
    """The item that gains most over what a stranger gets."""
    scores = np.array(asked.scores(IDS, **more)) - np.array(asked.scores(IDS))
    return IDS[int(np.argmax(scores))] if scores.max() > 0.01 else ""


@pytest.mark.parametrize(
    "told",
    [
        {"user_id": "ann"},
        {"user": "ann"},
        {"headers": {"X-User-Id": "ann"}},
        {"query": json.dumps({"q": "the", "user_id": "ann"})},
        {"query": CONTEXT},
        {"headers": {"X-User-Id": "bob"}, "query": CONTEXT},
        {"headers": {"X-User-Id": "bob"}, "user_id": "ann"},
    ],
    ids=str,
)
def test_a_user_may_be_told_by_a_field_an_envelope_or_a_header(told: dict[str, Any]) -> None:
    assert favorite(door(), **told) == "i3"


def test_a_session_may_be_told_too_and_a_stranger_gains_nothing() -> None:
    asked = door()
    assert favorite(asked, session_id="s9") == "i5"
    assert favorite(asked, headers={"X-Session-Id": "s9"}) == "i5"
    assert favorite(asked, user_id="nobody") == ""


def test_nothing_is_guessed_where_it_is_not_enabled() -> None:
    plain = door(Reading())
    assert len(set(plain.scores(IDS, "words"))) == 1  # ids are texts like any other
    envelope = json.dumps({"q": "the", "user_id": "ann"})
    assert plain.scores(IDS, envelope) == plain.scores(IDS, envelope, user_id="nobody")
    assert opened(envelope, enabled=False).q == envelope
    assert opened(CONTEXT, enabled=False).q == CONTEXT


def test_a_query_that_is_no_envelope_is_its_own_text() -> None:
    for text in ("tea", "{tea}", '{"size": 3}', "[1]", "", "Query: tea", '{"q"'):
        assert opened(text, enabled=True).q == text


def test_a_user_context_in_prose_joins_the_words() -> None:
    assert opened("User Context: likes green\nQuery: tea", enabled=True).q == "tea likes green"
    assert opened("User Context: likes green", enabled=True).q == "likes green"


@pytest.mark.parametrize(
    "query",
    [
        '{"q": 3}',
        '{"q": "a", "user_id": []}',
        '{"q": "a", "query_embedding": [1, 2]}',
        '{"q": "a", "context": {"item_id": []}}',
    ],
)
def test_an_envelope_that_is_wrong_is_refused_and_not_taken_for_words(query: str) -> None:
    response = door().post("/v1/rerank", {"query": query, "documents": ["a"]})
    assert response.status_code == 400
    assert response.json()["message"].startswith("invalid request")


def test_items_texts_and_objects_mix_in_one_call_each_with_what_is_known_of_it() -> None:
    asked, text = door(), "the i7"
    alone = [asked.scores([document], text, user_id="ann")[0] for document in ("i7", text, "i3")]
    mixed = ["i7", text, json.dumps({"item_id": "i7", "any": 1}), {"item_id": "i3"}, json.dumps({"t": text})]
    got = asked.scores(mixed, text, user_id="ann")
    assert got == [alone[0], alone[1], alone[0], alone[2], alone[1]]
    assert alone[0] != alone[1]  # an item is more than its words


def test_ids_may_come_beside_the_texts_and_objects_may_have_another_key() -> None:
    asked = door(Reading(id_field="sku"))
    beside = asked.scores(["x", "the i7"], "the", item_ids=["i7", None])
    assert beside == [asked.scores([{"sku": "i7"}], "the")[0], asked.scores(["the i7"], "the")[0]]


def test_filters_hold_for_what_objects_tell_of_themselves() -> None:
    sold_out = [{"item_id": "new", "text": "the tea", "available": False}, {"text": "the tea"}]
    scores = door().scores(sold_out, "the tea")
    assert scores[0] == 0.0 < scores[1]


def test_an_embedding_that_came_along_spares_the_encoder() -> None:
    encoder = FakeEncoder()
    asked = door(encoder=encoder)
    vector = encode_texts(["the"])[0].tolist()
    asked.scores(IDS, query_embedding=vector)
    asked.scores(IDS, json.dumps({"q": "the", "query_embedding": vector}))
    assert encoder.asked == []
    asked.scores(IDS)
    assert encoder.asked == ["the"]


def test_rank_takes_the_same_headers_and_its_body_wins() -> None:
    asked = door()
    body = {"candidates": [{"item_id": item} for item in IDS], "query": "the", "query_id": "q", "weight": 1}

    def first(headers: dict[str, str], **more: Any) -> str:
        items = asked.post("/rank", {**body, **more}, **headers).json()["items"]
        return str(max(items, key=lambda item: item["score"])["item_id"])

    assert first({"X-User-Id": "ann"}) == "i3"
    assert first({"X-User-Id": "ann"}, user_id="nobody") != "i3"


def test_json_in_a_text_is_repeated_as_it_was_sent() -> None:
    sent = json.dumps({"item_id": "i7", "text": "the ü"})
    for path, told in (("/v1/rerank", {"text": sent}), ("/infinity/rerank", sent)):
        asked = {"query": "the", "documents": [sent], "return_documents": True}
        assert door().post(path, asked).json()["results"][0]["document"] == told
