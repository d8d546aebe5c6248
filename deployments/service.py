"""What the handlers of every surface share: the live bundle, the store, threads, and the clock."""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deployments.budget import KEPT, Pace
from deployments.dialects.documents import PLAIN, Reading
from deployments.http import AGAIN, HttpError, Reply, Request, Routes
from deployments.lanes import Busy, Lane, Late, Result
from deployments.live import LiveBundle, number
from raysys.errors import Part, PartError
from raysys.ranker import Ranker
from raysys.state.protocol import StateStore
from raysys.surfaces.ahead import Unread
from raysys.surfaces.asker import Asker
from raysys.surfaces.experts import Encoder
from raysys.types import Candidates, Floats, Query

BUDGET_MS = 1_000.0
"""What a request may take if it does not say."""
WRITE_S = 10.0
"""How long a write is waited for; sent again, an event counts once."""
WRITERS, READERS = 8, 4
WAITING_WRITES, WAITING_READS, WAITING_TEXTS = 128, 256, 32
"""Jobs that may wait for the disk or the encoder; more are told to come again, or done without."""
SCORERS, WAITING_SCORES, WAITING_BATCHES = 2, 64, 64
"""Threads that score documents, and what may wait for them or for the encoder of batches."""
BATCH = 16
"""Texts encoded at a time, so that a long batch does not keep a short one waiting."""


@dataclass(frozen=True, slots=True)
class Ready:
    """What a ranking starts from: who asks, the query's vector, and what has to be done without."""

    asker: Asker | None
    vector: Floats | None
    degraded: tuple[Part, ...]
    budget_s: float


