"""The ranking API of NVIDIA NIM: `passages` in, log odds out."""

import msgspec

from deployments.dialects.dialect import Asked, Dialect, Extras, Scored
from deployments.dialects.entries import answer, scored_list


class NvidiaText(msgspec.Struct, kw_only=True):
    text: str | None


class NvidiaRequest(Extras, kw_only=True):
    query: NvidiaText
    passages: list[NvidiaText]
    top_k: int | None = None
    """No part of the protocol; LiteLLM sends it."""


def asked(request: NvidiaRequest) -> Asked:
    texts = [passage.text for passage in request.passages]
    query = request.query.text or ""
    return Asked(query=query, documents=texts, extras=request, top=request.top_k, raw=True)


def reply(scored: Scored) -> bytes:
    return answer(scored, {}, "rankings", scored_list(scored, "logit"), {})


NVIDIA = Dialect(name="nvidia", request=NvidiaRequest, asked=asked, reply=reply, refused=422)
