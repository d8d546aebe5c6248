"""The OpenAPI document, made from the very structs that decode the requests."""

from collections.abc import Iterable
from typing import Any

import msgspec

from deployments import wire
from deployments.dialects.cohere import CohereRequest
from deployments.dialects.detect import PATHS, SHARED
from deployments.dialects.vllm import SCORE_PATHS, ScoreRequest
from deployments.discovery import PROBES
from deployments.embeddings import PATHS as EMBEDDINGS
from raysys.events import Event

BODIES: dict[str, Any] = {
    "/rank": wire.RankRequest,
    "/feed": wire.FeedRequest,
    "/feed/similar": wire.SimilarRequest,
    "/feed/trending": wire.TrendingRequest,
    "/ads/decide": wire.DecideRequest,
    "/events": Event,
    **dict.fromkeys(SHARED, CohereRequest),
    **{path: dialect.request for path, dialect in PATHS.items()},
    **dict.fromkeys(SCORE_PATHS, ScoreRequest),
    **{path: dialect.request for path, dialect in EMBEDDINGS.items()},
}
SUMMARIES: dict[tuple[str, str], str] = {
    ("POST", "/rank"): "Order the candidates that the engine found for this user.",
    **{("POST", path): "Rerank documents, in Cohere's form or another; docs/engines.md." for path in SHARED},
    **{
        ("POST", path): f"Rerank documents in the dialect of {dialect.name}."
        for path, dialect in PATHS.items()
    },
    **{("POST", path): "Score pairs of texts in the dialect of vLLM." for path in SCORE_PATHS},
    **{("POST", path): "Vectors of texts, from the encoder that rankings use." for path in EMBEDDINGS},
    ("POST", "/feed"): "A personal feed.",
    ("POST", "/feed/similar"): "Items like one item.",
    ("POST", "/feed/trending"): "What everybody likes.",
    ("POST", "/ads/decide"): "Fill a page's placements with ads.",
    ("POST", "/events"): "Take one event, a JSON array or NDJSON; answers once they are durable.",
    ("GET", "/events/users/*"): "Everything that is kept of a user.",
    ("DELETE", "/events/users/*"): "Forget a user, with a receipt.",
    ("GET", "/v1/models"): "The one model, as OpenAI's clients list it.",
    ("GET", "/models"): "The same.",
    ("GET", "/v1/models/*"): "The one model, under the name that is asked for.",
    ("GET", "/info"): "What text-embeddings-inference tells of itself.",
    **{("GET", path): "Whether a bundle serves, for probes; needs no key." for path in PROBES},
    ("GET", "/version"): "Which bundle serves, and which were refused.",
    ("GET", "/health"): "Whether a bundle serves; needs no key.",
    ("GET", "/metrics"): "Counts and times for Prometheus.",
    ("GET", "/openapi.json"): "This document.",
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "field", "message")},
        }
    },
}
_JSON = "application/json"
_FAILURES = {
    "400": "The request is wrong; `field` says where.",
    "401": "An API key is needed.",
    "413": "The body has more than 16 MiB.",
    "429": "Busy; send again after the seconds in `Retry-After`.",
    "503": "No bundle serves yet, or the state store cannot answer.",
}


def document(routes: Iterable[tuple[str, str]], prefix: str = "") -> dict[str, Any]:
    """The document of the application that answers `routes` (method and path).

    Args:
        prefix: of the routes every application has of its own (`/ads/version`).
    """
    listed = sorted((method, path) for method, path in routes if not path.startswith("/*/"))
    known = [path for _, path in listed if path in BODIES]
    components = _schemas([BODIES[path] for path in known])[1]
    paths: dict[str, Any] = {}
    for method, path in listed:
        operation = paths.setdefault(path.replace("*", f"{{{_tail(path)}}}"), {})
        operation[method.lower()] = _operation(method, path, prefix)
    return {
        "openapi": "3.1.0",
        "info": {"title": "raysys", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _operation(method: str, path: str, prefix: str) -> dict[str, Any]:
    own = path.removeprefix(prefix) if (method, path) not in SUMMARIES else path
    failure = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    failures = {status: {"description": told, "content": failure} for status, told in _FAILURES.items()}
    operation: dict[str, Any] = {
        "summary": SUMMARIES.get((method, own), ""),
        "responses": {"200": {"description": "The answer.", "content": {_JSON: {}}}, **failures},
    }
    if path in BODIES:
        operation["requestBody"] = {"required": True, "content": _content(path)}
    if path.endswith("/*"):
        tail = {"name": _tail(path), "in": "path", "required": True, "schema": {"type": "string"}}
        operation["parameters"] = [tail]
    return operation


def _tail(path: str) -> str:
    """What the end of a path names."""
    return "user_id" if path.startswith("/events/users/") else "model"


def _content(path: str) -> dict[str, Any]:
    (schema,), _ = _schemas([BODIES[path]])
    if path != "/events":
        return {_JSON: {"schema": schema}}
    return {
        _JSON: {"schema": {"oneOf": [schema, {"type": "array", "items": schema}]}},
        "application/x-ndjson": {"schema": schema},
    }


def _schemas(kinds: list[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    return msgspec.json.schema_components(
        kinds, schema_hook=_anything, ref_template="#/components/schemas/{name}"
    )


def _anything(kind: type) -> dict[str, Any]:
    """`object` takes whatever JSON can say."""
    if kind is object:
        return {"description": "any JSON value"}
    raise NotImplementedError