class Service:
    """One bundle and one store behind the handlers of any surface.

    A request climbs down as its time runs out: without the encoder, without the state, and in
    the end in the engine's order. Each step is named in `degraded`. Time is looked at between
    the stages; pure computing is not interrupted.
    """

    def __init__(
        self,
        live: LiveBundle,
        store: StateStore,
        records: Path | None = None,
        budget_ms: float = BUDGET_MS,
        reading: Reading = PLAIN,
    ) -> None:
        self.live, self.store, self.records, self.reading = live, store, records, reading
        self._budget_ms = budget_ms
        self._paces: dict[str, Pace] = {}
        self.writes = Lane("write", WRITERS, WAITING_WRITES)
        self.reads = Lane("read", READERS, WAITING_READS)
        self.texts = Lane("encode", 1, WAITING_TEXTS)
        self.scores = Lane("score", SCORERS, WAITING_SCORES)
        self.batches = Lane("batch", 1, WAITING_BATCHES)
        for name in ("writes", "reads", "texts", "scores", "batches"):
            lane = getattr(self, name)
            live.meters.watch(
                f"raysys_{name}_held", f"{name} begun or in line.", partial(number, lane, "held")
            )
            live.meters.watch(f"raysys_{name}_hanging", f"{name} given up.", partial(number, lane, "hanging"))

    def ranker(self) -> Ranker:
        """The ranker of the bundle that serves.

        Raises:
            HttpError: 503, none serves yet.
        """
        if (ranker := self.live.ranker) is None:
            raise HttpError(503, "starting", "no bundle serves yet; see /version", AGAIN)
        return ranker

    def left(self, request: Request, budget_ms: float | None) -> float:
        """Seconds that a request has left."""
        return (self._budget_ms if budget_ms is None else budget_ms) / 1e3 - request.watch.spent()

    async def ready(
        self,
        ranker: Ranker,
        query: Query,
        request: Request,
        budget_ms: float | None,
        candidates: int = 0,
        *,
        promotes: bool = False,
        vector: Floats | None = None,
        sent: Candidates | None = None,
        closely: bool = False,
        pace: str = "",
    ) -> Ready:
        """Wait for the store and the encoder at the same time, for as long as the budget allows.

        Texts are read for as long as somebody waits: if the client goes away, or Serve cancels the
        request for it, no further text is.

        Args:
            vector: (D,) of the query, if the host has sent it.
            sent: candidates that may have come with texts of unknown items, which then need vectors.
            closely: whether the first of them are for the cross-encoder, if the bundle has one.
            pace: whose experience tells how long the rest will take; empty for the surface's.
        """
        left, expected = self.left(request, budget_ms), self._pace(pace or query.surface)
        if left <= expected.expected(candidates):
            expected.skipped()
            return Ready(None, None, ("deadline", "state"), left)
        until = request.watch.spent() + left * (1 - KEPT)
        vector, encoding, missing = self._vector(ranker, query.text, vector)
        reading = self._reading(partial(ranker.meet, query, tuple(missing), promotes=promotes))
        gone = threading.Event()
        works = [] if sent is None else ranker.unread(query, sent, closely=closely)
        ahead = self._ahead(works, _going(until - request.watch.spent(), gone), missing)
        try:
            if encoding is not None:
                seconds = until - request.watch.spent()
                vector = await self._encoded("encoder", self.texts, encoding, seconds, missing)
            for part, work in ahead:
                seconds = until - request.watch.spent()
                await request.awaited(self._encoded(part, self.batches, work, seconds, missing))
        finally:
            gone.set()
        asker = await self._met(reading, until - request.watch.spent(), missing)
        self.live.meters.stage("state", request.watch.lap("state"))
        if self.left(request, budget_ms) <= 0:
            missing.append("deadline")
        return Ready(asker, vector, tuple(missing), left)

    def decoded(self, request: Request) -> None:
        """The body has become a question."""
        self.live.meters.stage("decode", request.watch.lap("decode"))

    def ranked(
        self,
        query: Query,
        request: Request,
        degraded: Sequence[Part],
        candidates: int = 0,
        *,
        pace: str = "",
    ) -> None:
        """A ranking was made: note how long it took and what it did without."""
        seconds = request.watch.lap("rank")
        if "deadline" not in degraded:
            self._pace(pace or query.surface).took(candidates, seconds)
        if degraded:
            self.live.meters.degraded(degraded)

    async def written(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do blocking store work off the event loop.

        Raises:
            HttpError: 429 if too much of it waits already, 503 if the disk does not answer.
        """
        try:
            return await self.writes.result(self.writes.start(work, *args), WRITE_S)
        except Busy:
            raise HttpError(429, "busy", "too many writes wait for the disk; send again", AGAIN) from None
        except Late:
            told = f"the state store did not answer within {WRITE_S:g} s; what was sent may be kept"
            raise HttpError(503, "store", f"{told}, so send it again with the same event_id", AGAIN) from None

    def started(self, lane: Lane, work: Callable[..., Result], *args: Any) -> "Future[Result]":
        """Put work in a lane.

        Raises:
            HttpError: 429, too much of it waits already.
        """
        try:
            return lane.start(work, *args)
        except Busy:
            raise HttpError(429, "busy", "too many requests wait already; send again", AGAIN) from None

    async def vectors(self, encoder: Encoder, texts: Sequence[str], width: int) -> Floats:
        """Unit rows (n, D) of texts, a few at a time in a thread; a text by itself goes with the queries.

        Raises:
            HttpError: 429 if too much waits already, 500 if the encoder failed.
        """
        lane = self.texts if len(texts) == 1 else self.batches
        parts = [np.zeros((0, width), np.float32)]
        try:
            for start in range(0, len(texts), BATCH):
                part = self.started(lane, encoder.encode, texts[start : start + BATCH])
                parts.append(await lane.result(part))
        except PartError as error:
            raise HttpError(500, "encoder", str(error)) from error
        return np.concatenate(parts)

    def own_routes(self, *, ranks: bool = True) -> Routes:
        """The routes that every application has; `ranks` is whether it needs a bundle."""

        async def version(request: Request) -> Reply:
            """Which bundle serves, and which were refused."""
            bundle = self.live.ranker.bundle if self.live.ranker else None
            return Reply({"bundle_id": bundle.id if bundle else None, "refused": self.live.refused})

        async def health(request: Request) -> Reply:
            """Whether a bundle serves."""
            if ranks:
                self.ranker()
            return Reply({"status": "ok"})

        return {("GET", "/version"): version, ("GET", "/health"): health}

    def _pace(self, name: str) -> Pace:
        return self._paces.setdefault(name, Pace())

    def _vector(
        self, ranker: Ranker, text: str, sent: Floats | None
    ) -> tuple[Floats | None, "Future[Any] | None", list[Part]]:
        """The query's vector if it is known, the work on it if not, or that it has to be done without."""
        if sent is not None or not text.strip() or ranker.bundle.encoder is None:
            return sent, None, []
        if (vector := ranker.cached_vector(text)) is not None:
            return vector, None, []
        try:
            return None, self.texts.start(ranker.encode, text), []
        except Busy:
            return None, None, ["encoder"]

    def _ahead(
        self, works: Sequence[Unread], go_on: Callable[[], bool], missing: list[Part]
    ) -> list[tuple[Part, "Future[bool]"]]:
        """The reading of texts, begun among the batches; what has no room there is done without."""
        begun = []
        for work in works:
            try:
                begun.append((work.part, self.batches.start(work.read, go_on)))
            except Busy:
                missing.append(work.part)
        return begun

    def _reading(self, meet: Callable[[], Asker]) -> "Future[Asker] | None":
        try:
            return self.reads.start(meet)
        except Busy:
            return None

    async def _met(
        self, reading: "Future[Asker] | None", seconds: float, missing: list[Part]
    ) -> Asker | None:
        if reading is not None:
            with contextlib.suppress(Late):
                return await self.reads.result(reading, seconds)
        missing.append("state")
        return None

    async def _encoded(
        self, part: Part, lane: Lane, encoding: "Future[Any]", seconds: float, missing: list[Part]
    ) -> Any:
        """What an encoder made of a query, or whether it was through with all texts in time."""
        try:
            if (made := await lane.result(encoding, seconds)) is False:
                missing.append(part)
            return made
        except (Late, PartError):
            missing.append(part)
            return None


def _going(seconds: float, gone: threading.Event) -> Callable[[], bool]:
    """Whether there is still time and somebody who waits."""
    until = time.perf_counter() + seconds
    return lambda: time.perf_counter() < until and not gone.is_set()


def now_ms() -> int:
    return time.time_ns() // 1_000_000
