"""Reranking for engines, in the protocols that their own clients speak: documents in, scores out."""

import uuid
from collections.abc import Callable
from functools import partial

import numpy as np

from deployments.dialects.detect import PATHS, SHARED, dialect_of
from deployments.dialects.dialect import MODEL, Asked, Dialect, Scored, arranged, as_sent
from deployments.dialects.documents import texts_of
from deployments.dialects.envelope import opened, question, vector_of
from deployments.dialects.vllm import SCORE_PATHS, questions, score_reply
from deployments.http import Handler, HttpError, Reply, Request, Routes
from deployments.lanes import Late
from deployments.service import Service, now_ms
from raysys.errors import Part
from raysys.ranker import Ranker
from raysys.types import Candidates, Floats, Query

PACE = "rerank"
"""Its requests are timed apart from `/rank`: texts cost more than items."""
MINUTE_MS = 60_000
"""Scores are made as of the end of the minute, so that the pieces of one list agree to the last digit."""


class Rerank:
    """The handlers of every rerank dialect, over one service.

    Scores are pointwise, at temperature 0 and without the engine's own, so an engine may split a
    list and merge the answers; a filtered document gets 0.0.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> Routes:
        """Shared paths tell the dialect by the body; `/NAME/...` are pinned to one.

        `/*/` is any one segment: clients put the name of a model or a deployment there.
        """
        paths: dict[str, Handler] = {path: partial(self.rerank, dialect_of) for path in SHARED}
        paths |= {path: partial(self.rerank, partial(_always, dialect)) for path, dialect in PATHS.items()}
        paths |= dict.fromkeys(SCORE_PATHS, self.score)
        paths |= {f"/*{path}": paths[path] for path in (*SHARED, "/v2/rerank", *SCORE_PATHS)}
        return {("POST", path): handler for path, handler in paths.items()}

    async def rerank(self, pick: Callable[[bytes], Dialect], request: Request) -> Reply:
        """Every document once, or the first of them, in the dialect that `pick` finds."""
        dialect = pick(request.body)
        asked = dialect.decode(request.body)
        if request.parameter("order") == "input":
            asked.extras.order = "input"
        scored = await self._scored(request, asked, dialect.refused)
        return Reply(dialect.reply(scored), headers=_told(scored.degraded))

    async def score(self, request: Request) -> Reply:
        """vLLM's score API: pairs in, scores out in their order."""
        asked, each = questions(request.body)
        scores, tokens = np.zeros(sum(len(places) for _, places in each)), 0
        degraded: set[Part] = set()
        for one, places in each:
            scored = await self._scored(request, one)
            scores[places], tokens = scored.scores, tokens + scored.tokens
            degraded.update(scored.degraded)
        body = score_reply(scores, asked, uuid.uuid4().hex, tokens)
        return Reply(body, headers=_told(tuple(sorted(degraded))))

    async def _scored(self, request: Request, asked: Asked, refused: int = 400) -> Scored:
        """The scores of a request's documents, in the order of the answer.

        Raises:
            HttpError: with the status `refused`, a field of the request is wrong; says which.
        """
        reading, ranker = self._service.reading, self._service.ranker()
        try:
            texts, candidates = texts_of(asked, reading)
            told = opened(asked.query, enabled=reading.envelope)
            query = question(told, asked.extras, request.headers, len(texts), _minute(now_ms()))
            vector = vector_of(told, asked.extras, ranker.text_width)
        except ValueError as error:
            raise HttpError(refused, "bad_request", f"invalid request: {error}") from error
        budget_ms = asked.extras.budget_ms
        scores, degraded = await self._scores(ranker, request, query, candidates, vector, budget_ms)
        order, rounded = arranged(asked, scores)
        model = asked.extras.model or request.parameter("model") or MODEL
        return Scored(
            order=order,
            scores=rounded,
            asked=asked,
            texts=texts,
            id=str(query.id),
            model=model,
            degraded=degraded,
        )

    async def _scores(
        self,
        ranker: Ranker,
        request: Request,
        query: Query,
        candidates: Candidates,
        vector: Floats | None,
        budget_ms: float | None,
    ) -> tuple[Floats, tuple[Part, ...]]:
        """Score (C,) of each candidate, and what it was made without.

        Made in a thread: a thousand texts take long enough to hold up everybody else. What comes
        too late keeps the order that was sent.
        """
        service, size = self._service, len(candidates)
        service.decoded(request)
        ready = await service.ready(
            ranker, query, request, budget_ms, size, vector=vector, sent=candidates, pace=PACE
        )
        asker = ready.asker
        if "deadline" in ready.degraded:  # only filters are left to be looked at
            scores = ranker.score(query, candidates, None, ready.degraded, asker)
            service.ranked(query, request, ready.degraded, size, pace=PACE)
            return as_sent(scores), ready.degraded
        scoring = service.started(
            service.scores, ranker.score, query, candidates, ready.vector, ready.degraded, asker
        )
        try:
            scores = await service.scores.result(scoring, max(service.left(request, budget_ms), 0.0))
            degraded = ready.degraded if asker is None else asker.degraded
        except Late:
            scores, degraded = np.ones(size), (*ready.degraded, "deadline")
        service.ranked(query, request, degraded, size, pace=PACE)
        return (as_sent(scores) if "deadline" in degraded else scores), tuple(sorted(set(degraded)))


def _minute(time_ms: int) -> int:
    """The end of the minute: no event that is known lies after it."""
    return (time_ms // MINUTE_MS + 1) * MINUTE_MS


def _always(dialect: Dialect, body: bytes) -> Dialect:
    return dialect


def _told(degraded: tuple[Part, ...]) -> tuple[tuple[str, str], ...]:
    """A header, because not every dialect has a place for it in the body."""
    return (("x-raysys-degraded", ",".join(degraded)),) if degraded else ()
