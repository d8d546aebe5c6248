"""Answers as the engines' own parsers take them, written after their sources."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import fakes
from tests.deployments.dialects.door import OPEN, Door

DOCUMENTS = ["rum", "green tea", "", "tea", "green rum"]
ASKED = {"query": "green tea", "documents": DOCUMENTS}
WORDS = st.lists(st.sampled_from(["rum", "green", "tea", "the", "ü", ""]), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def elasticsearch_cohere(body: str) -> list[tuple[int, float]]:
    """Services cohere and openshift_ai: the first `results` at any depth; every other key in it throws."""
    found = _first(json.loads(body), "results")
    for entry in found:
        if unknown := set(entry) - {"index", "relevance_score", "document"}:
            raise ValueError(f"unknown field {unknown}")
        if "document" in entry and not isinstance(entry["document"], dict):
            raise ValueError("document must start an object")
    return [(entry["index"], entry["relevance_score"]) for entry in found]


def elasticsearch_voyage(body: str) -> list[tuple[int, float]]:
    found = json.loads(body)["data"]
    for entry in found:
        if unknown := set(entry) - {"index", "relevance_score", "document"}:
            raise ValueError(f"unknown field {unknown}")
        if not isinstance(entry.get("document", ""), str):
            raise ValueError("document must be a text")
    return [(entry["index"], entry["relevance_score"]) for entry in found]


def elasticsearch_lenient(body: str) -> list[tuple[int, float]]:
    """Services jinaai and hugging_face: unknown keys are passed over."""
    told = json.loads(body)
    entries = told if isinstance(told, list) else told["results"]
    return [(entry["index"], entry.get("relevance_score", entry.get("score"))) for entry in entries]


def elasticsearch_old(body: str) -> list[tuple[int, float]]:
    """Early builds: scan tokens for the field `results`, and give up at the first object's end."""
    depth_ended = body.index("}")
    start = body.index('"results"')
    if start > depth_ended:
        raise ValueError("an object ended before `results`")
    return elasticsearch_cohere(body)


def opensearch(body: str, hits: int) -> list[float]:
    """`connector.post_process.cohere.rerank`: an array by result count, Integer index, Double score."""
    kinds: list[tuple[int, Any]] = []
    json.loads(body, parse_float=lambda literal: kinds.append((len(literal), float)) or float(literal))
    assert all(size <= 18 for size, _ in kinds)  # json-smart makes BigDecimal of longer ones
    results = json.loads(body)["results"]
    scores = [float("nan")] * len(results)
    for entry in results:
        if type(entry["index"]) is not int or type(entry["relevance_score"]) is not float:
            raise TypeError("ClassCastException")
        scores[entry["index"]] = entry["relevance_score"]
    assert len(scores) == hits
    return scores


def milvus_vllm(body: str, hits: int) -> list[float]:
    """Sorted by index and then filled by position: one that is missing shifts all that follow."""
    results = sorted(json.loads(body)["results"], key=lambda entry: entry["index"])
    assert len(results) == hits
    return [entry["relevance_score"] for entry in results]


def weaviate_transformers(body: str, documents: list[str]) -> list[float]:
    """Attached by position; a shorter list is a panic."""
    scores = json.loads(body)["scores"]
    return [float(scores[place]["score"]) for place in range(len(documents))]


def _first(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                return inner
            if (found := _first(inner, key)) is not None:
                return found
    return None


@given(documents=WORDS, echo=st.booleans())
def test_every_parser_reads_the_same_scores(documents: list[str], echo: bool) -> None:
    door = Door()
    asked = {"query": "green tea", "documents": documents}
    cohere = door.post("/v1/rerank", {**asked, "return_documents": echo}).text
    told = dict(elasticsearch_cohere(cohere))
    assert sorted(told) == list(range(len(documents)))
    assert dict(elasticsearch_lenient(cohere)) == dict(elasticsearch_old(cohere)) == told
    v2 = door.post("/v2/rerank", asked).text
    assert dict(elasticsearch_cohere(v2)) == dict(elasticsearch_old(v2)) == told
    by_place = [told[place] for place in range(len(documents))]
    assert opensearch(cohere, len(documents)) == milvus_vllm(cohere, len(documents)) == by_place
    voyage = door.post("/v1/rerank", {**asked, "top_k": None, "return_documents": echo}).text
    assert dict(elasticsearch_voyage(voyage)) == told
    bare = door.post("/rerank", {"query": "green tea", "texts": documents, "return_text": echo}).text
    assert dict(elasticsearch_lenient(bare)) == told
    weaviate = door.post("/rerank", {**asked, "property": ""}).text
    assert weaviate_transformers(weaviate, documents) == by_place


def test_a_list_that_an_engine_splits_and_merges_keeps_its_order(door: Door) -> None:
    rng = np.random.default_rng(0)
    words = ["rum", "green", "tea", "the", "i3", "i7"]
    documents = [" ".join(rng.choice(words, rng.integers(1, 6))) for _ in range(100)]
    told = door.post("/v1/rerank", {"query": "green tea", "documents": documents}).json()["results"]
    merged: list[tuple[float, int]] = []
    for start in range(0, 100, 20):
        piece = door.scores(documents[start : start + 20], "green tea")
        merged += [(-score, start + place) for place, score in enumerate(piece)]
    assert [place for _, place in sorted(merged)] == [entry["index"] for entry in told]


def test_a_probe_is_answered_with_one_result(door: Door) -> None:
    told = door.post("/v1/rerank", {"model": "m", "query": "test query", "documents": ["how big"]}).text
    assert [index for index, _ in elasticsearch_cohere(told)] == [0]


def test_pieces_of_a_list_asked_for_within_a_minute_agree_to_the_last_digit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = fakes.NOW_MS // 60_000 * 60_000
    shop = Door(fakes.bundle(policy=fakes.FakePolicy({"freshness": 1.0})), reading=OPEN)

    def at(ms: int) -> list[float]:
        monkeypatch.setattr("deployments.rerank.now_ms", lambda: clock + ms)
        return shop.scores([f"i{n}" for n in range(12)])

    assert at(0) == at(59_999)
    assert at(0) != at(86_400_000)
