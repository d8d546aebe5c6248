"""State in one SQLite file: the embedded default, for every process of one machine.

Log and folded state change in one transaction (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`);
one commit thread takes whatever waits and commits it together (group commit).
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from raysys.consent import veiled
from raysys.errors import StoreError
from raysys.events import AdUpdate, Event, ItemUpdate
from raysys.state.fold import fold_all
from raysys.state.holds import held_of, hold_all, release
from raysys.state.protocol import Hold, Receipt, State
from raysys.state.tables import (
    ITEMS_VERSION,
    SCHEMA,
    add_to_counter,
    append_events,
    decode_ad,
    decode_event,
    decode_item,
    decode_state,
    forget_user,
    history,
    wish_of,
)
from raysys.types import Key, key_of

_MOST_JOBS = 256
"""Jobs in one commit: more would make the first of them wait without saving much."""
_LIVE = """
SELECT CASE WHEN version=? THEN NULL ELSE body END FROM state
WHERE key=? AND NOT EXISTS (SELECT 1 FROM wishes WHERE who=? AND refused)
"""
"""The body only if the reader has another version: decoding it costs more than finding it."""
_CACHED = 128
"""Decoded states a process keeps at hand."""
_PAGE = 5_000
"""Log rows read at a time."""

_PATIENCE_S = 30.0
"""How long one process waits for what another is writing."""

_Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]


class SqliteStore:
    """A `StateStore` in one file on a local disk; safe for many threads and processes."""

    durable = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._cache: dict[Key, State] = {}
        self._open = True
        self._opening = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = self._connect()
            _write_ahead(connection)
            connection.executescript(SCHEMA)
            connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; expected a SQLite file on a local disk") from error
        self._thread = threading.Thread(target=self._commit_loop, name="raysys-commit", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[Event], now_ms: int) -> Receipt:
        receipt: Receipt = self._submit(lambda db: append_events(db, events, now_ms))
        return receipt

    def live(self, key: Key | None) -> State | None:
        if key is None:
            return None
        key = self._resolved(key)
        cached = self._cache.get(key)
        row = self._row(_LIVE, cached.version if cached else -1, key, veiled(key))
        if row is None:
            self._cache.pop(key, None)
            return None
        if row[0] is None:
            return cached
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        state = self._cache[key] = decode_state(row[0])
        return state

    def as_of(self, key: Key | None, time_ms: int) -> State | None:
        if key is None or self._refuses(key := self._resolved(key)):
            return None
        state: State | None = self._read(lambda db: fold_all(history(db, key, time_ms)))
        return state

    def items_version(self) -> int:
        return self.counters([ITEMS_VERSION])[0]

    def items_since(self, version: int) -> list[ItemUpdate]:
        rows = self._rows("SELECT body FROM items WHERE version>? ORDER BY first", version)
        return [decode_item(body) for (body,) in rows]

    def ads(self) -> Mapping[str, AdUpdate]:
        return {ad_id: decode_ad(body) for ad_id, body in self._rows("SELECT ad_id, body FROM ads")}

    def forget(self, user_id: str, now_ms: int) -> dict[str, int]:
        counts: dict[str, int] = self._submit(lambda db: forget_user(db, user_id, now_ms))
        return counts

    def known(self, user_id: str) -> dict[str, Any]:
        key = key_of(user_id, None) or Key("")
        state = self._row("SELECT body FROM state WHERE key=?", key)
        sessions = self._rows("SELECT session FROM links WHERE user=? ORDER BY session", key)
        events = self._rows("SELECT body FROM log WHERE key=? ORDER BY seq", key)
        return {
            "user_id": user_id,
            "consent": not self._refuses(key),
            "sessions": [session.removeprefix("s:") for (session,) in sessions],
            "state": msgspec.to_builtins(msgspec.structs.asdict(decode_state(state[0]))) if state else None,
            "events": [msgspec.json.decode(body) for (body,) in events],
        }

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        page = "SELECT seq, key, body FROM log WHERE seq>? ORDER BY seq LIMIT ?"
        while rows := self._rows(page, after, _PAGE):
            refused = {who for (who,) in self._rows("SELECT who FROM wishes WHERE refused")}
            for after, key, body in rows:
                if not (refused and key and veiled(key) in refused):
                    yield after, decode_event(body)

    def add(self, counter: str, amount: int, limit: int | None = None) -> int | None:
        value: int | None = self._submit(lambda db: add_to_counter(db, counter, amount, limit))
        return value

    def counters(self, names: Sequence[str]) -> list[int]:
        marks = ",".join("?" * len(names))
        found = dict(self._rows(f"SELECT name, value FROM counters WHERE name IN ({marks})", *names))
        return [found.get(name, 0) for name in names]

    def hold(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
        micros: list[int | None] = self._submit(lambda db: hold_all(db, holds, now_ms)) if holds else []
        return micros

    def release(self, query_id: str, ad_ids: Sequence[str]) -> int:
        micros: int = self._submit(lambda db: release(db, query_id, ad_ids))
        return micros

    def held(self, accounts: Sequence[str], now_ms: int) -> list[int]:
        micros: list[int] = self._read(lambda db: held_of(db, accounts, now_ms)) if accounts else []
        return micros

    def close(self) -> None:
        with self._opening:
            if self._open:
                self._jobs.put(None)
            self._open = False
        self._thread.join()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do `work` with this thread's own connection."""
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = self._connect()
            return work(connection)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows at once: no read transaction stays open behind a half-read cursor."""
        rows: list[Any] = self._read(lambda db: db.execute(sql, values).fetchall())
        return rows

    def _row(self, sql: str, *values: Any) -> Any:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _refuses(self, key: Key) -> bool:
        return bool(self._read(lambda db: wish_of(db, key).refused))

    def _resolved(self, key: Key) -> Key:
        if key.startswith("s:") and (row := self._row("SELECT user FROM links WHERE session=?", key)):
            return Key(row[0])
        return key

    def _submit(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        done: Future[Any] = Future()
        with self._opening:
            if not self._open:
                raise StoreError(f"{self._path}: the store is closed; open it again")
            self._jobs.put((work, done))
        return done.result()

    def _commit_loop(self) -> None:
        connection = self._connect()
        while (job := self._jobs.get()) is not None:
            jobs = [job]
            while len(jobs) < _MOST_JOBS and not self._jobs.empty():
                if (job := self._jobs.get()) is None:
                    self._jobs.put(None)
                    break
                jobs.append(job)
            self._commit(connection, jobs)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        """Do all jobs in one transaction; nobody hears of a result before it is durable."""
        answers: list[Callable[[], None]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work, done in jobs:
                answers.append(_attempt(connection, work, done))
            connection.execute("COMMIT")
        except sqlite3.Error as error:  # handed to every waiting caller, who must not hang
            if connection.in_transaction:
                connection.rollback()
            for _, done in jobs:
                done.set_exception(StoreError(f"{self._path}: {error}; nothing of this batch was kept"))
            return
        for answer in answers:
            answer()


def _attempt(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any], done: "Future[Any]"
) -> Callable[[], None]:
    """Do one job; a bug in it undoes that job alone, and is its caller's to see."""
    connection.execute("SAVEPOINT job")
    try:
        result = work(connection)
    except sqlite3.Error:
        raise
    except Exception as error:
        failure = error
        connection.execute("ROLLBACK TO job")
        return lambda: done.set_exception(failure)
    finally:
        if connection.in_transaction:
            connection.execute("RELEASE job")
    return lambda: done.set_result(result)


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on, which the file remembers.

    SQLite does not wait by itself when two turn it on at once: one of them hears that the file is locked.
    """
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
