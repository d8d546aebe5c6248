"""Search re-ranking: the engine's candidates in the order that pays off for this person."""

from typing import Any

from ray.serve import Application

from deployments import wire
from deployments.dialects import cohere
from deployments.http import Reply, Request, Routes
from deployments.replica import application
from deployments.service import Service, now_ms
from raysys.ranker import nameless


class Search:
    """The handlers of search, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        return {("POST", "/rank"): self.rank, ("POST", "/v2/rerank"): self.rerank}

    async def rank(self, request: Request) -> Reply:
        """Order the candidates for this user."""
        asked = wire.decode(request.body, wire.RankRequest)
        query, candidates = asked.question("search", now_ms(), text=asked.query), asked.to_candidates()
        service, ranker = self._service, self._service.ranker()
        service.decoded(request)
        ready = await service.ready(ranker, query, request, asked.budget_ms, len(candidates))
        ranking = ranker.rank(query, candidates, ready.vector, ready.degraded, ready.asker)
        service.ranked(query, request, ranking.degraded, len(candidates))
        return Reply(wire.ranking_table(ranking, explain=query.explain))

    async def rerank(self, request: Request) -> Reply:
        """The Cohere v2 dialect: documents in, scores out."""
        asked = cohere.decode(request.body)
        size, service, ranker = len(asked.documents), self._service, self._service.ranker()
        query = nameless(asked.query, size)
        service.decoded(request)
        ready = await service.ready(ranker, query, request, None, size)
        scores = ranker.rerank(asked.query, asked.documents, ready.vector, ready.degraded, ready.asker)
        service.ranked(query, request, ready.degraded, size)
        return cohere.reply(asked, scores)


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("search", (Search,), args)
