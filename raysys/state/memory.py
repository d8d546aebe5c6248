"""State in this process's memory: for tests and for trying the library without a disk."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from raysys.consent import NO_WISH, Wish, consent_of, kept_part, may_keep, may_link, veiled
from raysys.events import AdUpdate, Event, Forget, ItemUpdate, encode_event, identity, key_of_event
from raysys.state.fold import fold, fold_all, merged_item
from raysys.state.holds import UNMATCHED
from raysys.state.memory_holds import MemoryHolds
from raysys.state.protocol import Hold, Receipt, State
from raysys.types import Key, key_of


class MemoryStore:
    """A `StateStore` that ends with its process, and says so: `durable` is False."""

    durable = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._log: dict[int, tuple[Key | None, Event]] = {}
        self._seen: dict[str, int] = {}
        self._states: dict[Key, State] = {}
        self._links: dict[Key, Key] = {}
        self._wishes: dict[str, Wish] = {}
        self._items: dict[str, tuple[int, ItemUpdate]] = {}
        self._ads: dict[str, AdUpdate] = {}
        self._counters = Counter[str]()
        self._holds = MemoryHolds(self._counters)
        self._items_version = 0

    def append(self, events: Sequence[Event], now_ms: int) -> Receipt:
        with self._lock:
            unmatched = self._counters[UNMATCHED]
            duplicates = sum(not self._append(event, now_ms) for event in events)
            return Receipt(
                accepted=len(events) - duplicates,
                duplicates=duplicates,
                version=self._sequence,
                unmatched=self._counters[UNMATCHED] - unmatched,
            )

    def live(self, key: Key | None) -> State | None:
        with self._lock:
            key = self._resolved(key)
            return None if key is None or self._wish(key).refused else self._states.get(key)

    def as_of(self, key: Key | None, time_ms: int) -> State | None:
        with self._lock:
            key = self._resolved(key)
            if key is None or self._wish(key).refused:
                return None
            return fold_all((n, e) for n, e in self._history(key) if (e.time_ms or 0) < time_ms)

    def items_version(self) -> int:
        return self._items_version

    def items_since(self, version: int) -> list[ItemUpdate]:
        with self._lock:
            return [item for changed, item in self._items.values() if changed > version]

    def ads(self) -> Mapping[str, AdUpdate]:
        with self._lock:
            return dict(self._ads)

    def forget(self, user_id: str, now_ms: int) -> dict[str, int]:
        with self._lock:
            return self._forget(user_id, now_ms)

    def known(self, user_id: str) -> dict[str, Any]:
        with self._lock:
            key = key_of(user_id, None)
            state = self._states.get(key) if key else None
            return {
                "user_id": user_id,
                "consent": not self._wish(key).refused,
                "sessions": sorted(s.removeprefix("s:") for s, user in self._links.items() if user == key),
                "state": msgspec.to_builtins(msgspec.structs.asdict(state)) if state else None,
                "events": [
                    msgspec.json.decode(encode_event(e)) for _, e in (self._history(key) if key else ())
                ],
            }

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        with self._lock:
            logged = [
                (number, event)
                for number, (key, event) in self._log.items()
                if number > after and not self._wish(key).refused
            ]
        return iter(logged)

    def add(self, counter: str, amount: int, limit: int | None = None) -> int | None:
        with self._lock:
            value = self._counters[counter] + amount
            if limit is not None and value > limit:
                return None
            self._counters[counter] = value
            return value

    def counters(self, names: Sequence[str]) -> list[int]:
        return [self._counters[name] for name in names]

    def hold(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
        with self._lock:
            return self._holds.make(holds, now_ms)

    def release(self, query_id: str, ad_ids: Sequence[str]) -> int:
        with self._lock:
            return self._holds.release(query_id, ad_ids)

    def held(self, accounts: Sequence[str], now_ms: int) -> list[int]:
        with self._lock:
            return self._holds.held(accounts, now_ms)

    def close(self) -> None:
        """Nothing to release."""

    def _resolved(self, key: Key | None) -> Key | None:
        return self._links.get(key, key) if key is not None else None

    def _history(self, key: Key) -> Iterator[tuple[int, Event]]:
        return ((number, event) for number, (owner, event) in self._log.items() if owner == key)

    def _wish(self, key: Key | None) -> Wish:
        return NO_WISH if key is None else self._wishes.get(veiled(key), NO_WISH)

    def _append(self, event: Event, now_ms: int) -> bool:
        """Whether the event was new."""
        if isinstance(event, Forget):
            self._forget(event.user_id, event.time_ms if event.time_ms is not None else now_ms)
            return True
        if event.time_ms is None:
            event = msgspec.structs.replace(event, time_ms=now_ms)
        if (name := identity(event)) in self._seen:
            return False
        self._holds.settle(event, event.time_ms or 0, self._ads)
        key = self._linked(event)
        wish = self._wish(key)
        if not may_keep(event, key, wish):
            return True
        if key is not None and (consent := consent_of(event)) is not None:
            self._wishes[veiled(key)] = msgspec.structs.replace(wish, refused=not consent)
        event = kept_part(event)
        self._sequence += 1
        self._seen[name] = self._sequence
        self._log[self._sequence] = (key, event)
        self._apply(key, event)
        return True

    def _apply(self, key: Key | None, event: Event) -> None:
        match event:
            case ItemUpdate():
                self._items_version += 1
                old = self._items.get(event.item_id)
                self._items[event.item_id] = (
                    self._items_version,
                    merged_item(old[1], event) if old else event,
                )
            case AdUpdate():
                self._items_version += 1
                self._ads[event.ad_id] = event
            case _ if key is not None:
                self._states[key] = fold(self._states.get(key), event, self._sequence)
            case _:
                pass

    def _linked(self, event: Event) -> Key | None:
        """The event's key; links session and user when both come together for the first time."""
        key = key_of_event(event)
        session = key_of(None, getattr(event, "session_id", None))
        if session is None or key is None or key == session:
            return self._resolved(key)
        if session not in self._links and may_link(event, self._wish(key)):
            self._links[session] = key
            self._move(session, key)
        return key

    def _move(self, session: Key, user: Key) -> None:
        """The session's past becomes the user's, or goes if the user refused."""
        self._states.pop(session, None)
        past = [number for number, (owner, _) in self._log.items() if owner == session]
        if self._wish(user).refused:
            self._drop(past)
            return
        for number in past:
            self._log[number] = (user, self._log[number][1])
        if past and (state := fold_all(self._history(user))) is not None:
            self._states[user] = state

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            del self._log[number]
        self._seen = {name: number for name, number in self._seen.items() if number in self._log}

    def _forget(self, user_id: str, now_ms: int) -> dict[str, int]:
        key = Key(f"u:{user_id}")
        gone = [number for number, (owner, _) in self._log.items() if owner == key]
        self._drop(gone)
        sessions = [session for session, user in self._links.items() if user == key]
        for owner in (key, *sessions):
            wish = self._wish(owner)
            until = max(wish.forgotten_ms, now_ms)
            self._wishes[veiled(owner)] = msgspec.structs.replace(wish, forgotten_ms=until)
        for session in sessions:
            del self._links[session]
        states = int(self._states.pop(key, None) is not None)
        return {"events": len(gone), "states": states, "sessions": len(sessions)}
