"""A replica of any application: its arguments, its start, its releases, and how Serve runs it."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import ray
from ray import serve
from ray.serve import Application
from ray.serve.config import BackpressureConfig

from deployments.compose import compose, keys_of_environment
from deployments.dialects.documents import PLAIN, Reading
from deployments.http import Routes
from deployments.live import LiveBundle
from deployments.metrics import ASGIApp
from deployments.service import BUDGET_MS, Service
from raysys.errors import ConfigError
from raysys.events import located
from raysys.log import RecordWriter
from raysys.state.open import open_store

ONGOING, QUEUED = 256, 256
"""Requests in a replica, and in line before it; whoever comes after them is told to come again."""
log = logging.getLogger(__name__)


class Surface(Protocol):
    """The handlers of one surface."""

    def routes(self) -> Routes: ...


class Opens(Protocol):
    """Makes a surface over a service."""

    def __call__(self, service: Service, /) -> Surface: ...


class Args(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an application is built with; the YAML's `args`."""

    bundle: str = ""
    state: str = "sqlite:var/state.db"
    records: str = "var/records"
    budget_ms: float = BUDGET_MS
    """What a request may take if it does not say."""
    dialects: Reading = PLAIN
    """What is looked for in queries and documents of other protocols."""
    num_cpus: float = 0.1
    resources: dict[str, float] = {}
    """What a replica asks of its node; with SQLite only one node may have it."""


def composed(
    surfaces: Sequence[Opens], service: Service, prefix: str = "", *, ranks: bool = True, **options: Any
) -> ASGIApp:
    """The ASGI callable of these surfaces at `prefix`; `options` are those of `compose`."""
    routes = dict(service.own_routes(ranks=ranks))
    for surface in surfaces:
        routes |= surface(service).routes()
    return compose(routes, service.live, prefix=prefix, **options)


def check_nodes(state: str, wanted: Mapping[str, float], nodes: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a SQLite file where replicas could run on more than one node.

    Raises:
        ConfigError: says what to do.
    """
    able = [
        node
        for node in nodes
        if node.get("Alive")
        and all(node.get("Resources", {}).get(name, 0) >= n for name, n in wanted.items())
    ]
    if state.startswith("sqlite:") and len(able) > 1:
        raise ConfigError(
            f"state is {state!r} but {len(able)} nodes may run this replica, and a SQLite file belongs to"
            " one; give one node a resource of its own and name it in `resources`"
        )


def note_on_ingress(environment: Mapping[str, str]) -> str | None:
    """What an operator should know of the way that requests come in."""
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "1":
        return None
    return (
        "requests come through Serve's Python proxy, at about ten times the CPU of HAProxy;"
        " for HAProxy: `set -a; . deployments/serve.env; set +a` before Ray starts"
    )


def log_with_serve() -> None:
    """Our lines go where Serve's own go, in the format of the YAML's `logging_config`."""
    handlers = logging.getLogger("ray.serve").handlers
    for name in ("deployments", "raysys"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = list(handlers), not handlers
        logger.setLevel(logging.INFO)


@serve.ingress()
class Replica:
    """Opens the store and the bundle; the surfaces do the rest."""

    def __init__(self, surfaces: Sequence[Opens], args: Args, prefix: str, ranks: bool) -> None:
        log_with_serve()
        if not prefix and (note := note_on_ingress(os.environ)):
            log.warning(note)
        check_nodes(args.state, args.resources, ray.nodes())  # type: ignore[no-untyped-call]
        self._surfaces, self._prefix, self._ranks = surfaces, prefix, ranks
        folder, store = Path(args.records), open_store(args.state)
        self._recorder = RecordWriter(folder) if ranks else None
        self._live = LiveBundle(store, self._recorder, folder)
        self._service = Service(self._live, store, folder, args.budget_ms, args.dialects)
        if ranks:
            self._live.load_first(Path(args.bundle))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Built inside the replica, so nothing that cannot be pickled crosses a process."""
        keys = keys_of_environment()
        return composed(
            self._surfaces,
            self._service,
            self._prefix,
            ranks=self._ranks,
            api_keys=keys,
            names_requests=False,  # Serve does
        )

    def __del__(self) -> None:
        """Serve calls this when a replica is stopped in good order: the last records are written."""
        if (recorder := getattr(self, "_recorder", None)) is not None:
            recorder.close()

    def reconfigure(self, user_config: dict[str, str]) -> None:
        """Serve calls this at every release. It returns at once and never raises:
        raising here would stop the replica, loading here would stall every request."""
        if self._ranks and (path := user_config.get("bundle")):
            self._live.release(Path(path))


def application(
    name: str, surfaces: Sequence[Opens], args: dict[str, Any], prefix: str = "", *, ranks: bool = True
) -> Application:
    """An application of these surfaces; `ranks` is whether it needs a bundle.

    Raises:
        ConfigError: names the argument that is wrong.
    """
    given = parse_args(args)
    if ranks and not given.bundle:
        raise ConfigError("bundle is missing: the folder of the bundle that is served")
    deploy = serve.deployment(
        name=name,
        ray_actor_options={"num_cpus": given.num_cpus, "resources": given.resources},
        max_ongoing_requests=ONGOING,
        max_queued_requests=QUEUED,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        health_check_period_s=1,
        max_surge_percent=100,
        user_config={"bundle": given.bundle} if ranks else None,
    )
    return deploy(Replica).bind(surfaces, given, prefix, ranks)


def parse_args(args: Mapping[str, Any]) -> Args:
    """Arguments as a YAML file or a command line gives them."""
    try:
        return msgspec.convert(args, type=Args, strict=False)
    except msgspec.ValidationError as error:
        wrong = located(error)
        raise ConfigError(
            f"{wrong.field or 'args'}: {wrong}; known are {', '.join(Args.__struct_fields__)}"
        ) from error
