"""Embeddings in every dialect: the same vectors, in order, and shared with the rankings that follow."""

import base64
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from raysys.types import Floats
from tests import fakes
from tests.deployments.dialects.door import Door
from tests.fakes import FakeEncoder, encode_texts

TEXTS = ["green tea", "rum", "grün \U0001f375"]


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


def floats(rows: Any) -> Floats:
    return np.array(rows, np.float32)


def packed(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), "<f4")


def test_every_dialect_gives_the_very_same_vectors_in_the_order_of_the_input(door: Door) -> None:
    expected = encode_texts(TEXTS)

    def post(path: str, body: dict[str, Any]) -> Any:
        response = door.post(path, body)
        assert response.status_code == 200, response.text
        response.text.encode("ascii")
        return response.json()

    told = post("/v1/embeddings", {"input": TEXTS, "encoding_format": None})["data"]
    assert [entry["index"] for entry in told] == [0, 1, 2]
    short = post("/embeddings", {"input": TEXTS, "encoding_format": "base64"})["data"]
    both = post("/v2/embed", {"texts": TEXTS, "embedding_types": ["float", "base64"]})["embeddings"]
    inputs = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    aliyun = post("/api/v1/services/embeddings/text-embedding/text-embedding", {"input": {"texts": TEXTS}})
    aliyun = aliyun["output"]["embeddings"]
    assert [entry["text_index"] for entry in aliyun] == [0, 1, 2]
    found = [
        floats([entry["embedding"] for entry in told]),
        np.stack([packed(entry["embedding"]) for entry in short]),
        floats(both["float"]),
        np.stack([packed(text) for text in both["base64"]]),
        floats(post("/v2/embed", {"inputs": inputs})["embeddings"]["float"]),
        floats(post("/v1/embed", {"texts": TEXTS})["embeddings"]),
        floats(post("/embed", {"inputs": TEXTS})),
        floats(post("/", {"inputs": TEXTS})),
        floats([entry["embedding"] for entry in aliyun]),
    ]
    for vectors in found:
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=1e-10)
    for packed_ in (found[1], found[3]):
        np.testing.assert_array_equal(packed_, expected)
    np.testing.assert_array_equal(floats(post("/embed", {"inputs": TEXTS[0]})), found[-1][:1])


def test_fewer_dimensions_are_the_first_ones_again_of_length_one(door: Door) -> None:
    kept = encode_texts(TEXTS)[:, :64]
    expected = kept / np.linalg.norm(kept, axis=1, keepdims=True)
    for path, body in (
        ("/v1/embeddings", {"input": TEXTS, "dimensions": 64}),
        ("/v1/embeddings", {"input": TEXTS, "output_dimension": 64}),
        ("/v1/embeddings", {"input": TEXTS, "dimensions": "64"}),
    ):
        found = [entry["embedding"] for entry in door.post(path, body).json()["data"]]
        np.testing.assert_allclose(floats(found), expected, atol=1e-6)
    found = door.post("/embed", {"inputs": TEXTS, "dimensions": 64}).json()
    np.testing.assert_allclose(floats(found), expected, atol=1e-6)


@pytest.mark.parametrize("path", ["/v1/embed", "/v2/embed"])
def test_cohere_bills_the_tokens_of_what_it_embeds(door: Door, path: str) -> None:
    """Vercel's AI SDK fails where they are missing."""
    assert door.post(path, {"texts": ["green tea"]}).json()["meta"]["billed_units"] == {"input_tokens": 2}


def test_an_engine_that_embeds_a_query_and_reranks_twice_with_it_pays_for_each_text_once() -> None:
    encoder = FakeEncoder()
    door = Door(fakes.bundle(encoder=encoder))
    door.post("/v1/embeddings", {"input": "green tea"})
    door.scores(["rum", "tea"], "green tea")
    door.scores(["rum", "tea"], "green tea")
    assert encoder.asked == ["green tea", "rum", "tea"]


class Gated(FakeEncoder):
    """Encodes texts that begin with `slow` once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def encode(self, texts: Sequence[str]) -> Floats:
        if texts[0].startswith("slow"):
            self.gate.wait(60)
        else:
            self.gate.set()
        return super().encode(texts)


def test_a_long_batch_holds_up_neither_the_loop_nor_a_query() -> None:
    encoder = Gated()
    door = Door(fakes.bundle(encoder=encoder))
    batch = ("/v1/embeddings", {"input": [f"slow {n}" for n in range(40)]})
    answers = door.all(batch, ("/v1/embeddings", {"input": "quick"}))  # the batch ends only after the query
    assert [len(answer.json()["data"]) for answer in answers] == [40, 1]


def test_an_empty_input_is_an_empty_answer_and_no_encoder_is_told(door: Door) -> None:
    assert door.post("/v1/embeddings", {"input": []}).json()["data"] == []
    without = Door(fakes.bundle(encoder=None)).post("/v1/embeddings", {"input": "a"})
    assert (without.status_code, set(without.json())) == (400, {"error", "detail"})
    broken = Door(fakes.bundle(encoder=FakeEncoder(broken=True))).post("/embed", {"inputs": "a"})
    assert (broken.status_code, broken.json()["error_type"]) == (500, "Backend")
