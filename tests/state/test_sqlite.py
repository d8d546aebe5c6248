"""The embedded store keeps its promises, even when it is killed."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raysys.errors import ConfigError, StoreError
from raysys.state.open import open_store
from raysys.state.sqlite import SqliteStore
from tests.contracts.state_store import StateStoreContract, deed

WRITER = """
import sys
from pathlib import Path
from raysys.events import Interaction
from raysys.state.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for n in range(1_000_000):
    store.append([Interaction(kind="click", item_id=f"i{n}", user_id="ann", time_ms=n)], n)
    print(n, flush=True)
"""


class TestSqliteStore(StateStoreContract):
    def make(self, folder: Path) -> SqliteStore:
        return SqliteStore(folder / "state.db")


def test_a_killed_writer_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(300)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [int(line) for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    store = SqliteStore(path)
    kept = [event.item_id for _, event in store.events()]
    store.close()
    assert kept[: len(acknowledged)] == [f"i{n}" for n in acknowledged]
    assert len(kept) == len(set(kept))


def test_many_threads_over_two_stores_count_every_event_once(tmp_path: Path) -> None:
    stores = [SqliteStore(tmp_path / "state.db") for _ in range(2)]

    def write(worker: int) -> None:
        for n in range(25):
            stores[worker % 2].append([deed(f"{worker}-{n}", n)], n)
            stores[worker % 2].add("spend", 1, limit=150)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(stores[0].events())) == 200
    assert stores[1].counter("spend") == 150
    for store in stores:
        store.close()


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append([deed("a", 1)], 1)


def test_a_file_that_is_no_database_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, but long enough to be read as one" * 40)
    with pytest.raises(StoreError, match=r"state\.db"):
        SqliteStore(path)


def test_an_unknown_address_is_refused_with_what_is_expected() -> None:
    with pytest.raises(ConfigError, match="expected sqlite:PATH"):
        open_store("mysql://x")


def test_what_was_acknowledged_is_there_after_reopening_and_no_number_comes_twice(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    store.append([deed("a", 1)], 1)
    version = store.append([deed("b", 2)], 1).version
    store.close()
    again = SqliteStore(tmp_path / "state.db")
    assert [seq for seq, _ in again.events()] == [1, version]
    assert again.append([deed("c", 3)], 1).version > version
    again.close()
