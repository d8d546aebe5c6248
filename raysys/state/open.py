"""From an address to a store."""

from pathlib import Path

from raysys.errors import ConfigError
from raysys.state.memory import MemoryStore
from raysys.state.protocol import StateStore
from raysys.state.sqlite import SqliteStore


def open_store(uri: str) -> StateStore:
    """The store at `sqlite:PATH`, or `memory:` for one that ends with the process."""
    scheme, _, rest = uri.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteStore(Path(rest))
    if scheme == "memory":
        return MemoryStore()
    raise ConfigError(f"state is {uri!r}, expected sqlite:PATH or memory:")
