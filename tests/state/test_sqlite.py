"""The embedded store keeps its promises, even when it is killed."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.errors import ConfigError, StoreError
from raysys.events import Event
from raysys.state.memory import MemoryStore
from raysys.state.open import open_store
from raysys.state.sqlite import SqliteStore
from raysys.types import Key
from tests.contracts.state_store import ANN, EVENTS, SHARED_STORE, StateStoreContract, deed

WRITER = """
import os, sys, threading
from pathlib import Path
from raysys.events import Interaction
from raysys.state.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
def write(user):
    for n in range(1_000_000):
        store.append([Interaction(kind="click", item_id=f"i{n}", user_id=user, time_ms=n)], n)
        os.write(1, f"{user} {n}{os.linesep}".encode())
for user in ("ann", "bob", "cid", "dan"):
    threading.Thread(target=write, args=(user,)).start()
"""

SELLER = """
import os, sys
from pathlib import Path
from raysys.events import Interaction
from raysys.state.protocol import Hold
from raysys.state.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for n in range(1_000_000):
    hold = Hold(query_id=str(n), ad_id="a", account="spend", micros=3, bid_for="click", until_ms=10**9)
    store.hold([hold], n)
    os.write(1, f"held {n}{os.linesep}".encode())
    who = {"user_id": "u", "ad_id": "a", "query_id": str(n)}
    store.append([Interaction(kind="click", item_id="i", time_ms=n, **who)], n)
    os.write(1, f"settled {n}{os.linesep}".encode())
"""

SPENDER = """
import sys
from pathlib import Path
from raysys.state.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
print(sum(store.add("spend", 3, limit=500) is not None for _ in range(150)))
store.close()
"""


class TestSqliteStore(StateStoreContract):
    def make(self, folder: Path) -> SqliteStore:
        return SqliteStore(folder / "state.db")


def test_a_killed_writer_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().split() for _ in range(500)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [line.split() for line in writer.stdout.read().split("\n")[:-1]]
    writer.wait()
    store = SqliteStore(path)
    kept = [(event.user_id, event.item_id) for _, event in store.events()]  # type: ignore[union-attr]
    assert {(user, f"i{n}") for user, n in acknowledged} <= set(kept)
    assert len(kept) == len(set(kept)) <= len(acknowledged) + 4
    for user in ("ann", "bob", "cid", "dan"):
        assert store.live(Key(f"u:{user}")) == store.as_of(Key(f"u:{user}"), 10**9)
    store.close()


def test_a_killed_seller_leaves_every_click_charged_once_and_no_money_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    seller = subprocess.Popen([sys.executable, "-c", SELLER, str(path)], stdout=subprocess.PIPE, text=True)
    assert seller.stdout is not None
    told = [seller.stdout.readline().split() for _ in range(200)]
    seller.send_signal(signal.SIGKILL)
    told += [line.split() for line in seller.stdout.read().split("\n")[:-1]]
    seller.wait()
    store = SqliteStore(path)
    clicks = [event for _, event in store.events()]
    settled = sum(what == "settled" for what, _ in told)
    assert settled <= len(clicks) <= settled + 1
    for _ in range(2):  # the sender, who heard nothing, sends all again
        assert store.append(clicks, 10**6).duplicates == len(clicks)
        assert store.held(["spend"], 10**10) == [3 * len(clicks)]
    store.close()


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
    assert stores[1].counters(["spend"]) == [150]
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


def test_processes_that_open_and_spend_at_once_never_pass_the_limit(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPENDER, str(tmp_path / "state.db")]
    spenders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    spent = [int(spender.communicate(timeout=60)[0]) for spender in spenders]
    store = SqliteStore(tmp_path / "state.db")
    assert store.counters(["spend"]) == [sum(spent) * 3] == [498]
    store.close()


def test_another_store_on_the_file_sees_an_acknowledged_event_at_once(tmp_path: Path) -> None:
    writer, reader = SqliteStore(tmp_path / "state.db"), SqliteStore(tmp_path / "state.db")
    for n in range(200):
        version = writer.append([deed(f"i{n}", n)], n).version
        state = reader.live(ANN)
        assert state is not None
        assert state.version == version
    writer.close()
    reader.close()


def test_a_bug_in_one_callers_event_harms_no_other(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    poison = deed("a", 1, "no such kind")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tuple"):
        store.append([deed("lost with it", 1), poison], 1)
    store.append([deed("b", 2)], 2)
    state = store.live(ANN)
    assert state is not None
    assert state.history_items == ("b",)
    store.close()


@settings(max_examples=25, suppress_health_check=SHARED_STORE, deadline=None)
@given(batches=st.lists(st.lists(EVENTS, max_size=6), max_size=5))
def test_a_file_and_memory_agree_on_everything(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Event]]
) -> None:
    file, memory = SqliteStore(tmp_path_factory.mktemp("store") / "state.db"), MemoryStore()
    for now_ms, batch in enumerate(batches):
        one, other = file.append(batch, now_ms), memory.append(batch, now_ms)
        assert (one.accepted, one.duplicates) == (other.accepted, other.duplicates)
    for user in ("ann", "bob"):
        assert file.known(user) == memory.known(user)
    for key in (ANN, Key("u:bob"), Key("s:tab"), Key("s:tap")):
        assert file.live(key) == memory.live(key)
        assert file.as_of(key, 10**8) == memory.as_of(key, 10**8)
    assert list(file.events()) == list(memory.events())
    file.close()


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    gate = threading.Barrier(8)

    def open_and_close(path: Path) -> None:
        gate.wait()
        SqliteStore(path).close()

    with ThreadPoolExecutor(8) as pool:
        for number in range(25):
            list(pool.map(open_and_close, [tmp_path / f"{number}.db"] * 8))
