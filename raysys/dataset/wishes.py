"""What people asked for: whom training leaves out, and what of whom it forgets."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from raysys.dataset.clean import linked
from raysys.events import Event, Forget, Impression, UserUpdate

GONE = "forgotten or without consent"
_Log = tuple[pl.DataFrame, list[Impression]]


@dataclass(frozen=True, slots=True)
class Wishes:
    """As in the live store, what a session did before it was linked to a user goes with that user."""

    refused: frozenset[str]
    """Users whose latest word was a refusal."""
    forgotten: tuple[tuple[str, int | None], ...]
    """Users to be forgotten up to a time, in order of these times; None is all of them."""

    @classmethod
    def of(cls, others: Sequence[Event]) -> "Wishes":
        refused: dict[str, bool] = {}
        forgotten: set[tuple[str, int | None]] = set()
        for event in others:
            if isinstance(event, UserUpdate) and event.consent is not None:
                refused[event.user_id] = not event.consent
            elif isinstance(event, Forget):
                forgotten.add((event.user_id, event.time_ms))
        in_order = sorted(forgotten, key=lambda wish: (wish[1] is None, wish[1] or 0, wish[0]))
        return cls(frozenset(user for user, no in refused.items() if no), tuple(in_order))

    def kept(self, frame: pl.DataFrame, impressions: Sequence[Impression]) -> _Log:
        """The interactions and impressions that may be learned from.

        One is forgotten after the other: forgetting ends a link, and then the session is whose it is next.
        """
        log = (frame, list(impressions))
        owner, linked_ms = pl.coalesce("user_id", "linked"), pl.coalesce("since", 0)
        linked_ms = pl.when(pl.col("user_id").is_null()).then(linked_ms).otherwise(0)
        for user, until in self.forgotten:
            past = pl.lit(True) if until is None else (pl.col("time_ms") <= until) & (linked_ms <= until)
            log = _without(log, (owner == user) & past)
        return _without(log, owner.is_in(sorted(self.refused)))


def _without(log: _Log, gone: pl.Expr) -> _Log:
    """The log without what is `gone`: of its columns and, of each row's session, `linked` and `since`."""
    frame, shown = log
    links = linked(frame, shown)
    told = {"user_id": pl.String, "session_id": pl.String, "time_ms": pl.Int64}
    pages = pl.DataFrame({name: [getattr(event, name) for event in shown] for name in told}, schema=told)
    stays, seen = (
        rows.join(links, on="session_id", how="left", maintain_order="left")
        .select(~gone.fill_null(False))
        .to_series()
        for rows in (frame, pages)
    )
    return frame.filter(stays), [event for event, kept in zip(shown, seen, strict=True) if kept]
