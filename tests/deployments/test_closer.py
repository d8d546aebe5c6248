"""A cross-encoder that is slow costs its own say and nothing else."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from raysys.state.memory import MemoryStore
from raysys.types import Floats
from tests.deployments.test_deadlines import ASKED, HASTY, ask, without
from tests.fakes import FakeCrossEncoder


class Slow(FakeCrossEncoder):
    """Reads once its gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate
        self.threads: set[str] = set()

    def relevance(self, query: str, texts: Sequence[str]) -> Floats:
        self.threads.add(threading.current_thread().name)
        self._gate.wait()
        return super().relevance(query, texts)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_pairs_are_read_beside_the_event_loop(gate: threading.Event) -> None:
    gate.set()
    cross = Slow(gate)
    assert ask(MemoryStore(), cross_encoder=cross)["degraded"] == []
    assert len(cross.asked) == 10
    assert all(name.startswith("raysys-batch") for name in cross.threads)


def test_one_that_hangs_is_waited_for_no_longer_than_the_budget(gate: threading.Event) -> None:
    answer = ask(MemoryStore(), body={**ASKED, "budget_ms": HASTY}, cross_encoder=Slow(gate))
    assert without(answer) == ["cross_encoder"]
    assert len(answer["items"]) == 10 + 2


def test_protocols_that_split_lists_do_without(gate: threading.Event) -> None:
    cross = Slow(gate)
    body = {"query": "the i3", "documents": ["a kettle", "the i3"]}
    assert ask(MemoryStore(), "/v1/rerank", body, cross_encoder=cross)["results"]
    assert not cross.threads
