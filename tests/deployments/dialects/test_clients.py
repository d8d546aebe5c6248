"""Clients of others and a real engine, unmodified and over real sockets, against the running Serve."""

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.text.encoder import TextEncoder
from tests.deployments.dialects.clients import DOCUMENTS
from tests.serving import ROOT, Served

ARGS = {"budget_ms": 60_000.0, "dialects": {"envelope": True, "documents": ["json", "id"]}}
ENCODER = ROOT / "var" / "encoder"
THEIRS = ROOT / "var" / "conformance" / "venv" / "bin" / "python"
ABSENT = "make conformance builds it"
needs_clients = pytest.mark.skipif(not THEIRS.exists(), reason=f"{THEIRS.relative_to(ROOT)}: {ABSENT}")
needs_encoder = pytest.mark.skipif(not ENCODER.exists(), reason=f"{ENCODER.relative_to(ROOT)}: {ABSENT}")


@pytest.fixture(scope="module")
def url(served: Served, bundles: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the service; its bundle has a real text encoder where there is one."""
    if ENCODER.exists():
        folder = tmp_path_factory.mktemp("encoding") / "bundle"
        replace(Bundle.load(bundles[0]), encoder=TextEncoder.load(ENCODER)).save(folder)
        served.release(folder)
        wanted, until = Bundle.load(folder).id, time.monotonic() + 120
        while httpx.get(f"{served.url}/version").json()["bundle_id"] != wanted:
            assert time.monotonic() < until
            time.sleep(0.2)
    return served.url


def told(name: str, url: str, given: Any = None, python: Path = THEIRS) -> dict[str, Any]:
    """What a client got."""
    script = Path(__file__).parent / "clients.py"
    run = subprocess.run(
        [str(python), str(script), name, url],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def check_vectors(found: Sequence[Sequence[float]]) -> None:
    """They are those of the encoder, whatever way they came."""
    expected = TextEncoder.load(ENCODER).encode(DOCUMENTS)
    np.testing.assert_allclose(np.array(found), expected, atol=1e-6)


@needs_encoder
@pytest.mark.parametrize(
    ("python", "major"),
    [(Path(sys.executable), "7"), pytest.param(THEIRS, "5", marks=needs_clients)],
    ids=["7", "5"],
)
def test_coheres_sdk_of_either_major_reranks_and_embeds(url: str, python: Path, major: str) -> None:
    found = told("cohere", url, python=python)
    assert found["version"].startswith(f"{major}.")
    assert found["order"] == [1, 2]
    assert found["old"] == ["green tea", "tea", "rum"]
    assert "-1 results" in found["error"]
    check_vectors(found["vectors"])


@needs_encoder
@needs_clients
def test_openais_sdk_embeds_as_base64_and_as_floats(url: str) -> None:
    found = told("openai", url)
    check_vectors(found["vectors"])
    check_vectors(found["plain"])
    assert found["models"] == ["raysys"]
    assert "expected a text, not tokens" in found["error"]


@needs_encoder
@needs_clients
def test_voyages_sdk_reranks_and_embeds_and_can_say_what_was_wrong(url: str) -> None:
    found = told("voyage", url)
    assert (found["order"], found["texts"]) == ([1, 2, 0], ["green tea", "tea", "rum"])
    assert found["tokens"] > 0
    check_vectors(found["vectors"])
    reranked, embedded = found["errors"]
    assert "-1 results" in reranked
    assert "'int8'" in embedded


@needs_clients
def test_seekdb_finds_asks_twenty_at_a_time_and_ends_in_the_order_of_one_call(url: str) -> None:
    documents = [json.dumps({"item_id": f"item{n:05d}", "text": "tea"}) for n in range(100)]
    before = calls(url)
    ranked = told("seekdb", url, [documents, "tea"])["ranked"]
    assert calls(url) == before + 5
    asked = {"query": "tea", "documents": documents}
    direct = httpx.post(f"{url}/v1/rerank", json=asked, timeout=60).json()["results"]
    assert len({entry["relevance_score"] for entry in direct}) > 90  # they are told apart
    assert sorted(map(tuple, ranked)) == sorted(
        (documents[entry["index"]], entry["relevance_score"]) for entry in direct
    )
    assert [score for _, score in ranked] == [entry["relevance_score"] for entry in direct]


def calls(url: str) -> int:
    """Rerank calls answered so far."""
    page = httpx.get(f"{url}/metrics").text
    found = re.search(r'raysys_http_answers_total{route="/v1/rerank",status="200"} (\d+)', page)
    return int(found[1]) if found else 0


def test_ten_megabytes_without_a_content_type_and_again_on_the_same_connection(url: str) -> None:
    documents = [("tea " * 2_500)[:10_000]] * 1_000
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    for path in ("/v1/rerank", "/cohere/v2/rerank", "/a-deployment/v1/rerank?model=m"):
        line.request("POST", path, json.dumps({"query": "tea", "documents": documents}))
        response = line.getresponse()
        assert (response.status, len(json.loads(response.read())["results"])) == (200, 1_000)


def test_ids_and_the_user_travel_inside_a_clients_own_request(url: str) -> None:
    items = [f"item{n:05d}" for n in range(20)]
    bought = {"type": "interaction", "kind": "purchase", "item_id": items[7], "user_id": "dia"}
    now_ms = time.time_ns() // 1_000_000
    httpx.post(f"{url}/events", json=[bought | {"time_ms": now_ms - n} for n in range(3)])

    def scores(query: str) -> dict[int, float]:
        results = httpx.post(f"{url}/v2/rerank", json={"query": query, "documents": items}).json()["results"]
        return {entry["index"]: entry["relevance_score"] for entry in results}

    plain, personal = scores("tea"), scores('{"q": "tea", "user_id": "dia"}')
    assert max(range(20), key=lambda place: personal[place] - plain[place]) == 7


@needs_encoder
def test_documents_of_a_client_that_has_gone_are_not_read(url: str) -> None:
    """Serve cancels the request of a client that goes away; the encoder stops at the document it is at."""
    texts = [f"{n} " + "strong black tea of the first harvest " * 7 for n in range(1_000)]
    body = json.dumps({"query": "tea", "documents": texts}).encode()
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    line.request("POST", "/v2/rerank", body)
    wait_for(lambda: batches_held(url) > 0)
    line.close()
    left = time.monotonic()
    wait_for(lambda: batches_held(url) == 0)
    assert time.monotonic() - left < 3.0  # all of them take several times as long


def batches_held(url: str) -> float:
    told = re.search(r"^raysys_batches_held(?:{.*})? (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE)
    assert told is not None
    return float(told[1])


def wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.05)
