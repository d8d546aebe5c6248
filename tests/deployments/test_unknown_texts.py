"""Texts of unknown items get their vectors beside the event loop, and a slow encoder costs only those."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from raysys.state.memory import MemoryStore
from raysys.types import Floats
from tests.deployments.test_deadlines import HASTY, ask, without
from tests.fakes import FakeEncoder

BODY = {
    "query": "the i3",
    "user_id": "ann",
    "candidates": [{"item_id": "i3"}, {"item_id": "new", "text": "a kettle"}],
}


class SlowWithDocuments(FakeEncoder):
    """Encodes documents once its gate is open, queries at once."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate
        self.threads: set[str] = set()

    def encode(self, texts: Sequence[str]) -> Floats:
        if "kettle" in texts[0]:
            self.threads.add(threading.current_thread().name)
            self._gate.wait()
        return super().encode(texts)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_documents_are_encoded_in_a_thread_of_their_own(gate: threading.Event) -> None:
    gate.set()
    encoder = SlowWithDocuments(gate)
    assert ask(MemoryStore(), body=BODY, encoder=encoder)["degraded"] == []
    assert all(name.startswith("raysys-batch") for name in encoder.threads)
    assert "a kettle" in encoder.asked


def test_documents_that_take_too_long_are_judged_by_their_words(gate: threading.Event) -> None:
    encoder = SlowWithDocuments(gate)
    answer = ask(MemoryStore(), body={**BODY, "budget_ms": HASTY}, encoder=encoder)
    assert without(answer) == ["encoder"]
    assert len(answer["items"]) == 2
