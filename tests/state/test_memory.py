"""The store in memory keeps the same promises, but for durability."""

from pathlib import Path

from raysys.state.memory import MemoryStore
from tests.contracts.state_store import StateStoreContract


class TestMemoryStore(StateStoreContract):
    def make(self, folder: Path) -> MemoryStore:
        return MemoryStore()


def test_it_does_not_claim_to_be_durable() -> None:
    assert not MemoryStore().durable
