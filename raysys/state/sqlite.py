"""State in one SQLite file: the embedded default, for every process of one machine.

Log and folded state change in one transaction (`BEGIN IMMEDIATE`, WAL, `synchronous=FULL`);
one commit thread takes whatever waits and commits it together (group commit).
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec

from raysys.errors import StoreError
from raysys.events import (
    AdUpdate,
    Event,
    Forget,
    Impression,
    Interaction,
    ItemUpdate,
    UserUpdate,
    encode_event,
    identity,
    key_of_event,
)
from raysys.state.fold import fold, fold_all, merged_item
from raysys.state.protocol import Receipt, State
from raysys.types import Key, key_of

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, time_ms INTEGER,
    identity TEXT UNIQUE, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS log_key ON log(key, seq);
CREATE TABLE IF NOT EXISTS state(key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links(session TEXT PRIMARY KEY, user TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused(key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items(
    item_id TEXT PRIMARY KEY, first INTEGER NOT NULL, version INTEGER NOT NULL,
    body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_version ON items(version);
CREATE TABLE IF NOT EXISTS ads(ad_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_ITEMS_VERSION = "items_version"
_MOST_JOBS = 256
"""Jobs in one commit: more would make the first of them wait without saving much."""

_EVENT = msgspec.json.Decoder(Event)
_STATE = msgspec.msgpack.Decoder(State)
_pack = msgspec.msgpack.Encoder().encode

_Job = tuple[Callable[[sqlite3.Connection], Any], "Future[Any]"]


class SqliteStore:
    """A `StateStore` in one file on a local disk; safe for many threads and processes."""

    durable = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = self._connect()
            connection.executescript(_SCHEMA)
            connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}; expected a SQLite file on a local disk") from error
        self._thread = threading.Thread(target=self._commit_loop, name="raysys-commit", daemon=True)
        self._thread.start()

    def append(self, events: Sequence[Event], now_ms: int) -> Receipt:
        receipt: Receipt = self._submit(lambda connection: _append(connection, events, now_ms))
        return receipt

    def live(self, key: Key | None) -> State | None:
        if key is None:
            return None
        key = self._resolved(key)
        row = self._row("SELECT body FROM state WHERE key=? AND key NOT IN (SELECT key FROM refused)", key)
        return _STATE.decode(row[0]) if row else None

    def as_of(self, key: Key | None, time_ms: int) -> State | None:
        if key is None or self._row("SELECT 1 FROM refused WHERE key=?", key := self._resolved(key)):
            return None
        return fold_all(_history(self._reader(), key, time_ms))

    def items_version(self) -> int:
        return self.counter(_ITEMS_VERSION)

    def items_since(self, version: int) -> list[ItemUpdate]:
        rows = self._rows("SELECT body FROM items WHERE version>? ORDER BY first", version)
        return [_item(body) for (body,) in rows]

    def ads(self) -> Mapping[str, AdUpdate]:
        rows = self._rows("SELECT ad_id, body FROM ads")
        return {ad_id: msgspec.json.decode(body, type=AdUpdate) for ad_id, body in rows}

    def forget(self, user_id: str, now_ms: int) -> dict[str, int]:
        counts: dict[str, int] = self._submit(lambda connection: _forget(connection, user_id))
        return counts

    def known(self, user_id: str) -> dict[str, Any]:
        key = key_of(user_id, None)
        assert key is not None or not user_id
        state = self._row("SELECT body FROM state WHERE key=?", key)
        sessions = self._rows("SELECT session FROM links WHERE user=?", key)
        events = self._rows("SELECT body FROM log WHERE key=? ORDER BY seq", key)
        return {
            "user_id": user_id,
            "consent": self._row("SELECT 1 FROM refused WHERE key=?", key) is None,
            "sessions": [session.removeprefix("s:") for (session,) in sessions],
            "state": msgspec.to_builtins(msgspec.structs.asdict(_STATE.decode(state[0]))) if state else None,
            "events": [msgspec.json.decode(body) for (body,) in events],
        }

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        while batch := self._rows("SELECT seq, body FROM log WHERE seq>? ORDER BY seq LIMIT 5000", after):
            for after, body in batch:
                yield after, _EVENT.decode(body)

    def add(self, counter: str, amount: int, limit: int | None = None) -> int | None:
        value: int | None = self._submit(lambda connection: _add(connection, counter, amount, limit))
        return value

    def counter(self, name: str) -> int:
        row = self._row("SELECT value FROM counters WHERE name=?", name)
        return int(row[0]) if row else 0

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows at once: no read transaction stays open behind a half-read cursor."""
        try:
            return self._reader().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}") from error

    def _row(self, sql: str, *values: Any) -> Any:
        rows = self._rows(sql, *values)
        return rows[0] if rows else None

    def _resolved(self, key: Key) -> Key:
        if key.startswith("s:") and (row := self._row("SELECT user FROM links WHERE session=?", key)):
            return Key(row[0])
        return key

    def _submit(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if not self._thread.is_alive():
            raise StoreError(f"{self._path}: the store is closed; open it again")
        done: Future[Any] = Future()
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
        results: list[tuple[Future[Any], Any]] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            for work, done in jobs:
                results.append((done, work(connection)))
            connection.execute("COMMIT")
        except Exception as error:  # handed to every waiting caller, who must not hang
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for _, done in jobs:
                done.set_exception(StoreError(f"{self._path}: {error}; nothing of this batch was kept"))
            return
        for done, result in results:
            done.set_result(result)


def _append(connection: sqlite3.Connection, events: Sequence[Event], now_ms: int) -> Receipt:
    version = _one(connection, "SELECT seq FROM sqlite_sequence WHERE name='log'") or 0
    duplicates = 0
    for event in events:
        if isinstance(event, Forget):
            _forget(connection, event.user_id)
            continue
        if getattr(event, "time_ms", now_ms) is None:
            event = msgspec.structs.replace(event, time_ms=now_ms)
        key = _linked(connection, event)
        if isinstance(event, UserUpdate) and event.consent is not None:
            verb = (
                "DELETE FROM refused WHERE key=?"
                if event.consent
                else "INSERT OR IGNORE INTO refused VALUES(?)"
            )
            connection.execute(verb, (key,))
        if key is None and isinstance(event, Impression | Interaction):
            continue  # nobody's: counted by the caller's records, kept by none
        if key is not None and _one(connection, "SELECT 1 FROM refused WHERE key=?", key):
            continue
        cursor = connection.execute(
            "INSERT OR IGNORE INTO log(key, time_ms, identity, body) VALUES(?,?,?,?)",
            (key, event.time_ms, identity(event), encode_event(event)),
        )
        if not cursor.rowcount:
            duplicates += 1
            continue
        version = int(cursor.lastrowid or 0)
        _apply(connection, key, event, version)
    return Receipt(accepted=len(events) - duplicates, duplicates=duplicates, version=version)


def _consent(connection: sqlite3.Connection, key: Key | None, *, given: bool) -> None:
    if given:
        connection.execute("DELETE FROM refused WHERE key=?", (key,))
    else:
        connection.execute("INSERT OR IGNORE INTO refused VALUES(?)", (key,))


def _apply(connection: sqlite3.Connection, key: Key | None, event: Event, version: int) -> None:
    match event:
        case ItemUpdate():
            _add(connection, _ITEMS_VERSION, 1, None)
            now = _one(connection, "SELECT value FROM counters WHERE name=?", _ITEMS_VERSION)
            old = _one(connection, "SELECT body FROM items WHERE item_id=?", event.item_id)
            merged = encode_event(merged_item(_item(old), event) if old else event)
            connection.execute(
                "INSERT INTO items VALUES(?,?,?,?) ON CONFLICT(item_id) DO UPDATE SET"
                " version=excluded.version, body=excluded.body",
                (event.item_id, now, now, merged),
            )
        case AdUpdate():
            _add(connection, _ITEMS_VERSION, 1, None)
            connection.execute("INSERT OR REPLACE INTO ads VALUES(?,?)", (event.ad_id, encode_event(event)))
        case _:
            body = _one(connection, "SELECT body FROM state WHERE key=?", key)
            _keep(connection, key, fold(_STATE.decode(body) if body else None, event, version))


def _linked(connection: sqlite3.Connection, event: Event) -> Key | None:
    """The event's key; links session and user when both come together for the first time."""
    key = key_of_event(event)
    session = key_of(None, getattr(event, "session_id", None))
    if session is None or key is None:
        return key
    user = _one(connection, "SELECT user FROM links WHERE session=?", session)
    if key == session:
        return Key(user) if user else key
    if user is None:
        connection.execute("INSERT INTO links VALUES(?,?)", (session, key))
        moved = connection.execute("UPDATE log SET key=? WHERE key=?", (key, session)).rowcount
        if moved:  # replaying is exact, whatever order the two histories interleave in
            connection.execute("DELETE FROM state WHERE key=?", (session,))
            _keep(connection, key, fold_all(_history(connection, key, None)))
    return key


def _history(connection: sqlite3.Connection, key: str, before_ms: int | None) -> Iterator[tuple[int, Event]]:
    rows = connection.execute(
        "SELECT seq, body FROM log WHERE key=? AND (? IS NULL OR time_ms<?) ORDER BY seq",
        (key, before_ms, before_ms),
    ).fetchall()
    return ((seq, _EVENT.decode(body)) for seq, body in rows)


def _forget(connection: sqlite3.Connection, user_id: str) -> dict[str, int]:
    key = f"u:{user_id}"
    deleted = {
        "events": connection.execute("DELETE FROM log WHERE key=?", (key,)).rowcount,
        "states": connection.execute("DELETE FROM state WHERE key=?", (key,)).rowcount,
        "sessions": connection.execute("DELETE FROM links WHERE user=?", (key,)).rowcount,
    }
    connection.execute("DELETE FROM refused WHERE key=?", (key,))
    return deleted


def _add(connection: sqlite3.Connection, name: str, amount: int, limit: int | None) -> int | None:
    value = int(_one(connection, "SELECT value FROM counters WHERE name=?", name) or 0) + amount
    if limit is not None and value > limit:
        return None
    connection.execute("INSERT OR REPLACE INTO counters VALUES(?,?)", (name, value))
    return value


def _keep(connection: sqlite3.Connection, key: str | None, state: State | None) -> None:
    if state is not None:
        connection.execute("INSERT OR REPLACE INTO state VALUES(?,?)", (key, _pack(state)))


def _one(connection: sqlite3.Connection, sql: str, *values: Any) -> Any:
    row = connection.execute(sql, values).fetchone()
    return row[0] if row else None


def _item(body: bytes) -> ItemUpdate:
    return msgspec.json.decode(body, type=ItemUpdate)
