"""Events: what happened, taken durably; and what is kept of a user, shown or forgotten."""

from typing import Any

import msgspec
from ray.serve import Application

from deployments.http import Reply, Request, Routes
from deployments.replica import application
from deployments.service import Service, now_ms
from raysys.errors import DataError
from raysys.events import Event, parse_event
from raysys.state.forget import forget_everywhere
from raysys.state.protocol import StateStore

PREFIX = "/events"


class Events:
    """The handlers of events, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        return {
            ("POST", "/events"): self.events,
            ("GET", "/events/users/*"): self.known,
            ("DELETE", "/events/users/*"): self.forget,
        }

    async def events(self, request: Request) -> Reply:
        """Take events; answers once those accepted are durable."""
        reply: Reply = await self._service.written(take, self._service.store, request.body, now_ms())
        return reply

    async def known(self, request: Request) -> Reply:
        """What is kept of a user."""
        return Reply(await self._service.written(self._service.store.known, request.tail))

    async def forget(self, request: Request) -> Reply:
        """Forget a user, with a receipt of what went."""
        service, now = self._service, now_ms()
        deleted = await service.written(forget_everywhere, service.store, service.records, request.tail, now)
        return Reply({"user_id": request.tail, "deleted": deleted, "time_ms": now})


def take(store: StateStore, body: bytes, now: int) -> Reply:
    """Parse and keep events; the good ones go on when bad ones are among them.

    Runs in a thread: a body of 16 MiB takes a second to parse.
    """
    events: list[Event] = []
    rejected: list[dict[str, Any]] = []
    for index, raw in enumerate(_raw_events(body)):
        try:
            events.append(parse_event(raw, now_ms=now))
        except DataError as error:
            rejected.append({"index": index, "field": error.field, "message": str(error)})
    receipt = store.append(events, now) if events else None
    answer: dict[str, Any] = {
        "accepted": receipt.accepted if receipt else 0,
        "duplicates": receipt.duplicates if receipt else 0,
        "rejected": rejected,
    }
    if receipt and receipt.unmatched:
        answer["unmatched"] = receipt.unmatched
    if not store.durable:
        answer["durable"] = False
    return Reply(answer, 200 if events or not rejected else 400)


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


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("events", (Events,), args, PREFIX, ranks=False)
