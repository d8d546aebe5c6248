"""What each dialect is answered: its own shape, and literals that the strictest parser can read."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.dialects import (
    cohere,
    dashscope,
    infinity,
    jina,
    mixedbread,
    nvidia,
    pinecone,
    tei,
    vllm,
    voyage,
    weaviate,
)
from deployments.dialects.dialect import Asked, Dialect, Extras, Scored, arranged
from deployments.dialects.documents import Reading, texts_of
from tests.deployments.dialects.door import Door
from tests.fakes import bundle

GOLDEN = [json.loads(line) for line in (Path(__file__).parent / "golden.jsonl").read_text().splitlines()]
DIALECTS = (
    cohere.V1,
    cohere.V2,
    dashscope.DASHSCOPE,
    infinity.INFINITY,
    jina.JINA,
    mixedbread.MIXEDBREAD,
    nvidia.NVIDIA,
    pinecone.PINECONE,
    tei.TEI,
    vllm.VLLM,
    voyage.VOYAGE,
    weaviate.WEAVIATE,
)
LISTS = ("results", "data", "scores", "rankings")
FLOAT = re.compile(r'"(?:relevance_score|score|logit)":([^,}]+)')


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.mark.parametrize("asked", GOLDEN, ids=[asked["client"] for asked in GOLDEN])
def test_a_request_as_a_real_client_sends_it_gets_the_shape_that_it_reads(
    door: Door, asked: dict[str, Any]
) -> None:
    headers = asked.get("headers", {"Content-Type": "application/json", "Authorization": "Bearer K"})
    response = door.post(asked["path"], asked["body"], **headers)
    assert response.status_code == 200, response.text
    told = response.json()
    assert isinstance(told, list) if asked["shape"] == "list" else asked["shape"] in told
    response.text.encode("ascii")


def scored(scores: list[float], *, echo: bool = False, raw: bool = False, in_order: bool = False) -> Scored:
    """An answer to documents of these scores, as if they were ranked."""
    documents = [f"dö{n} \U0001f375" for n in range(len(scores))]
    asked = Asked(query="grün", documents=documents, extras=Extras(), echo=echo, raw=raw, in_order=in_order)
    order, told = arranged(asked, np.array(scores))
    return Scored(order=order, scores=told, asked=asked, texts=documents, id="q", model="m")


SCORES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-9, 0.1 + 0.2, 1 - 1e-16]), max_size=40)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@given(scores=SCORES, echo=st.booleans(), raw=st.booleans(), in_order=st.booleans())
def test_an_answer_is_ascii_with_short_floats_and_its_list_before_anything_nested(
    dialect: Dialect, scores: list[float], echo: bool, raw: bool, in_order: bool
) -> None:
    body = dialect.reply(scored(scores, echo=echo, raw=raw, in_order=in_order)).decode("ascii")
    literals = FLOAT.findall(body)
    assert len(literals) == len(scores)
    for literal in literals:
        assert re.fullmatch(r"-?\d+\.\d+([eE][+-]?\d+)?", literal)
        assert len(literal) <= 18
        assert math.isfinite(float(literal))
    told = json.loads(body)
    if isinstance(told, dict) and dialect.name != "dashscope":
        nested = next(key for key, value in told.items() if isinstance(value, list | dict))
        assert nested in LISTS
        told = told[nested]
    entries = told["output"]["results"] if dialect.name == "dashscope" else told
    allowed = {"index", "relevance_score", "score", "logit"}
    allowed |= {"document", "text", "input"} if echo else set()
    assert all(set(entry) <= allowed for entry in entries)
    assert sorted(entry["index"] for entry in entries) == list(range(len(scores)))


@given(scores=SCORES)
def test_best_first_and_equal_scores_as_they_came(scores: list[float]) -> None:
    entries = json.loads(tei.TEI.reply(scored(scores)))
    keys = [(-entry["score"], entry["index"]) for entry in entries]
    assert keys == sorted(keys)


def test_raw_scores_are_log_odds_in_the_same_order() -> None:
    plain, raw = (json.loads(tei.TEI.reply(scored([0.2, 0.9, 0.0, 1.0], raw=raw))) for raw in (False, True))
    assert [entry["index"] for entry in plain] == [entry["index"] for entry in raw] == [3, 1, 0, 2]
    assert raw[1]["score"] == pytest.approx(math.log(9), abs=1e-8)


def test_documents_are_repeated_in_each_dialects_own_form_and_only_when_asked(door: Door) -> None:
    documents = ["tea", {"text": "rum", "sku": 7}]

    def told(path: str, **more: Any) -> list[Any]:
        answer = door.post(path, {"query": "tea", "documents": documents, **more}).json()
        entries = answer if isinstance(answer, list) else answer.get("results") or answer["data"]
        return [entry.get("document", entry.get("text")) for entry in entries]

    assert told("/v1/rerank") == [None, None]
    assert told("/v1/rerank", return_documents=True) == [{"text": "tea"}, documents[1]]
    assert told("/vllm/rerank") == [{"text": "tea"}, documents[1]]
    for path in ("/voyage/v1/rerank", "/infinity/rerank", "/tei/rerank"):
        assert told(path, return_documents=True) == ["tea", "rum"]


def test_clients_with_strict_types_find_every_count_that_they_read(door: Door) -> None:
    """Vercel's Together provider and RAGFlow's SiliconFlow fail where one is missing."""
    told = door.post("/v1/rerank", {"query": "tea", "documents": ["green tea"]}).json()
    assert told["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    assert told["meta"]["tokens"] == {"input_tokens": 3, "output_tokens": 0}
    assert told["meta"]["billed_units"] == {"search_units": 1}


def test_nvidia_answers_as_many_as_litellm_asks_for(door: Door) -> None:
    asked = {"query": {"text": "tea"}, "passages": [{"text": text} for text in ("rum", "tea", "green tea")]}
    told = [door.post("/v1/ranking", {**asked, **more}).json()["rankings"] for more in ({}, {"top_k": 2})]
    assert (len(told[0]), told[1]) == (3, told[0][:2])


def test_pinecone_gets_its_objects_back_unless_it_wants_none(door: Door) -> None:
    objects = [{"id": "1", "title": "rum"}, {"id": "2", "title": "green tea"}]
    asked = {"query": "green tea", "documents": objects, "rank_fields": ["title"], "top_n": 1}
    told = door.post("/pinecone/rerank", asked).json()
    assert ([entry["document"] for entry in told["data"]], told["usage"]) == (
        objects[1:],
        {"rerank_units": 1},
    )
    (entry,) = door.post("/pinecone/rerank", {**asked, "return_documents": False}).json()["data"]
    assert set(entry) == {"index", "score"}


def test_mixedbread_gets_its_input_back_as_it_was_sent(door: Door) -> None:
    objects = [{"title": "rum", "sku": 1}, "green tea", {"title": "tea"}]
    asked = {"query": "green tea", "input": objects, "rank_fields": ["title"], "return_input": True}
    told = door.post("/v1/reranking", {**asked, "top_k": 2}).json()
    assert [(entry["index"], entry["input"]) for entry in told["data"]] == [(1, "green tea"), (2, objects[2])]
    assert (told["object"], told["top_k"], told["return_input"]) == ("list", 2, True)
    plain = door.post("/v1/reranking", {"query": "green tea", "input": ["rum", "green tea"]}).json()
    assert [set(entry) for entry in plain["data"]] == [{"index", "score"}] * 2
    assert (plain["top_k"], plain["return_input"]) == (2, False)


def test_weaviate_gets_scores_by_position_with_their_texts(door: Door) -> None:
    told = door.post(
        "/rerank", {"query": "green tea", "documents": ["rum", "green tea"], "property": ""}
    ).json()
    assert [entry["document"] for entry in told["scores"]] == ["rum", "green tea"]
    assert told["scores"][0]["score"] < told["scores"][1]["score"]


def test_pairs_are_scored_in_their_order_one_to_many_and_many_to_many(door: Door) -> None:
    def told(**body: Any) -> list[float]:
        entries = door.post("/v1/score", body).json()["data"]
        assert [entry["index"] for entry in entries] == list(range(len(entries)))
        return [entry["score"] for entry in entries]

    one = told(text_1="green tea", text_2=["rum", "green tea"])
    assert one[0] < one[1]
    assert told(queries=["green tea", "rum", "green tea"], items=["rum", "rum", "green tea"]) == [
        one[0],
        told(text_1="rum", text_2="rum")[0],
        one[1],
    ]


@pytest.mark.parametrize(("top", "count"), [(None, 3), (0, 3), (1, 1), (3, 3), (99, 3)])
def test_all_are_answered_unless_fewer_are_asked_for(door: Door, top: int | None, count: int) -> None:
    documents = ["rum", "tea", "rum"]
    for path, key in (("/v2/rerank", "top_n"), ("/voyage/v1/rerank", "top_k")):
        told = door.post(path, {"query": "tea", "documents": documents, key: top}).json()
        entries = told.get("results") or told["data"]
        assert [entry["index"] for entry in entries] == [1, 0, 2][:count]


def test_an_engine_that_goes_by_position_may_ask_for_its_own_order(door: Door) -> None:
    asked = {"query": "tea", "documents": ["rum", "tea", "rum"]}
    for path, more in (("/v1/rerank?order=input", {}), ("/v1/rerank", {"order": "input"})):
        told = door.post(path, {**asked, **more}).json()["results"]
        assert [entry["index"] for entry in told] == [0, 1, 2]


@given(data=st.data())
def test_a_document_has_one_score_alone_in_pieces_or_among_all(data: st.DataObject) -> None:
    words = st.lists(st.sampled_from(["tea", "green", "rum", "the", "i3", ""]), max_size=6).map(" ".join)
    documents = data.draw(st.lists(words, min_size=1, max_size=70))
    size = data.draw(st.sampled_from([1, 20, 32, 100]))
    door = Door(bundle())
    pieces = [documents[start : start + size] for start in range(0, len(documents), size)]
    whole = door.scores(documents, "green tea")
    assert [score for piece in pieces for score in door.scores(piece, "green tea")] == whole
    assert door.scores(documents[::-1], "green tea") == whole[::-1]


def test_item_ids_must_be_one_for_each_document() -> None:
    asked = Asked(query="", documents=["a"], extras=Extras(item_ids=["x", "y"]))
    with pytest.raises(ValueError, match="2 item_ids for 1 documents"):
        texts_of(asked, Reading())
