"""Embeddings for engines, in the protocols that their own clients speak, from the bundle's text encoder.

The encoder's cache is the one that rankings use: an engine that embeds a query and then reranks with
it pays for one.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from deployments.dialects import cohere_embed, dashscope_embed, openai, tei_embed
from deployments.dialects.dialect import decoded, refusing
from deployments.http import HttpError, Reply, Request, Routes
from deployments.service import BATCH, Service
from raysys.types import Floats


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol: what it asks, which texts are in it, and how vectors (n, D) are answered."""

    request: type[Any]
    texts: Callable[[Any], list[str]]
    reply: Callable[[Any, Sequence[str], Floats, str], bytes]
    refused: int = 400


OPENAI = Dialect(openai.OpenAIRequest, openai.texts, openai.reply)
COHERE_V1 = Dialect(cohere_embed.CohereEmbedRequest, cohere_embed.texts, cohere_embed.reply_v1)
COHERE_V2 = Dialect(cohere_embed.CohereEmbedRequest, cohere_embed.texts, cohere_embed.reply_v2)
DASHSCOPE = Dialect(dashscope_embed.DashScopeEmbedRequest, dashscope_embed.texts, dashscope_embed.reply)
TEI = Dialect(tei_embed.TeiEmbedRequest, tei_embed.texts, tei_embed.reply, 422)
PATHS = {
    "/v1/embeddings": OPENAI,
    "/embeddings": OPENAI,
    "/v1/embed": COHERE_V1,
    "/v2/embed": COHERE_V2,
    "/embed": TEI,
    "/": TEI,
    "/api/v1/services/embeddings/text-embedding/text-embedding": DASHSCOPE,
}


class Embeddings:
    """The handlers of every embedding dialect, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        handlers = {path: partial(self.embed, dialect) for path, dialect in PATHS.items()}
        handlers |= {f"/*{path}": handler for path, handler in handlers.items() if path != "/"}
        return {("POST", path): handler for path, handler in handlers.items()}

    async def embed(self, dialect: Dialect, request: Request) -> Reply:
        """A vector for each text, in their order."""
        with refusing(dialect.refused):
            asked = decoded(request.body, dialect.request)
            texts = dialect.texts(asked)
        service, ranker = self._service, self._service.ranker()
        if ranker.bundle.encoder is None:
            raise HttpError(dialect.refused, "encoder", "the bundle that serves has no text encoder")
        service.decoded(request)
        vectors = await request.awaited(service.vectors(ranker.bundle.encoder, texts, ranker.text_width))
        write = partial(dialect.reply, asked, texts, vectors, uuid.uuid4().hex)
        try:
            if len(texts) <= BATCH:
                return Reply(write())
            return Reply(await service.batches.result(service.started(service.batches, write)))
        except ValueError as error:  # more dimensions than there are
            raise HttpError(dialect.refused, "bad_request", f"invalid request: {error}") from error
