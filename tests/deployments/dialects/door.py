"""A service over a bundle of fakes, asked in process and byte by byte."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from deployments.app import asgi_app
from deployments.dialects.documents import PLAIN, Reading
from deployments.live import LiveBundle
from raysys.bundle import Bundle
from raysys.events import Event
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from tests import fakes

PATIENT = 60_000.0
OPEN = Reading(envelope=True, documents=("json", "id"))
"""Everything is looked for that a protocol has no place for."""


class Door:
    """Calls of one application; `bundle` is served, `events` are known."""

    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        reading: Reading = PLAIN,
        events: Sequence[Event] = (),
        keys: Sequence[str] = (),
        budget_ms: float = PATIENT,
    ) -> None:
        store = MemoryStore()
        if events:
            store.append(events, fakes.NOW_MS)
        live = LiveBundle(store, None)
        live.ranker = Ranker(fakes.bundle() if bundle is None else bundle, store)
        self.live, self._app = live, asgi_app(live, store, keys, budget_ms=budget_ms, reading=reading)

    def all(self, *calls: tuple[str, Any], headers: Mapping[str, str] | None = None) -> list[httpx.Response]:
        """Answers to several posts, sent at once; a body that is not bytes is sent as JSON."""

        async def sent() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self._app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
                posts = [client.post(path, content=_body(body), headers=headers) for path, body in calls]
                return list(await asyncio.gather(*posts))

        return asyncio.run(sent())

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.all((path, body), headers=named)[0]

    def get(self, path: str) -> httpx.Response:
        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
                return await client.get(path)

        return asyncio.run(sent())

    def scores(self, documents: Sequence[Any], query: str = "the", **more: Any) -> list[float]:
        """Score of each document, in the order sent; `headers` are sent as such."""
        headers = more.pop("headers", {})
        response = self.post("/v1/rerank", {"query": query, "documents": documents, **more}, **headers)
        assert response.status_code == 200, response.text
        told = {entry["index"]: entry["relevance_score"] for entry in response.json()["results"]}
        return [told[place] for place in range(len(documents))]


def _body(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
