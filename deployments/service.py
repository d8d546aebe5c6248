"""What the handlers of every surface share: the live bundle, the store, threads, and the clock."""

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deployments.budget import KEPT, Pace
from deployments.http import AGAIN, HttpError, Reply, Request, Routes
from deployments.lanes import Busy, Lane, Late
from deployments.live import LiveBundle, number
from raysys.errors import Part, PartError
from raysys.ranker import Ranker
from raysys.state.protocol import StateStore
from raysys.surfaces.asker import Asker
from raysys.types import Floats, Query

BUDGET_MS = 1_000.0
"""What a request may take if it does not say."""
WRITE_S = 10.0
"""How long a write is waited for; sent again, an event counts once."""
WRITERS, READERS = 8, 4
WAITING_WRITES, WAITING_READS, WAITING_TEXTS = 128, 256, 32
"""Jobs that may wait for the disk or the encoder; more are told to come again, or done without."""


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
        self, live: LiveBundle, store: StateStore, records: Path | None = None, budget_ms: float = BUDGET_MS
    ) -> None:
        self.live, self.store, self.records = live, store, records
        self._budget_ms = budget_ms
        self._paces: dict[str, Pace] = {}
        self.writes = Lane("write", WRITERS, WAITING_WRITES)
        self.reads = Lane("read", READERS, WAITING_READS)
        self.texts = Lane("encode", 1, WAITING_TEXTS)
        for name, lane in (("writes", self.writes), ("reads", self.reads), ("texts", self.texts)):
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
    ) -> Ready:
        """Wait for the store and the encoder at the same time, for as long as the budget allows."""
        left = self.left(request, budget_ms)
        if left <= self._pace(query).expected(candidates):
            self._pace(query).skipped()
            return Ready(None, None, ("deadline", "state"), left)
        until = request.watch.spent() + left * (1 - KEPT)
        vector, encoding, missing = self._vector(ranker, query.text)
        reading = self._reading(partial(ranker.meet, query, tuple(missing), promotes=promotes))
        if encoding is not None:
            vector = await self._encoded(encoding, until - request.watch.spent(), missing)
        asker = await self._met(reading, until - request.watch.spent(), missing)
        self.live.meters.stage("state", request.watch.lap("state"))
        if self.left(request, budget_ms) <= 0:
            missing.append("deadline")
        return Ready(asker, vector, tuple(missing), left)

    def decoded(self, request: Request) -> None:
        """The body has become a question."""
        self.live.meters.stage("decode", request.watch.lap("decode"))

    def ranked(self, query: Query, request: Request, degraded: Sequence[Part], candidates: int = 0) -> None:
        """A ranking was made: note how long it took and what it did without."""
        seconds = request.watch.lap("rank")
        if "deadline" not in degraded:
            self._pace(query).took(candidates, seconds)
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

    def _pace(self, query: Query) -> Pace:
        return self._paces.setdefault(query.surface, Pace())

    def _vector(self, ranker: Ranker, text: str) -> tuple[Floats | None, "Future[Any] | None", list[Part]]:
        """The query's vector if it is known, the work on it if not, or that it has to be done without."""
        if not text.strip() or ranker.bundle.encoder is None:
            return None, None, []
        if (vector := ranker.cached_vector(text)) is not None:
            return vector, None, []
        try:
            return None, self.texts.start(ranker.encode, text), []
        except Busy:
            return None, None, ["encoder"]

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

    async def _encoded(self, encoding: "Future[Any]", seconds: float, missing: list[Part]) -> Any:
        try:
            return await self.texts.result(encoding, seconds)
        except (Late, PartError):
            missing.append("encoder")
            return None


def now_ms() -> int:
    return time.time_ns() // 1_000_000
