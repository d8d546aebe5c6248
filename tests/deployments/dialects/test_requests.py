"""What is tolerated of a request, and how what is not is told: in the dialect's own body and status."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import fakes
from tests.deployments.dialects.door import Door
from tests.deployments.dialects.test_answers import GOLDEN
from tests.deployments.test_bad_input import ANY, changed, places

ASKED = {"query": "green tea", "documents": ["rum", "green tea"]}


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "text/plain"},
        {"Authorization": "bearer K"},
        {"Authorization": "BEARER K"},
        {"Authorization": "K"},
        {"Api-Key": "K"},
    ],
    ids=str,
)
def test_headers_of_every_kind_are_taken(headers: dict[str, str]) -> None:
    asked = Door(keys=["K"]) if set(headers) & {"Authorization", "Api-Key"} else Door()
    assert asked.post("/v1/rerank", ASKED, **headers).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"top_n": None, "model": None, "return_documents": None, "rank_fields": None},
        {"max_tokens_per_doc": None, "priority": 0, "relevant_spans": {"mode": "disabled"}, "x": [[]]},
        {"user": 7, "user_id": None, "session_id": "s", "context": "of another protocol"},
        {"return_documents": "true", "return_len": "true", "top_n": "2"},  # RAGFlow: values in quotes
        {"documents": ["null", "true", "1"], "query": "null"},
        {"documents": ["same", "same", "same"]},
        {"documents": ["", "", "tea"]},
        {"documents": [None, {}, {"a": {"b": ["tea", 3, None, True]}}]},
        {"documents": []},
        {"documents": ["\U0001f375" * 3, "e\u0301", "茶", "\x00"]},
        {"query": ""},
        {"query": "x" * 100_000},
    ],
    ids=str,
)
def test_what_clients_add_leave_out_and_repeat_is_taken(door: Door, more: dict[str, Any]) -> None:
    asked = {**ASKED, **more}
    for path in ("/v1/rerank", "/v2/rerank", "/jina/v1/rerank", "/vllm/rerank"):
        told = door.post(path, asked)
        assert told.status_code == 200, told.text
        entries = told.json()["results"]
        assert sorted(entry["index"] for entry in entries) == list(range(len(asked["documents"])))


def test_an_empty_document_scores_low_and_a_thousand_of_ten_megabytes_are_taken(door: Door) -> None:
    assert min(door.scores(["green tea", "", "rum"], "green tea")[1:]) == door.scores([""], "green tea")[0]
    documents = [("tea " * 2_500)[:10_000]] * 999 + ["green tea"]
    told = door.post("/v1/rerank", {"query": "green tea", "documents": documents}).json()["results"]
    assert (len(told), told[0]["index"]) == (1000, 999)


def test_an_object_counts_by_its_fields_its_text_or_all_its_words(door: Door) -> None:
    alone = door.scores(["green tea", "rum"], "green tea")
    objects = [{"text": "green tea", "other": "rum"}, {"a": "green", "b": ["tea"]}, {"text": "rum"}]
    assert door.scores(objects, "green tea") == [alone[0], alone[0], alone[1]]
    fields = [{"text": "green tea", "title": "rum"}]
    assert door.scores(fields, "green tea", rank_fields=["title", "none"]) == [alone[1]]


REFUSED = [
    ("/v1/rerank", b"{", 400, "message"),
    ("/v2/rerank", {"documents": ["a"]}, 400, "message"),
    ("/v2/rerank", {**ASKED, "top_n": -1}, 400, "message"),
    ("/v1/rerank", {**ASKED, "documents": [1]}, 400, "detail"),
    ("/v1/rerank", {**ASKED, "documents": ["a"] * 10_001}, 400, "message"),
    ("/v1/rerank", {**ASKED, "query_embedding": [1.0]}, 400, "message"),
    ("/v1/rerank", {**ASKED, "query_embedding": [0.0] * 384}, 400, "message"),
    ("/jina/v1/rerank", {"query": "a"}, 422, "detail"),
    ("/voyage/v1/rerank", {**ASKED, "top_k": "x"}, 400, "detail"),
    ("/rerank", {"texts": ["a"]}, 422, "error"),
    ("/rerank", {"query": 1, "documents": [], "property": ""}, 400, "error"),
    ("/tei/rerank", {"query": "a"}, 422, "error"),
    ("/infinity/rerank", {}, 422, "detail"),
    ("/v1/ranking", {"query": "a"}, 422, "detail"),
    ("/v1/retrieval/nvidia/a-model/reranking", {"query": "a"}, 422, "detail"),
    ("/v1/reranking", {"query": "a", "input": [1]}, 400, "detail"),
    ("/reranks", {"query": "a"}, 400, "message"),
    ("/compatible-api/v1/reranks", {"query": "a"}, 400, "message"),
    ("/api/v1/services/rerank/text-rerank/text-rerank", {"input": {}}, 400, "message"),
    ("/embed", {"inputs": [1]}, 422, "error"),
    ("/v2/embed", {"texts": ["a"], "embedding_types": ["int8"]}, 400, "message"),
    ("/v1/embed", {}, 400, "message"),
    ("/api/v1/services/embeddings/text-embedding/text-embedding", {"input": {"texts": [1]}}, 400, "message"),
    ("/my-shop/v1/rerank", b"[]", 400, "message"),
]


@pytest.mark.parametrize(("path", "body", "status", "key"), REFUSED)
def test_what_is_wrong_is_told_as_a_text_in_the_dialects_own_body(
    door: Door, path: str, body: Any, status: int, key: str
) -> None:
    response = door.post(path, body)
    assert response.status_code == status, response.text
    assert isinstance(response.json()[key], str)
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": [[1, 2]]}),
        ("/v1/embeddings", {"input": "a", "encoding_format": "int8"}),
        ("/v1/embeddings", {"input": "a", "dimensions": 385}),
        ("/v1/embeddings", {"input": ["a"] * 2049}),
        ("/v1/score", {"text_1": ["a", "b"], "text_2": ["a"]}),
        ("/score", {"text_1": "a"}),
        ("/vllm/rerank", {}),
    ],
)
def test_openais_errors_are_objects(door: Door, path: str, body: Any) -> None:
    response = door.post(path, body)
    assert response.status_code == 400, response.text
    error, detail = response.json()["error"], response.json()["detail"]
    assert (set(error), error["type"]) == ({"message", "type", "param", "code"}, "invalid_request_error")
    assert error["code"] == "400"  # Vercel's providers look for a text
    assert detail == error["message"]  # without it the SDK of Voyage takes nothing for a refusal or for 429


def test_voyages_sdk_gets_no_error_object_at_its_own_path_for_it_breaks_on_one(door: Door) -> None:
    for path in ("/voyage/v1/embeddings", "/voyage/v1/rerank"):
        told = door.post(path, {"input": [[1]]})
        assert (told.status_code, set(told.json())) == (400, {"message", "detail", "id"})


def test_whatever_goes_wrong_is_json_in_the_dialects_body_whoever_sees_it() -> None:
    door = Door(keys=["K"])
    for path, key in (("/v1/rerank", "message"), ("/rerank", "error"), ("/v1/embeddings", "error")):
        response = door.post(path, ASKED)
        assert response.status_code == 401
        assert key in response.json()
        large = door.post(path, b" " * ((16 << 20) + 1), Authorization="K")
        assert large.status_code == 413
        assert key in large.json()
    broken = Door(fakes.bundle(relevance=Broken()))
    assert broken.post("/v1/rerank", ASKED).json()["message"]
    assert broken.post("/v1/rerank", ASKED).status_code == 500
    waiting = Door()
    waiting.live.ranker = None
    response = waiting.post("/tei/rerank", {"query": "a", "texts": ["b"]})
    assert response.status_code == 503
    assert response.json()["error_type"] == "Unhealthy"
    assert waiting.get("/.well-known/ready").status_code == 503


class Broken(fakes.FakeRelevance):
    """Has a bug."""

    def of_texts(self, *given: Any) -> Any:
        raise KeyError("a bug")


def test_too_many_at_once_are_told_to_come_again_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.service.SCORERS", 1)
    monkeypatch.setattr("deployments.service.WAITING_SCORES", 1)
    door = Door(fakes.bundle(relevance=Slow()))
    answers = door.all(*[("/v1/rerank", ASKED)] * 6)
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["detail"]


class Slow(fakes.FakeRelevance):
    """Takes long enough for others to arrive."""

    def of_texts(self, *given: Any) -> Any:

        time.sleep(0.2)
        return super().of_texts(*given)


def test_what_comes_too_late_keeps_the_order_it_was_sent_in_and_says_so() -> None:
    door = Door(fakes.bundle(relevance=Slow()), budget_ms=1.0)
    response = door.post("/v1/rerank", {"query": "tea", "documents": ["rum", "tea", "rum"], "top_n": 2})
    told = response.json()
    assert [entry["index"] for entry in told["results"]] == [0, 1]
    assert told["results"][0]["relevance_score"] > told["results"][1]["relevance_score"]
    assert "deadline" in told["degraded"]
    assert "deadline" in response.headers["x-raysys-degraded"]
    assert list(told).index("degraded") > list(told).index("results")


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v1/models", "data"), ("/info", "model_type"), ("/meta", "version"), ("/ping", "status")],
)
def test_clients_that_ask_first_are_answered(door: Door, path: str, key: str) -> None:
    assert key in door.get(path).json()


def test_any_name_is_that_of_the_one_model_and_it_reranks(door: Door) -> None:
    for name in ("raysys", "BAAI/bge-reranker-v2-m3"):
        told = door.get(f"/v1/models/{name}").json()
        assert (told["id"], told["object"], told["model_type"]) == (name, "model", "rerank")


def test_probes_need_no_key_and_all_else_does() -> None:
    asked = Door(keys=["K"])
    probes = ("/health", "/ping", "/meta", "/.well-known/ready", "/.well-known/live", "/v1/cluster/auth")
    for path in probes:
        assert asked.get(path).status_code == 200
    for path in ("/v1/models", "/v1/models/raysys", "/info"):
        assert asked.get(path).status_code == 401


EXTRAS = {
    "user_id": "ann",
    "session_id": 7,
    "context": {"page": "p", "category": "c", "item_id": "i1"},
    "query_embedding": [0.5] * 384,
    "item_ids": ["i1", None],
    "order": "input",
    "budget_ms": 60_000.0,
}


@given(data=st.data())
@settings(max_examples=400)
def test_anything_in_any_place_of_any_dialect_is_never_a_bug(door: Door, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(GOLDEN))
    whole = {**asked["body"], **EXTRAS}
    at = data.draw(st.sampled_from([place for place in places(whole) if place[:1] != ("query_embedding",)]))
    response = door.post(asked["path"], changed(whole, at, data.draw(ANY)))
    assert response.status_code in (200, 400, 422), (asked["client"], at, response.text)
    assert response.status_code == 200 or all(response.json().values())


@pytest.mark.parametrize("number", [10**400, -(10**30), 1e308, 5e-324])
def test_numbers_that_no_vector_has_are_refused_or_taken_and_never_a_bug(door: Door, number: float) -> None:
    body = {**ASKED, "query_embedding": [number] * 384, "budget_ms": number}
    assert door.post("/v1/rerank", body).status_code in (200, 400)
