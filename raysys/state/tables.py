"""The tables of a SQLite store, and what one event does to them inside a transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from raysys.consent import NO_WISH, Wish, consent_of, kept_part, may_keep, may_link, veiled
from raysys.events import AdUpdate, Event, Forget, ItemUpdate, encode_event, identity, key_of_event
from raysys.state import holds
from raysys.state.fold import fold, fold_all, merged_item
from raysys.state.protocol import Receipt, State
from raysys.types import Key, key_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS log(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, time_ms INTEGER,
    identity TEXT UNIQUE, body BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS log_key ON log(key, seq);
CREATE TABLE IF NOT EXISTS state(
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links(session TEXT PRIMARY KEY, user TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_user ON links(user);
CREATE TABLE IF NOT EXISTS wishes(
    who TEXT PRIMARY KEY, refused INTEGER NOT NULL, forgotten_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items(
    item_id TEXT PRIMARY KEY, first INTEGER NOT NULL, version INTEGER NOT NULL,
    body BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS items_version ON items(version);
CREATE TABLE IF NOT EXISTS ads(ad_id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
SCHEMA += holds.SCHEMA
ITEMS_VERSION = "items_version"
"""The counter that grows with every item or ad event."""

decode_event = msgspec.json.Decoder(Event).decode
decode_item = msgspec.json.Decoder(ItemUpdate).decode
decode_ad = msgspec.json.Decoder(AdUpdate).decode
decode_state = msgspec.msgpack.Decoder(State).decode
_pack = msgspec.msgpack.Encoder().encode

_Changed = dict[Key, State]
"""States as this batch has changed them so far; each is written once, at its end."""


def append_events(db: sqlite3.Connection, events: Sequence[Event], now_ms: int) -> Receipt:
    """Log the events and fold them in; the caller commits."""
    version = int(_one(db, "SELECT seq FROM sqlite_sequence WHERE name='log'") or 0)
    duplicates = unmatched = 0
    changed: _Changed = {}
    for event in events:
        if isinstance(event, Forget):
            changed.pop(Key(f"u:{event.user_id}"), None)
            forget_user(db, event.user_id, event.time_ms if event.time_ms is not None else now_ms)
            continue
        if event.time_ms is None:
            event = msgspec.structs.replace(event, time_ms=now_ms)
        name = identity(event)
        if _one(db, "SELECT 1 FROM log WHERE identity=?", name):
            duplicates += 1
            continue
        unmatched += holds.settle(db, event, event.time_ms or 0)
        key = _linked(db, changed, event)
        if may_keep(event, key, wish_of(db, key)):
            version = _log(db, changed, key, kept_part(event), name)
    for key, state in changed.items():
        db.execute("INSERT OR REPLACE INTO state VALUES(?,?,?)", (key, state.version, _pack(state)))
    accepted = len(events) - duplicates
    return Receipt(accepted=accepted, duplicates=duplicates, version=version, unmatched=unmatched)


def forget_user(db: sqlite3.Connection, user_id: str, now_ms: int) -> dict[str, int]:
    """Delete what is kept of a user and linked sessions; what stays is a veiled tombstone."""
    key = Key(f"u:{user_id}")
    sessions = [Key(session) for (session,) in db.execute("SELECT session FROM links WHERE user=?", (key,))]
    for owner in (key, *sessions):
        db.execute(
            "INSERT INTO wishes VALUES(?,0,?) ON CONFLICT(who) DO UPDATE SET"
            " forgotten_ms=max(forgotten_ms, excluded.forgotten_ms)",
            (veiled(owner), now_ms),
        )
    return {
        "events": db.execute("DELETE FROM log WHERE key=?", (key,)).rowcount,
        "states": db.execute("DELETE FROM state WHERE key=?", (key,)).rowcount,
        "sessions": db.execute("DELETE FROM links WHERE user=?", (key,)).rowcount,
    }


def add_to_counter(db: sqlite3.Connection, name: str, amount: int, limit: int | None) -> int | None:
    """The counter's new value; None, and no change, if it would pass `limit`."""
    value = int(_one(db, "SELECT value FROM counters WHERE name=?", name) or 0) + amount
    if limit is not None and value > limit:
        return None
    db.execute("INSERT OR REPLACE INTO counters VALUES(?,?)", (name, value))
    return value


