"""Money set aside for showings of ads, and what settles it; all inside a store's own transaction."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

from raysys.events import BidFor, Event, Impression, Interaction
from raysys.state.protocol import Hold

SCHEMA = """
CREATE TABLE IF NOT EXISTS holds(
    query_id TEXT NOT NULL, ad_id TEXT NOT NULL, account TEXT NOT NULL, micros INTEGER NOT NULL,
    bid_for TEXT NOT NULL, until_ms INTEGER NOT NULL, settled INTEGER NOT NULL,
    PRIMARY KEY(query_id, ad_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS holds_account ON holds(account, until_ms);
"""
PLACES = "ads:places"
"""The counter of places sold: of holds ever made."""
UNMATCHED = "ads:unmatched"
"""The counter of events that would have settled a hold, but found none: unknown, or lapsed."""


def shown_counter(ad_id: str) -> str:
    """The counter of an ad's showings to anybody."""
    return f"ads:shown:{ad_id}"


class Paid(NamedTuple):
    """What an event pays for, if a hold waits for it."""

    query_id: str
    ad_ids: tuple[str, ...]
    bid_for: BidFor


def paid_by(event: Event) -> Paid | None:
    """Whose hold the event settles: a purchase is a conversion, an impression shows several ads."""
    match event:
        case Impression(surface="ads"):
            return Paid(event.query_id, tuple(dict.fromkeys(event.item_ids)), "impression")
        case Interaction(ad_id=str(ad_id), query_id=str(query_id)):
            if event.kind == "click":
                return Paid(query_id, (ad_id,), "click")
            if event.kind in ("conversion", "purchase"):
                return Paid(query_id, (ad_id,), "conversion")
    return None


def settle(db: sqlite3.Connection, event: Event, time_ms: int) -> int:
    """Make the spend final that `event` pays for, at most once; how many ads found nothing to settle."""
    if (paid := paid_by(event)) is None:
        return 0
    unmatched = 0
    for ad_id in paid.ad_ids:
        found = db.execute(
            "SELECT bid_for, until_ms FROM holds WHERE query_id=? AND ad_id=?", (paid.query_id, ad_id)
        ).fetchone()
        waits_for = found[0] if found else _bid_for(db, ad_id)
        if paid.bid_for == "impression" and waits_for is not None:
            _add(db, shown_counter(ad_id), 1)
        if waits_for is not None and waits_for != paid.bid_for:
            continue
        if found is None or time_ms > found[1]:
            _add(db, UNMATCHED, 1)
            unmatched += 1
        else:
            db.execute("UPDATE holds SET settled=1 WHERE query_id=? AND ad_id=?", (paid.query_id, ad_id))
    return unmatched


def hold_all(db: sqlite3.Connection, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
    """Micros that each hold sets aside, None where its account has not so much; what lapsed comes back."""
    for account in {hold.account for hold in holds}:
        if lapsed := _lapsed(db, account, now_ms):
            _add(db, account, -lapsed)
        db.execute("DELETE FROM holds WHERE account=? AND until_ms<?", (account, now_ms))
    return [_hold(db, hold) for hold in holds]


def release(db: sqlite3.Connection, query_id: str, ad_ids: Sequence[str]) -> int:
    """Give back what waits unsettled for these ads of a query; micros that went back."""
    back = 0
    for ad_id in ad_ids:
        where = "FROM holds WHERE query_id=? AND ad_id=? AND NOT settled"
        for account, micros in db.execute(f"SELECT account, micros {where}", (query_id, ad_id)).fetchall():
            _add(db, account, -micros)
            back += micros
        db.execute(f"DELETE {where}", (query_id, ad_id))
    return back


def held_of(db: sqlite3.Connection, accounts: Sequence[str], now_ms: int) -> list[int]:
    """Micros spent or set aside of each account, without what has lapsed by `now_ms`."""
    some = ",".join("?" * len(accounts))
    spent = db.execute(f"SELECT name, value FROM counters WHERE name IN ({some})", accounts)
    values = dict(spent.fetchall())
    waited = db.execute(
        f"SELECT account, SUM(micros) FROM holds WHERE account IN ({some}) AND until_ms<? AND NOT settled"
        " GROUP BY account",
        (*accounts, now_ms),
    )
    lapsed = dict(waited.fetchall())
    return [values.get(account, 0) - lapsed.get(account, 0) for account in accounts]


def _hold(db: sqlite3.Connection, hold: Hold) -> int | None:
    found = db.execute(
        "SELECT micros FROM holds WHERE query_id=? AND ad_id=?", (hold.query_id, hold.ad_id)
    ).fetchone()
    if found:
        return int(found[0])
    if hold.limit is not None and _value(db, hold.account) + hold.micros > hold.limit:
        return None
    _add(db, hold.account, hold.micros)
    _add(db, PLACES, 1)
    row = (hold.query_id, hold.ad_id, hold.account, hold.micros, hold.bid_for, hold.until_ms)
    db.execute("INSERT INTO holds VALUES(?,?,?,?,?,?,0)", row)
    return hold.micros


def _lapsed(db: sqlite3.Connection, account: str, now_ms: int) -> int:
    sql = "SELECT COALESCE(SUM(micros), 0) FROM holds WHERE account=? AND until_ms<? AND NOT settled"
    return int(db.execute(sql, (account, now_ms)).fetchone()[0])


def _bid_for(db: sqlite3.Connection, ad_id: str) -> str | None:
    """The event that an ad bids for now; None if there is no such ad."""
    sql = "SELECT json_extract(CAST(body AS TEXT), '$.bid_for') FROM ads WHERE ad_id=?"
    row = db.execute(sql, (ad_id,)).fetchone()
    return row[0] if row else None


def _value(db: sqlite3.Connection, name: str) -> int:
    row: Any = db.execute("SELECT value FROM counters WHERE name=?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _add(db: sqlite3.Connection, name: str, amount: int) -> None:
    db.execute("INSERT OR REPLACE INTO counters VALUES(?,?)", (name, _value(db, name) + amount))
