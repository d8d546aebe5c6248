"""Ads: a page's placements filled with what is worth most, at the price of the place."""

from concurrent.futures import Future
from typing import Any

from ray.serve import Application

from deployments import wire
from deployments.budget import KEPT
from deployments.http import AGAIN, HttpError, Reply, Request, Routes
from deployments.lanes import Busy, Late
from deployments.replica import application
from deployments.service import Service, now_ms
from raysys.ranker import Ranker
from raysys.surfaces.ads import Decision

PREFIX = "/ads"


class Ads:
    """The handlers of ads, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        return {("POST", "/ads/decide"): self.decide}

    async def decide(self, request: Request) -> Reply:
        """Fill a page's placements with ads.

        Prices are set aside durably, which waits for the disk. If that takes longer than the
        budget the page stays without ads, and what is set aside late is given back.
        """
        asked = wire.decode(request.body, wire.DecideRequest)
        query, placements = asked.question("ads", now_ms()), asked.to_placements()
        service, ranker = self._service, self._service.ranker()
        service.decoded(request)
        left = service.left(request, asked.budget_ms) * (1 - KEPT)
        try:
            deciding = service.writes.start(ranker.decide, query, placements)
        except Busy:
            raise HttpError(429, "busy", "too much waits for the disk; send again", AGAIN) from None
        try:
            decision = await service.writes.result(deciding, left)
        except Late:
            deciding.add_done_callback(lambda late: _give_back(ranker, late))
            missing = ("state", "deadline") if service.left(request, asked.budget_ms) <= 0 else ("state",)
            decision = ranker.decide(query, placements, missing)
        service.ranked(query, request, decision.degraded)
        return Reply(wire.decision_table(decision, explain=query.explain))


def _give_back(ranker: Ranker, late: "Future[Decision]") -> None:
    """Nobody will show these ads: end what was set aside for them."""
    if not late.cancelled() and late.exception() is None:
        ranker.withdraw(late.result())


def build(args: dict[str, Any]) -> Application:
    """The application that `serve run` starts."""
    return application("ads", (Ads,), args, PREFIX)
