"""What people asked for: whom training leaves out, and what of whom it forgets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from raysys.events import Event, Forget, Impression, UserUpdate

GONE = "forgotten or without consent"
ALWAYS = 2**63 - 1
_SESSIONS: dict[str, Any] = {
    "session_id": pl.String, "linked": pl.String, "since": pl.Int64, "nameless_until": pl.Int64,
}  # fmt: skip
_USERS: dict[str, Any] = {"user_id": pl.String, "named_until": pl.Int64}
_PAIRS: dict[str, Any] = {"session_id": pl.String, "user_id": pl.String, "time_ms": pl.Int64}


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose a row is, and whether it may be learned from."""

    sessions: pl.DataFrame
    """A session's first user that stays, since when, and until when what nobody signed is gone."""
    users: pl.DataFrame
    """Until when what a user signed is gone."""

    def marked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With the state key `user` of each row, null for nobody, and whether it is `gone`."""
        owner = pl.coalesce("user_id", pl.when(pl.col("time_ms") >= pl.col("since")).then("linked"))
        until = pl.when(pl.col("user_id").is_null()).then("nameless_until").otherwise("named_until")
        return (
            frame.join(self.sessions, on="session_id", how="left", maintain_order="left")
            .join(self.users, on="user_id", how="left", maintain_order="left")
            .with_columns(
                user=pl.coalesce("u:" + owner, "s:" + pl.col("session_id")),
                gone=(pl.col("time_ms") <= until).fill_null(False),
            )
            .drop("linked", "since", "nameless_until", "named_until")
        )

    def save(self, folder: Path) -> None:
        self.sessions.write_parquet(folder / "sessions.parquet")
        self.users.write_parquet(folder / "users.parquet")

    @classmethod
    def load(cls, folder: Path) -> "Owners":
        return cls(pl.read_parquet(folder / "sessions.parquet"), pl.read_parquet(folder / "users.parquet"))


@dataclass(frozen=True, slots=True)
class Wishes:
    """As in the live store, what a session did before it was linked to a user goes with that user."""

    refused: frozenset[str]
    """Users whose latest word was a refusal."""
    forgotten: tuple[tuple[str, int], ...]
    """Users to be forgotten up to a time, in order of these times; ALWAYS is all of them."""

    @classmethod
    def of(cls, others: Sequence[Event]) -> "Wishes":
        refused: dict[str, bool] = {}
        forgotten: set[tuple[str, int]] = set()
        for event in others:
            if isinstance(event, UserUpdate) and event.consent is not None:
                refused[event.user_id] = not event.consent
            elif isinstance(event, Forget):
                forgotten.add((event.user_id, ALWAYS if event.time_ms is None else event.time_ms))
        in_order = sorted(forgotten, key=lambda wish: (wish[1], wish[0]))
        return cls(frozenset(user for user, no in refused.items() if no), tuple(in_order))

    @property
    def users(self) -> list[str]:
        """Everybody who wished something."""
        return sorted(self.refused | {user for user, _ in self.forgotten})

    def owners(self, pairs: pl.DataFrame) -> Owners:
        """Whose every session is.

        Args:
            pairs: (session_id, user_id, time_ms) of all rows that have both; of a user without a wish
                the first of a session will do.
        """
        pairs = pairs.select(*_PAIRS).sort("time_ms", "user_id")
        touched = pairs.filter(pl.col("user_id").is_in(self.users))["session_id"].unique()
        concerned = pl.col("session_id").is_in(touched.implode())
        untouched = pairs.filter(~concerned).group_by("session_id").agg(pl.all().first())
        known = untouched.select("session_id", linked="user_id", since="time_ms", nameless_until=None)
        told = pairs.filter(concerned).group_by("session_id", maintain_order=True).agg("time_ms", "user_id")
        changed = pl.DataFrame(list(self._changed(told)), schema=_SESSIONS, orient="row")
        until = dict(self.forgotten) | dict.fromkeys(self.refused, ALWAYS)
        users = pl.DataFrame({"user_id": list(until), "named_until": list(until.values())}, schema=_USERS)
        return Owners(pl.concat([known.cast(pl.Schema(_SESSIONS)), changed]), users)

    def _changed(self, told: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
        """Sessions in which somebody was who wished something.

        One is forgotten after the other: forgetting ends a link, and then the session is whose it is next.
        """
        wishes: dict[str, list[tuple[int, str]]] = {}
        for user, until in self.forgotten:
            wishes.setdefault(user, []).append((until, user))
        for session, times, users in told.iter_rows():
            pairs, nameless = list(zip(times, users, strict=True)), None
            for until, user in sorted(wish for one in set(users) for wish in wishes.get(one, [])):
                if pairs and pairs[0][1] == user and pairs[0][0] <= until:
                    nameless = until
                pairs = [pair for pair in pairs if pair[1] != user or pair[0] > until]
            if pairs and pairs[0][1] in self.refused:
                nameless = ALWAYS
            pairs = [pair for pair in pairs if pair[1] not in self.refused]
            since, linked = pairs[0] if pairs else (None, None)
            yield session, linked, since, nameless

    def kept(
        self, frame: pl.DataFrame, impressions: Sequence[Impression]
    ) -> tuple[pl.DataFrame, list[Impression]]:
        """The interactions and impressions that may be learned from."""
        pages = pl.DataFrame(
            {name: [getattr(event, name) for event in impressions] for name in _PAIRS}, schema=_PAIRS
        )
        owners = self.owners(pl.concat([frame.select(*_PAIRS), pages]).drop_nulls())
        stays, seen = (~owners.marked(rows.select(*_PAIRS))["gone"] for rows in (frame, pages))
        return frame.filter(stays), [event for event, keep in zip(impressions, seen, strict=True) if keep]
