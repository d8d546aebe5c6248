"""All of raysys in one process: search, ads, feed and events behind one application.

`serve run deployments.app:build bundle=PATH state=sqlite:PATH`, or with a YAML file. The
handlers decode, rank and encode; all judgement lives in `Ranker`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray.serve import Application

from deployments.ads import Ads
from deployments.dialects.documents import PLAIN, Reading
from deployments.events import Events
from deployments.feed import Feed
from deployments.live import LiveBundle
from deployments.metrics import ASGIApp
from deployments.replica import application, composed
from deployments.search import SURFACE
from deployments.service import BUDGET_MS, Service
from raysys.state.protocol import StateStore

EVERYTHING = (*SURFACE, Ads, Feed, Events)


def asgi_app(
    live: LiveBundle,
    store: StateStore,
    api_keys: Sequence[str] = (),
    records: Path | None = None,
    budget_ms: float = BUDGET_MS,
    reading: Reading = PLAIN,
) -> ASGIApp:
    """The ASGI callable over a live bundle, a store, and the folder of its ranking records."""
    return composed(EVERYTHING, Service(live, store, records, budget_ms, reading), api_keys=api_keys)


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("raysys", EVERYTHING, args)
