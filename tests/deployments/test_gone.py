"""A client that goes away takes its work with it: over real sockets, texts left unread stay unread."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import uvicorn

from deployments.app import asgi_app
from deployments.live import LiveBundle
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.types import Floats
from tests import fakes
from tests.fakes import FakeEncoder
from tests.serving import free_port

TEXTS = 500
PATIENT_MS = 60_000.0
SLOW_S = 0.02
"""What a document takes: ten seconds for all of them, were nobody to stop."""
SOON = TEXTS // 5
"""So many may be read before anybody notices; a machine that is busy elsewhere is slow to."""


class SlowWithDocuments(FakeEncoder):
    """Takes its time over each document, and says how many it has read."""

    def encode(self, texts: Sequence[str]) -> Floats:
        if texts[0].startswith("document"):
            time.sleep(SLOW_S * len(texts))
        return super().encode(texts)

    @property
    def read(self) -> int:
        return sum(text.startswith("document") for text in self.asked)


class Served:
    """A service under uvicorn, which tells of a client that goes away and cancels nothing by itself."""

    def __init__(self) -> None:
        self.encoder, self.port, store = SlowWithDocuments(), free_port(), MemoryStore()
        live = LiveBundle(store, None)
        live.ranker = Ranker(fakes.bundle(encoder=self.encoder), store)
        app = asgi_app(live, store, budget_ms=PATIENT_MS)
        config = uvicorn.Config(app, port=self.port, log_level="error", lifespan="off")  # type: ignore[arg-type]
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started)

    def asked_and_left(self, path: str, body: object) -> None:
        """Send a request, and close the connection once the first document has been read."""
        sent = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(sent)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            line.sendall(head.encode() + sent)
            wait_for(lambda: self.encoder.read > 0)

    def settled(self) -> int:
        """How many documents have been read once no more are."""
        before = -1
        while before != (now := self.encoder.read):
            before = now
            time.sleep(25 * SLOW_S)
        return now


def wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.should_exit = True
    served.thread.join()


@pytest.mark.parametrize("path", ["/v2/rerank", "/rank", "/v1/embeddings"])
def test_documents_of_a_client_that_has_gone_are_not_read(served: Served, path: str) -> None:
    documents = [f"document {n}" for n in range(TEXTS)]
    candidates = [{"item_id": f"new {n}", "text": text} for n, text in enumerate(documents)]
    bodies: dict[str, object] = {
        "/v2/rerank": {"query": "tea", "documents": documents},
        "/rank": {"query": "tea", "candidates": candidates},
        "/v1/embeddings": {"input": documents, "model": "m"},
    }
    served.asked_and_left(path, bodies[path])
    assert served.settled() < SOON


def test_whoever_stays_gets_all_of_them(served: Served) -> None:
    documents = [f"document {n}" for n in range(5)]
    body = json.dumps({"query": "tea", "documents": documents}).encode()
    head = f"POST /v2/rerank HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b" 200 " in answer.split(b"\r\n")[0]
    assert served.encoder.read == 5
