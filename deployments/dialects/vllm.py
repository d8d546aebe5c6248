"""The rerank and score APIs of vLLM."""

import time
from dataclasses import replace
from typing import TypeAlias

from deployments.dialects.cohere import CohereRequest, usage
from deployments.dialects.cohere import asked as as_cohere
from deployments.dialects.dialect import (
    MODEL,
    MOST_DOCUMENTS,
    Asked,
    Dialect,
    Document,
    Extras,
    Scored,
    decoded,
    refusing,
)
from deployments.dialects.entries import NUMBER, answer, entries, scored_list, wrapped
from deployments.http import HttpError
from raysys.types import Floats

SCORE_PATHS = ("/score", "/v1/score")
MOST_QUERIES = 100
"""Different queries in one call of the score API; each is encoded and scored by itself."""

Texts: TypeAlias = str | list[Document] | None


class VllmRequest(CohereRequest, kw_only=True):
    """`top_n` 0 is all, as in every dialect here."""

    use_activation: bool | None = None
    """False asks for log odds."""


def asked(request: VllmRequest) -> Asked:
    return replace(as_cohere(request), raw=request.use_activation is False, echo=True)


def reply(scored: Scored) -> bytes:
    """vLLM repeats every document, and so do its pinned routes alone."""
    head = {"id": scored.id, "model": scored.model}
    return answer(scored, head, "results", scored_list(scored), {"usage": usage(scored)})


VLLM = Dialect(name="vllm", request=VllmRequest, asked=asked, reply=reply)


class ScoreRequest(Extras, kw_only=True):
    """Pairs of texts: one with each of many, or as many with as many, under any of vLLM's names for them."""

    text_1: Texts = None
    text_2: Texts = None
    data_1: Texts = None
    data_2: Texts = None
    queries: Texts = None
    documents: Texts = None
    items: Texts = None
    use_activation: bool | None = None


def questions(body: bytes) -> tuple[ScoreRequest, list[tuple[Asked, list[int]]]]:
    """One question for each different query, and where its documents stand in the request.

    Raises:
        HttpError: says what was found and what was expected.
    """
    with refusing(400):
        request = decoded(body, ScoreRequest)
        left, right = _sides(request)
    places: dict[str, list[int]] = {}
    for place, query in enumerate(left):
        places.setdefault(query, []).append(place)
    if len(places) > MOST_QUERIES or len(right) > MOST_DOCUMENTS:
        told = f"{len(places)} queries with {len(right)} texts, at most {MOST_QUERIES} with {MOST_DOCUMENTS}"
        raise HttpError(400, "bad_request", told)
    raw = request.use_activation is False
    return request, [
        (Asked(query=query, documents=[right[n] for n in at], extras=request, raw=raw, in_order=True), at)
        for query, at in places.items()
    ]


def _sides(request: ScoreRequest) -> tuple[list[str], list[Document]]:
    """Queries and texts, pair by pair."""
    given = [
        (first, second)
        for first, second in (
            (request.text_1, request.text_2),
            (request.data_1, request.data_2),
            (request.queries, request.documents if request.items is None else request.items),
        )
        if first is not None and second is not None
    ]
    if len(given) != 1:
        raise ValueError("expected exactly one pair of `text_1` and `text_2`, or `queries` and `documents`")
    sides: list[list[Document]] = [side if isinstance(side, list) else [side] for side in given[0]]
    left, right = sides
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise ValueError(f"{len(left)} queries with {len(right)} texts, expected one query or as many")
    if not all(isinstance(query, str) for query in left):
        raise ValueError("expected every query to be a text")
    return [str(query) for query in left], right


def score_reply(scores: Floats, request: ScoreRequest, request_id: str, tokens: int) -> bytes:
    """Scores (C,) of the pairs, in their order."""
    head = {"id": request_id, "object": "list", "created": int(time.time()), "model": request.model or MODEL}
    form = f'{{"index":%d,"object":"score","score":{NUMBER}}}'
    listed = entries(form, range(len(scores)), scores.tolist())
    return wrapped(head, "data", listed, {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
