"""From handlers to an ASGI callable: which routes an application has, its document and its metrics."""

import os
from collections.abc import Sequence

from deployments.dialects.failures import failure_of
from deployments.discovery import PROBES
from deployments.http import App, Handler, Reply, Request, Routes
from deployments.live import LiveBundle
from deployments.metrics import ASGIApp
from deployments.openapi import document

OWN = ("/version", "/health")
"""Routes that every application has, under its own prefix."""


def compose(
    routes: Routes,
    live: LiveBundle,
    *,
    prefix: str = "",
    api_keys: Sequence[str] = (),
    names_requests: bool = True,
) -> ASGIApp:
    """The application at `prefix`: those of `routes` below it, and its own version, health and metrics."""
    kept: dict[tuple[str, str], Handler] = {}
    for (method, path), handler in routes.items():
        if path in OWN:
            kept[method, prefix + path] = handler
        elif path == prefix or path.startswith(f"{prefix}/"):
            kept[method, path] = handler
    metrics = live.meters
    metrics.watch("raysys_bundles_refused", "Bundles refused since the start.", lambda: len(live.refused))
    metrics.watch("raysys_bundle_serves", "1 if a bundle serves.", lambda: float(live.ranker is not None))
    kept["GET", f"{prefix}/metrics"] = metrics.page
    page = document([*kept, ("GET", f"{prefix}/openapi.json")], prefix)

    async def openapi(request: Request) -> Reply:
        return Reply(page)

    kept["GET", f"{prefix}/openapi.json"] = openapi
    app = App(
        kept,
        api_keys=api_keys,
        open_paths=[f"{prefix}{path}" for path in ("/health", *PROBES)],
        timed=metrics.stage,
        names_requests=names_requests,
        failure_of=failure_of,
    )
    return metrics.around(app, {path for _, path in kept})


def keys_of_environment() -> list[str]:
    """The API keys in RAYSYS_API_KEYS, separated by commas; none means that no key is asked for."""
    return [key.strip() for key in os.environ.get("RAYSYS_API_KEYS", "").split(",") if key.strip()]
