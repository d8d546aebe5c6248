"""What clients ask before they begin: which models there are, what server this is, whether it is up."""

from importlib.metadata import version
from typing import Any

from deployments.dialects.dialect import MODEL, MOST_DOCUMENTS
from deployments.http import Reply, Request, Routes
from deployments.service import Service
from raysys.text.encoder import MOST_TOKENS

PROBES = ("/ping", "/meta", "/.well-known/ready", "/.well-known/live", "/v1/cluster/auth")
"""Like `/health` they need no key: who probes has none, or asks whether to send one."""


class Discovery:
    """The answers to probes, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        paths = dict.fromkeys(PROBES, self.ready)
        paths |= {"/meta": self.meta, "/v1/cluster/auth": self.auth, "/info": self.info}
        paths |= dict.fromkeys(("/v1/models", "/models", "/*/v1/models"), self.models)
        paths["/v1/models/*"] = self.model
        return {("GET", path): handler for path, handler in paths.items()}

    async def models(self, request: Request) -> Reply:
        """The one model, as OpenAI's clients list it."""
        return Reply({"object": "list", "data": [_served(MODEL)]})

    async def model(self, request: Request) -> Reply:
        """The one model under any name, as a reranker: that is what Xinference's clients make of it."""
        return Reply(_served(request.tail) | {"model_type": "rerank"})

    async def auth(self, request: Request) -> Reply:
        """Xinference's clients send their key only to who says yes."""
        return Reply({"auth": True})

    async def info(self, request: Request) -> Reply:
        """What text-embeddings-inference tells of itself; its clients check every field."""
        return Reply(self._card())

    async def meta(self, request: Request) -> Reply:
        """What Weaviate keeps of a reranker."""
        return Reply({"model": MODEL, "version": version("raysys")})

    async def ready(self, request: Request) -> Reply:
        """Whether a bundle serves."""
        self._service.ranker()
        return Reply({"status": "ok"})

    def _card(self) -> dict[str, Any]:
        bundle = self._service.ranker().bundle
        label = {"id2label": {"0": "relevant"}, "label2id": {"relevant": 0}}
        return {
            "model_id": MODEL,
            "model_sha": bundle.id,
            "model_dtype": "float32",
            "served_model_name": MODEL,
            "model_type": {"reranker": label},
            "max_concurrent_requests": 512,
            "max_input_length": MOST_TOKENS,
            "max_batch_tokens": MOST_DOCUMENTS * MOST_TOKENS,
            "max_batch_requests": None,
            "max_client_batch_size": MOST_DOCUMENTS,
            "auto_truncate": True,
            "tokenization_workers": 1,
            "version": version("raysys"),
            "sha": None,
            "docker_label": None,
        }


def _served(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": MODEL}
