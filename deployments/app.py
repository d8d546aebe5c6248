"""All of raysys in one process: search, ads, feed and events behind one application.

`serve run deployments.app:build bundle=PATH state=sqlite:PATH`, or with a YAML file. The
handlers decode, rank and encode; all judgement lives in `Ranker`.
"""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
from ray import serve
from ray.serve import Application

from deployments import wire
from deployments.compose import compose, keys_of_environment
from deployments.dialects import cohere
from deployments.http import AGAIN, HttpError, Reply, Request, Routes
from deployments.live import LiveBundle
from deployments.metrics import ASGIApp
from raysys.errors import DataError, Part, PartError
from raysys.events import Event, parse_event
from raysys.log import RecordWriter
from raysys.ranker import Ranker
from raysys.state.forget import forget_everywhere
from raysys.state.open import open_store
from raysys.state.protocol import StateStore

WAITING_WRITES = 256
WAITING_TEXTS = 32
"""Requests that may wait for the disk or the encoder; more are told to come again, or do without."""


class Service:
    """The handlers of every route, over one live bundle and one store."""

    def __init__(self, live: LiveBundle, store: StateStore, records: Path | None) -> None:
        self._live, self._store, self._records = live, store, records
        self._writes = ThreadPoolExecutor(8, thread_name_prefix="raysys-write")
        self._texts = ThreadPoolExecutor(1, thread_name_prefix="raysys-encode")
        self._writing = self._encoding = 0

    def routes(self) -> Routes:
        """Every route of the all-in-one layout."""
        return {
            ("POST", "/rank"): self.rank,
            ("POST", "/v2/rerank"): self.rerank,
            ("POST", "/feed"): self.feed,
            ("POST", "/feed/similar"): self.similar,
            ("POST", "/feed/trending"): self.trending,
            ("POST", "/ads/decide"): self.decide,
            ("POST", "/events"): self.events,
            ("GET", "/events/users/*"): self.known,
            ("DELETE", "/events/users/*"): self.forget,
            ("GET", "/version"): self.version,
            ("GET", "/health"): self.health,
        }

    async def rank(self, request: Request) -> Reply:
        """Order the candidates for this user."""
        asked = wire.decode(request.body, wire.RankRequest)
        query = asked.question("search", _now(), text=asked.query)
        ranker = self._ranker()
        vector, degraded = await self._vector(ranker, query.text)
        ranking = ranker.rank(query, asked.to_candidates(), vector, degraded)
        return Reply(wire.ranking_table(ranking, explain=query.explain))

    async def rerank(self, request: Request) -> Reply:
        """The Cohere v2 dialect: documents in, scores out."""
        asked = cohere.decode(request.body)
        ranker = self._ranker()
        vector, _ = await self._vector(ranker, asked.query)
        return cohere.reply(asked, ranker.rerank(asked.query, asked.documents, vector))

    async def feed(self, request: Request) -> Reply:
        """A personal feed."""
        query = wire.decode(request.body, wire.FeedRequest).question("feed", _now())
        return Reply(wire.ranking_table(self._ranker().feed(query), explain=query.explain))

    async def similar(self, request: Request) -> Reply:
        """Items like one item."""
        asked = wire.decode(request.body, wire.SimilarRequest)
        query = asked.question("feed", _now(), item_id=asked.item_id)
        return Reply(wire.ranking_table(self._ranker().similar(query), explain=query.explain))

    async def trending(self, request: Request) -> Reply:
        """What everybody likes."""
        asked = wire.decode(request.body, wire.TrendingRequest)
        if asked.category:
            asked.context.category = asked.category
        query = asked.question("feed", _now())
        return Reply(wire.ranking_table(self._ranker().trending(query), explain=query.explain))

    async def decide(self, request: Request) -> Reply:
        """Fill a page's placements with ads."""
        asked = wire.decode(request.body, wire.DecideRequest)
        query = asked.question("ads", _now())
        # prices are set aside durably, which waits for the disk: not on the event loop
        decision = await self._written(self._ranker().decide, query, asked.to_placements())
        return Reply(wire.decision_table(decision, explain=query.explain))

    async def events(self, request: Request) -> Reply:
        """Take events; answers once those accepted are durable."""
        now = _now()
        events: list[Event] = []
        rejected: list[dict[str, Any]] = []
        for index, raw in enumerate(_raw_events(request.body)):
            try:
                events.append(parse_event(raw, now_ms=now))
            except DataError as error:
                rejected.append({"index": index, "field": error.field, "message": str(error)})
        receipt = await self._written(self._store.append, events, now) if events else None
        answer: dict[str, Any] = {
            "accepted": receipt.accepted if receipt else 0,
            "duplicates": receipt.duplicates if receipt else 0,
            "rejected": rejected,
        }
        if not self._store.durable:
            answer["durable"] = False
        return Reply(answer, 200 if events or not rejected else 400)

    async def known(self, request: Request) -> Reply:
        """What is kept of a user."""
        return Reply(await self._written(self._store.known, request.tail))

    async def forget(self, request: Request) -> Reply:
        """Forget a user, with a receipt of what went."""
        now = _now()
        deleted = await self._written(forget_everywhere, self._store, self._records, request.tail, now)
        return Reply({"user_id": request.tail, "deleted": deleted, "time_ms": now})

    async def version(self, request: Request) -> Reply:
        """Which bundle serves, and which were refused."""
        bundle = self._live.ranker.bundle if self._live.ranker else None
        return Reply({"bundle_id": bundle.id if bundle else None, "refused": self._live.refused})

    async def health(self, request: Request) -> Reply:
        self._ranker()
        return Reply({"status": "ok"})

    def _ranker(self) -> Ranker:
        if (ranker := self._live.ranker) is None:
            raise HttpError(503, "starting", "no bundle serves yet; see /version", AGAIN)
        return ranker

    async def _written(self, work: Any, *args: Any) -> Any:
        """Run blocking store work off the event loop, unless too much of it waits already."""
        if self._writing >= WAITING_WRITES:
            raise HttpError(429, "busy", "too many writes wait for the disk; send again", AGAIN)
        self._writing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writes, work, *args)
        finally:
            self._writing -= 1

    async def _vector(self, ranker: Ranker, text: str) -> tuple[Any, tuple[Part, ...]]:
        """The query's vector, or that the encoder has to be done without."""
        if not text.strip() or ranker.bundle.encoder is None:
            return None, ()
        if (vector := ranker.cached_vector(text)) is not None:
            return vector, ()
        if self._encoding >= WAITING_TEXTS:
            return None, ("encoder",)
        self._encoding += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._texts, ranker.encode, text), ()
        except PartError:
            return None, ("encoder",)
        finally:
            self._encoding -= 1


