"""Raw ASGI: routes to handlers, bodies within limits, and errors that say what to do."""

import asyncio
import hmac
import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from deployments.budget import Watch
from raysys.errors import DataError, StoreError

MOST_BYTES = 16 << 20
OPEN_PATHS = ("/health",)
"""Need no API key."""
AGAIN = (("retry-after", "1"),)
"""Header of an answer that will be another in a second."""
log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request whose body has arrived whole."""

    path: str
    tail: str
    """What follows the route's prefix, for routes that end in `/`."""
    body: bytes
    watch: Watch = field(default_factory=Watch)
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    """By name in lower case."""
    query_string: bytes = b""
    receive: Receive | None = None
    """What comes after the body: nothing, or that the client has gone."""

    async def awaited(self, work: Awaitable[Given]) -> Given:
        """What `work` gives, unless the client goes away first; for work that takes long.

        Raises:
            Gone: it has gone, and the work is cancelled.
        """
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(self._gone())
        try:
            await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Gone
        finally:
            working.cancel()
            leaving.cancel()

    async def _gone(self) -> None:
        if self.receive is None:
            await asyncio.Event().wait()
        else:
            while (await self.receive())["type"] != "http.disconnect":
                pass

    def parameter(self, name: str) -> str:
        """A parameter of the address, empty if it has none of this name."""
        return parse_qs(self.query_string.decode("latin-1")).get(name, [""])[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back; `body` is encoded as JSON unless it is bytes."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class HttpError(Exception):
    """An answer other than 2xx, decided where the trouble is seen."""

    def __init__(
        self, status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class Gone(HttpError):
    """The client went away; nobody will read the answer."""

    def __init__(self) -> None:
        super().__init__(499, "gone", "the client went away")


Handler = Callable[[Request], Awaitable[Reply]]
Routes = Mapping[tuple[str, str], Handler]
"""By method and path. A path that ends in `/*` matches everything below it; one that begins with
`/*/` matches with any one segment there, if no other does."""
Failure = Callable[[int, str, str], Any]
"""The body of an error in a protocol's own form, from its status, its message and the request's id."""


def _told(level: int, message: str, request_id: str, error: Exception) -> None:
    """Log where something failed, without what was asked: paths and messages may name a person."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    fields = {"request_id": request_id, "error": type(error).__name__, "where": where}
    log.log(level, "%s: %s", message, fields, extra=fields)


def error_reply(status: int, code: str, message: str, field: str = "") -> Reply:
    return Reply({"error": {"code": code, "field": field, "message": message}}, status)


class App:
    """The ASGI callable: every request has an id, and nothing that a client sends is answered with 500."""

    def __init__(
        self,
        routes: Routes,
        *,
        api_keys: Sequence[str] = (),
        open_paths: Sequence[str] = OPEN_PATHS,
        timed: Callable[[str, float], None] = lambda stage, seconds: None,
        names_requests: bool = True,
        failure_of: Callable[[str], Failure | None] = lambda path: None,
    ) -> None:
        self._routes, self._open, self._timed = routes, set(open_paths), timed
        self._failure_of = failure_of
        """How an error on a path is told; None is the native form."""
        self._names_requests = names_requests
        """Whether answers carry the request's id; an ingress that adds it itself would double it."""
        self._keys = [key.encode() for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        name = headers.get(b"x-request-id", b"").decode("latin-1")[:128] or uuid.uuid4().hex
        watch = Watch()
        try:
            reply = await self._answer(scope, headers, receive, watch)
        except HttpError as error:
            reply = replace(error_reply(error.status, error.code, str(error)), headers=error.headers)
        except DataError as error:
            reply = error_reply(400, "bad_request", str(error), error.field)
        except StoreError as error:
            _told(logging.ERROR, "the store failed", name, error)
            reply = replace(error_reply(503, "store", str(error)), headers=AGAIN)
        except Exception as error:  # the boundary of the process: a bug must show as a 500 and in the log
            _told(logging.ERROR, "a request failed", name, error)
            reply = error_reply(500, "bug", "an error of raysys, not of the request; see the log")
        if reply.status >= 400 and (failure := self._failure_of(scope["path"])) is not None:
            reply = replace(reply, body=failure(reply.status, reply.body["error"]["message"], name))
        body = reply.body if isinstance(reply.body, bytes) else _encode(reply.body)
        self._timed("encode", watch.lap("encode"))
        await _send(send, reply, body, name if self._names_requests else "", watch)

    async def _answer(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, watch: Watch
    ) -> Reply:
        path, method = scope["path"], scope["method"]
        handler, tail = self._match(method, path)
        if path not in self._open:
            self._authorize(headers)
        body = await _body(headers, receive)
        watch.lap("body")
        asked = scope.get("query_string", b"")
        return await handler(Request(path, tail, body, watch, headers, asked, receive))

    def _match(self, method: str, path: str) -> tuple[Handler, str]:
        if (handler := self._routes.get((method, path))) is not None:
            return handler, ""
        below = [
            p for _, p in self._routes if p.endswith("/*") and path.startswith(p[:-1]) and path != p[:-1]
        ]
        for route in below:
            if (handler := self._routes.get((method, route))) is not None:
                return handler, path[len(route) - 1 :]  # a user id may hold a slash
        prefixed = "/*/" + path[1:].partition("/")[2]
        if (handler := self._routes.get((method, prefixed))) is not None:
            return handler, ""
        known = {m for m, p in self._routes if p in (path, prefixed) or p in below}
        if known:
            raise HttpError(405, "method", f"{path} takes {', '.join(sorted(known))}, not {method}")
        raise HttpError(404, "route", f"there is no {path}; see /openapi.json")

    def _authorize(self, headers: Mapping[bytes, bytes]) -> None:
        if not self._keys:
            return
        given = headers.get(b"authorization", b"")
        given = given[7:].strip() if given[:7].lower() == b"bearer " else given.strip()
        given = given or headers.get(b"api-key", b"")
        # every key is compared, so that the time taken tells nothing of which one was near
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if not any(matches):
            raise HttpError(401, "key", "send a valid API key as `Authorization: Bearer KEY`")


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    told = headers.get(b"content-length", b"0")
    if told.isdigit() and int(told) > MOST_BYTES:
        raise HttpError(413, "too_large", f"the body has {int(told)} bytes, at most {MOST_BYTES} are taken")
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise HttpError(413, "too_large", f"the body has over {MOST_BYTES} bytes, the most taken")
        if not message.get("more_body"):
            return b"".join(parts)


async def _send(send: Send, reply: Reply, body: bytes, request_id: str, watch: Watch) -> None:
    laps = "".join(f", {stage};dur={seconds * 1e3:.3f}" for stage, seconds in watch.laps)
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"server-timing", f"total;dur={watch.spent() * 1e3:.3f}{laps}".encode()),
        *((name.encode(), value.encode()) for name, value in reply.headers),
    ]
    if request_id:
        headers.append((b"x-request-id", request_id.encode("latin-1", "replace")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
