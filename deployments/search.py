"""Search re-ranking: the engine's candidates in the order that pays off for this person."""

from typing import Any

from ray.serve import Application

from deployments import wire
from deployments.discovery import Discovery
from deployments.embeddings import Embeddings
from deployments.http import Reply, Request, Routes
from deployments.replica import application
from deployments.rerank import Rerank
from deployments.service import Service, now_ms


class Search:
    """The handlers of search, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        return {("POST", "/rank"): self.rank}

    async def rank(self, request: Request) -> Reply:
        """Order the candidates for this user."""
        asked = wire.decode(request.body, wire.RankRequest)
        asked.named_by(request.headers)
        query, candidates = asked.question("search", now_ms(), text=asked.query), asked.to_candidates()
        service, ranker = self._service, self._service.ranker()
        service.decoded(request)
        ready = await service.ready(
            ranker, query, request, asked.budget_ms, len(candidates), sent=candidates, closely=True
        )
        ranking = ranker.rank(query, candidates, ready.vector, ready.degraded, ready.asker)
        service.ranked(query, request, ranking.degraded, len(candidates))
        return Reply(wire.ranking_table(ranking, explain=query.explain))


SURFACE = (Search, Rerank, Embeddings, Discovery)
"""Search as engines meet it: natively, and in the protocols of rerankers and embedding servers."""


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("search", SURFACE, args)
