"""The rerank API of Infinity: Cohere's skeleton, but a document that is repeated is a plain text."""

import time
from dataclasses import replace

from deployments.dialects.cohere import CohereRequest, usage
from deployments.dialects.cohere import asked as as_cohere
from deployments.dialects.dialect import Asked, Dialect, Scored
from deployments.dialects.entries import answer, plain_text, scored_list


class InfinityRequest(CohereRequest, kw_only=True):
    raw_scores: bool | None = None


def asked(request: InfinityRequest) -> Asked:
    return replace(as_cohere(request), raw=bool(request.raw_scores))


def reply(scored: Scored) -> bytes:
    head = {"id": scored.id, "object": "rerank", "model": scored.model, "created": int(time.time())}
    return answer(scored, head, "results", scored_list(scored, form=plain_text), {"usage": usage(scored)})


INFINITY = Dialect(name="infinity", request=InfinityRequest, asked=asked, reply=reply, refused=422)