def _raw_events(body: bytes) -> list[Any]:
    """One event, an array of events, or NDJSON, undecoded."""
    text = body.strip()
    if not text:
        raise DataError("the body is empty, expected one event, a JSON array of events, or NDJSON")
    if text[:1] == b"[":
        try:
            return [bytes(raw) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DataError(f"the body is not a JSON array: {error}") from error
    return [line for line in text.split(b"\n") if line.strip()]


def _now() -> int:
    return time.time_ns() // 1_000_000


def asgi_app(
    live: LiveBundle, store: StateStore, api_keys: Sequence[str] = (), records: Path | None = None
) -> ASGIApp:
    """The ASGI callable over a live bundle, a store, and the folder of its ranking records."""
    return compose(Service(live, store, records).routes(), live, api_keys=api_keys)


@serve.ingress()
class Everything:
    """The replica of the all-in-one layout."""

    def __init__(self, bundle: str, state: str, records: str) -> None:
        folder = Path(records)
        self._store, self._records = open_store(state), folder
        self._live = LiveBundle(self._store, RecordWriter(folder), folder)
        self._live.load_first(Path(bundle))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Built inside the replica, so nothing that cannot be pickled crosses a process."""
        return asgi_app(self._live, self._store, keys_of_environment(), self._records)

    def reconfigure(self, user_config: dict[str, str]) -> None:
        """Serve calls this at every release. It returns at once and never raises:
        raising here would stop the replica, loading here would stall every request."""
        if path := user_config.get("bundle"):
            self._live.release(Path(path))


class Args(msgspec.Struct, kw_only=True):
    """What the application is built with; the YAML's `args`."""

    bundle: str
    state: str = "sqlite:var/state.db"
    records: str = "var/records"
    num_cpus: float = 0.1


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    given = msgspec.convert(args, type=Args, strict=False)
    deploy = serve.deployment(
        name="raysys",
        ray_actor_options={"num_cpus": given.num_cpus},
        max_ongoing_requests=64,
        health_check_period_s=1,
        user_config={"bundle": given.bundle},
    )
    return deploy(Everything).bind(given.bundle, given.state, given.records)