def history(db: sqlite3.Connection, key: Key, before_ms: int | None = None) -> Iterator[tuple[int, Event]]:
    """The logged events of a key, in order of arrival."""
    rows = db.execute(
        "SELECT seq, body FROM log WHERE key=? AND (? IS NULL OR time_ms<?) ORDER BY seq",
        (key, before_ms, before_ms),
    ).fetchall()
    return ((seq, decode_event(body)) for seq, body in rows)


def wish_of(db: sqlite3.Connection, key: Key | None) -> Wish:
    """What the person behind `key` asked of us."""
    if key is None:
        return NO_WISH
    row = db.execute("SELECT refused, forgotten_ms FROM wishes WHERE who=?", (veiled(key),)).fetchone()
    return Wish(bool(row[0]), row[1]) if row else NO_WISH


def _log(db: sqlite3.Connection, changed: _Changed, key: Key | None, event: Event, name: str) -> int:
    """Write the event and all that follows from it; its sequence number."""
    if key is not None and (consent := consent_of(event)) is not None:
        db.execute(
            "INSERT INTO wishes VALUES(?,?,-1) ON CONFLICT(who) DO UPDATE SET refused=excluded.refused",
            (veiled(key), not consent),
        )
    row = (key, event.time_ms, name, encode_event(event))
    version = int(
        db.execute("INSERT INTO log(key, time_ms, identity, body) VALUES(?,?,?,?)", row).lastrowid or 0
    )
    match event:
        case ItemUpdate():
            _update_item(db, event)
        case AdUpdate():
            add_to_counter(db, ITEMS_VERSION, 1, None)
            db.execute("INSERT OR REPLACE INTO ads VALUES(?,?)", (event.ad_id, encode_event(event)))
        case _:
            assert key is not None  # may_keep
            changed[key] = fold(changed.get(key) or _stored(db, key), event, version)
    return version


def _update_item(db: sqlite3.Connection, event: ItemUpdate) -> None:
    version = add_to_counter(db, ITEMS_VERSION, 1, None)
    old = _one(db, "SELECT body FROM items WHERE item_id=?", event.item_id)
    merged = merged_item(decode_item(old), event) if old else event
    db.execute(
        "INSERT INTO items VALUES(?,?,?,?) ON CONFLICT(item_id) DO UPDATE SET"
        " version=excluded.version, body=excluded.body",
        (event.item_id, version, version, encode_event(merged)),
    )


def _linked(db: sqlite3.Connection, changed: _Changed, event: Event) -> Key | None:
    """The event's key; links session and user when both come together for the first time."""
    key = key_of_event(event)
    session = key_of(None, getattr(event, "session_id", None))
    if session is None or key is None:
        return key
    if not may_link(event, wish_of(db, key)):
        return key
    user = _one(db, "SELECT user FROM links WHERE session=?", session)
    if key == session:
        return Key(user) if user else key
    if user is None:
        db.execute("INSERT INTO links VALUES(?,?)", (session, key))
        _move(db, changed, session, key)
    return key


def _move(db: sqlite3.Connection, changed: _Changed, session: Key, user: Key) -> None:
    """The session's past becomes the user's; replaying is exact, however the two interleave."""
    db.execute("DELETE FROM state WHERE key=?", (session,))
    changed.pop(session, None)
    if wish_of(db, user).refused:
        db.execute("DELETE FROM log WHERE key=?", (session,))
    elif db.execute("UPDATE log SET key=? WHERE key=?", (user, session)).rowcount:
        changed[user] = fold_all(history(db, user)) or State()


def _stored(db: sqlite3.Connection, key: Key) -> State | None:
    body = _one(db, "SELECT body FROM state WHERE key=?", key)
    return decode_state(body) if body else None


def _one(db: sqlite3.Connection, sql: str, *values: Any) -> Any:
    row = db.execute(sql, values).fetchone()
    return row[0] if row else None
