"""Errors in the words of each dialect: always JSON, always a text, whatever went wrong."""

from typing import Any

from deployments.http import Failure

TEI_TYPES = {
    400: "Empty",
    413: "Validation",
    422: "Validation",
    424: "Backend",
    429: "Overloaded",
    503: "Unhealthy",
}
OPENAI_TYPES = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def openai(status: int, message: str, request_id: str) -> dict[str, Any]:
    """With the `detail` of Voyage, who shares the path; some clients insist that a code is a text."""
    kind = OPENAI_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": str(status)}
    return {"error": error, "detail": message}


def plain(status: int, message: str, request_id: str) -> dict[str, Any]:
    """Cohere and Elasticsearch read `message`; Jina, Voyage and Weaviate read `detail`.

    No `error`: the SDK of Voyage breaks where it is an object, up to 0.3.7.
    """
    return {"message": message, "detail": message, "id": request_id}


def tei(status: int, message: str, request_id: str) -> dict[str, Any]:
    kind = "Validation" if 400 <= status < 500 else "Backend"
    return {"error": message, "error_type": TEI_TYPES.get(status, kind)}


def shared(status: int, message: str, request_id: str) -> dict[str, Any]:
    """For a path where the body tells the dialect, which an error may have kept from being read."""
    return {**tei(status, message, request_id), **plain(status, message, request_id)}


def dashscope(status: int, message: str, request_id: str) -> dict[str, Any]:
    return {"code": str(status), "message": message, "request_id": request_id}


ENDS: tuple[tuple[str, Failure], ...] = (
    ("/embeddings", openai),
    ("/score", openai),
    ("/v1/models", openai),
    ("/v1/embed", plain),
    ("/v2/embed", plain),
    ("/embed", tei),
    ("/info", tei),
    ("/v1/rerank", plain),
    ("/v2/rerank", plain),
    ("/rerank", shared),
    ("/ranking", plain),
    ("/reranking", plain),
    ("/reranks", plain),
    ("/text-rerank", dashscope),
    ("/text-embedding", dashscope),
)
"""By the end of the path, for any of them may stand below a prefix; the first that fits counts."""


def failure_of(path: str) -> Failure | None:
    """How an error on `path` is told; None where the native form is."""
    if path == "/":
        return tei
    if path.startswith("/vllm/"):
        return openai
    if path.startswith("/voyage/"):
        return plain
    return next((form for end, form in ENDS if path.endswith(end)), None)
