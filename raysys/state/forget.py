"""Forgetting a user everywhere at once: the live state, its log, and the ranking records."""

from pathlib import Path

from raysys.log import forget_records
from raysys.state.protocol import StateStore


def forget_everywhere(store: StateStore, records: Path | None, user_id: str, now_ms: int) -> dict[str, int]:
    """Counts of what went; a ranking record stays, but no longer says whose it was.

    Args:
        records: folder of the ranking records, None if there are none.
    """
    keys = {f"u:{user_id}", *(f"s:{session}" for session in store.known(user_id)["sessions"])}
    gone = dict(store.forget(user_id, now_ms))
    gone["records"] = forget_records(records, keys) if records else 0
    return gone
