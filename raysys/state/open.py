"""From an address to a store."""

import atexit
import shutil
import tempfile
from pathlib import Path

from raysys.errors import ConfigError
from raysys.state.protocol import StateStore
from raysys.state.sqlite import SqliteStore


def open_store(uri: str) -> StateStore:
    """The store at `sqlite:PATH`, or `memory:` for one that ends with the process."""
    scheme, _, rest = uri.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteStore(Path(rest))
    if scheme == "memory":
        folder = Path(tempfile.mkdtemp(prefix="raysys-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return SqliteStore(folder / "state.db")
    raise ConfigError(f"state is {uri!r}, expected sqlite:PATH or memory:")
