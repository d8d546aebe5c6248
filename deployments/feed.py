"""The feed: what a person may like, items like one item, and what everybody likes."""

from collections.abc import Callable
from typing import Any

from ray.serve import Application

from deployments import wire
from deployments.http import Reply, Request, Routes
from deployments.replica import application
from deployments.service import Service, now_ms
from raysys.ranker import Ranker
from raysys.types import Query, Ranking

PREFIX = "/feed"


class Feed:
    """The handlers of the feed, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        return {
            ("POST", "/feed"): self.feed,
            ("POST", "/feed/similar"): self.similar,
            ("POST", "/feed/trending"): self.trending,
        }

    async def feed(self, request: Request) -> Reply:
        """A personal feed."""
        asked = wire.decode(request.body, wire.FeedRequest)
        query = asked.question("feed", now_ms())
        return await self._answer(request, query, asked.budget_ms, Ranker.feed, promotes=True)

    async def similar(self, request: Request) -> Reply:
        """Items like one item."""
        asked = wire.decode(request.body, wire.SimilarRequest)
        query = asked.question("feed", now_ms(), item_id=asked.item_id)
        return await self._answer(request, query, asked.budget_ms, Ranker.similar)

    async def trending(self, request: Request) -> Reply:
        """What everybody likes."""
        asked = wire.decode(request.body, wire.TrendingRequest)
        if asked.category:
            asked.context.category = asked.category
        query = asked.question("feed", now_ms())
        return await self._answer(request, query, asked.budget_ms, Ranker.trending)

    async def _answer(
        self,
        request: Request,
        query: Query,
        budget_ms: float | None,
        made: Callable[..., Ranking],
        *,
        promotes: bool = False,
    ) -> Reply:
        service, ranker = self._service, self._service.ranker()
        service.decoded(request)
        ready = await service.ready(ranker, query, request, budget_ms, promotes=promotes)
        ranking = made(ranker, query, ready.degraded, ready.asker)
        service.ranked(query, request, ranking.degraded)
        return Reply(wire.ranking_table(ranking, explain=query.explain))


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("feed", (Feed,), args, PREFIX)
