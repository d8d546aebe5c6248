"""What people asked for: whom training leaves out, and what of whom it forgets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from raysys.events import Event, Forget, Impression, UserUpdate

GONE = "forgotten or without consent"


@dataclass(frozen=True, slots=True)
class Wishes:
    """As in the live store, what a session did before it was linked to a user goes with that user."""

    refused: frozenset[str]
    """Users whose latest word was a refusal."""
    forgotten: Mapping[str, int | None]
    """Users to be forgotten up to a time; None is all of them."""
    links: pl.DataFrame
    """Sessions with their first users (session_id, linked, since), from all that was read."""

    @classmethod
    def of(cls, others: Sequence[Event], links: pl.DataFrame) -> "Wishes":
        refused: dict[str, bool] = {}
        forgotten: dict[str, int | None] = {}
        for event in others:
            if isinstance(event, UserUpdate) and event.consent is not None:
                refused[event.user_id] = not event.consent
            elif isinstance(event, Forget):
                forgotten[event.user_id] = event.time_ms
        return cls(frozenset(user for user, no in refused.items() if no), forgotten, links)

    def interactions(self, frame: pl.DataFrame, removed: Counter[str]) -> pl.DataFrame:
        """Those that may be learned from."""
        kept = frame.filter(~self._gone(frame))
        removed[GONE] += len(frame) - len(kept)
        return kept

    def impressions(self, events: Sequence[Impression], removed: Counter[str]) -> list[Impression]:
        """Those that may be learned from."""
        told = {"user_id": pl.String, "session_id": pl.String, "time_ms": pl.Int64}
        frame = pl.DataFrame({name: [getattr(e, name) for e in events] for name in told}, schema=told)
        kept = [event for event, gone in zip(events, self._gone(frame), strict=True) if not gone]
        removed[GONE] += len(events) - len(kept)
        return kept

    def _gone(self, frame: pl.DataFrame) -> pl.Series:
        """Which rows (user_id, session_id, time_ms) belong to somebody who would not have them kept.

        A link from after somebody was forgotten brings nothing to forget: then the session was nobody's.
        """
        owned = frame.join(self.links, on="session_id", how="left", maintain_order="left")
        owner = pl.coalesce("user_id", "linked")
        since = pl.when(pl.col("user_id").is_null()).then(pl.col("since")).otherwise(0)
        gone = owner.is_in(sorted(self.refused))
        for user, until in self.forgotten.items():
            past = pl.lit(True) if until is None else (pl.col("time_ms") <= until) & (since <= until)
            gone |= (owner == user) & past
        return owned.select(gone.fill_null(False)).to_series()
