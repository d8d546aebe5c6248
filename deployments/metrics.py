"""What a replica counts and times, as Prometheus reads it; no label carries an id or a text."""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from deployments.http import Receive, Reply, Request, Scope, Send

ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STAGE_SECONDS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


STAGES = ("decode", "state", "predict", "order", "encode")
"""Of a request, in their order; `state` is the wait for the store and for the query's vector."""


class Metrics:
    """Counts of one replica; a registry of its own, so that tests and replicas never share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._watched: dict[str, Gauge] = {}
        self._answers = Counter(
            "raysys_http_answers", "Answers by route and status.", ["route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "raysys_http_seconds",
            "Time from the request's headers to the last byte of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._running = Gauge(
            "raysys_http_running", "Requests that are being answered.", registry=self.registry
        )
        self._degraded = Counter(
            "raysys_degraded", "Answers that did without a part.", ["part"], registry=self.registry
        )
        stages = Histogram(
            "raysys_stage_seconds",
            "Time of each stage of a request.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=self.registry,
        )
        self._stages = {name: stages.labels(name) for name in STAGES}

    def stage(self, name: str, seconds: float) -> None:
        """One of STAGES took this long in a request."""
        self._stages[name].observe(seconds)

    def degraded(self, parts: Iterable[str]) -> None:
        """An answer did without these parts."""
        for part in parts:
            self._degraded.labels(part).inc()

    def watch(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """A number that is read when it is asked for, such as the bundles refused so far."""
        if name not in self._watched:
            self._watched[name] = Gauge(name, meaning, registry=self.registry)
        self._watched[name].set_function(read)

    async def page(self, request: Request) -> Reply:
        """All counts, as Prometheus reads them."""
        return Reply(generate_latest(self.registry), content_type=CONTENT_TYPE)

    def around(self, app: ASGIApp, paths: Collection[str]) -> ASGIApp:
        """`app` with the routes `paths`, with every answer counted and timed."""
        known = frozenset(paths)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = "none"

            async def noted(message: dict[str, Any]) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            route, started = _route(scope["path"], known), time.perf_counter()
            try:
                with self._running.track_inprogress():
                    await app(scope, receive, noted)
            finally:
                self._answers.labels(route, status).inc()
                self._seconds.labels(route).observe(time.perf_counter() - started)

        return counted


def _route(path: str, known: frozenset[str]) -> str:
    """The route of a path, never the path itself: it may hold a user id, and anybody can invent one."""
    if path in known:
        return path
    for route in known:
        if route.endswith("/*") and path.startswith(route[:-1]):
            return route
    prefixed = "/*/" + path[1:].partition("/")[2]
    return prefixed if prefixed in known else "other"
