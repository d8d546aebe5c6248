"""The examples for engines: what they configure is documented, what they make an engine send is answered."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import pytest

from raysys.events import Interaction
from tests import fakes
from tests.deployments.dialects.door import Door
from tests.fakes import NOW_MS
from tests.serving import ROOT

FOLDER = ROOT / "examples"
FILES = sorted(FOLDER.glob("*search/*.json"))
DOCUMENTED = {
    "elasticsearch": "service service_settings task_settings url api_key model_id return_documents dimensions"
    " secret_parameters headers request response json_parser relevance_score reranked_index Authorization"
    " Content-Type retriever text_similarity_reranker standard query match field inference_id inference_text"
    " rank_window_size allow_rerank_failures size",
    "opensearch": "persistent plugins.ml_commons.trusted_connector_endpoints_regex"
    " plugins.ml_commons.connector.private_ip_enabled plugins.ml_commons.only_run_on_ml_node name version"
    " protocol credential key parameters model client_config max_connection connection_timeout read_timeout"
    " max_retry_times actions action_type method url headers Authorization request_body pre_process_function"
    " post_process_function function_name connector_id response_processors rerank ml_opensearch model_id"
    " context document_fields ignore_failure query match size ext query_context query_text",
}
"""Fields in the documentation and sources of each engine; `title` is a field of the shop."""
IDS = [f"i{n}" for n in range(12)]
BOUGHT = Interaction(kind="purchase", item_id="i3", user_id="ann", time_ms=NOW_MS)


def keys(value: Any) -> set[str]:
    """Every key at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys(inner)}
    return {key for inner in value for key in keys(inner)} if isinstance(value, list) else set()


def request_of(path: str) -> Any:
    return json.loads((FOLDER / path).read_text())["request"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_configuration_says_where_it_goes_and_has_documented_fields_alone(file: Path) -> None:
    told = json.loads(file.read_text())
    assert set(told) == {"about", "request"}
    assert told["about"].split()[0] in ("PUT", "POST", "GET")
    assert keys(told["request"]) - {"title"} <= set(DOCUMENTED[file.parent.name].split())


def answered(url: str, body: str) -> Any:
    response = Door().post(urlparse(url).path, body.encode(), Authorization="Bearer KEY")
    assert response.status_code == 200, response.text
    return response.json()


def test_elasticsearchs_template_and_services_send_what_is_answered() -> None:
    custom = request_of("elasticsearch/rerank_endpoint_custom.json")["service_settings"]
    body = (
        custom["request"].replace("${query}", '"green \\"tea\\""').replace("${input}", '["rum", "green tea"]')
    )
    results = answered(custom["url"], body)["results"]
    for name, path in custom["response"]["json_parser"].items():
        assert path.startswith("$.results[*].")
        assert all(path.rpartition(".")[2] in entry for entry in results), name
    native = request_of("elasticsearch/rerank_endpoint.json")["service_settings"]
    asked = {"model": native["model_id"], "query": "tea", "documents": ["rum"]}
    assert len(answered(native["url"], json.dumps(asked))["results"]) == 1
    embedding = request_of("elasticsearch/embedding_endpoint.json")["service_settings"]
    vectors = answered(embedding["url"], json.dumps({"input": ["tea"], "model": "m"}))["data"]
    assert len(vectors[0]["embedding"]) == embedding["dimensions"]


def test_opensearchs_connector_sends_what_is_answered() -> None:
    connector = request_of("opensearch/connector.json")
    action = connector["actions"][0]
    filled = {
        "documents": '["rum", "green tea"]',
        "query": "green tea",
        "top_n": "2",
        **connector["parameters"],
    }
    body = action["request_body"]
    for name, value in filled.items():
        body = body.replace(f"${{parameters.{name}}}", value)
    assert "${" not in body
    assert [entry["index"] for entry in answered(action["url"], body)["results"]] == [1, 0]
    settings = request_of("opensearch/cluster_settings.json")["persistent"]
    assert (
        urlparse(action["url"]).netloc in settings["plugins.ml_commons.trusted_connector_endpoints_regex"][0]
    )


class Stub(BaseHTTPRequestHandler):
    """An engine with canned hits, and raysys behind the same address."""

    door: Door

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/_search"):
            hits = [
                {"_id": i, "_score": 12.0 - n, "_source": {"title": f"the {i}"}} for n, i in enumerate(IDS)
            ]
            answer = json.dumps({"hits": {"hits": hits}}).encode()
        else:
            user = self.headers["X-User-Id"]
            answer = self.door.post(self.path, body, X_User_Id=user).content
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *told: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def stub() -> Iterator[str]:
    Stub.door = Door(fakes.bundle(policy=fakes.FakePolicy(temperature=0.0)), events=[BOUGHT])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("example", FOLDER / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("engine", ["elasticsearch", "opensearch"])
def test_a_script_orders_an_engines_hits_for_the_person_who_asks(stub: str, engine: str) -> None:
    search = script(f"{engine}/rank.py").search

    def place(user: str) -> int:
        found = [hit["_id"] for hit in search(f"{stub}/shop", stub, "the", user, 12)]
        assert sorted(found) == sorted(IDS)
        return found.index("i3")

    assert place("ann") < place("nobody")
