"""The rerank API of Cohere, v2 and v1; v1's answer also has what Jina, vLLM and Infinity clients look for."""

from typing import Any

from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import answer, scored_list


class CohereRequest(Extras, kw_only=True):
    """Documents to score for a query. Objects count by their `text`, else by all their values."""

    query: str
    documents: list[Document]
    top_n: int | None = None
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    """v1: keys of an object that make its text, in this order."""


def asked(request: CohereRequest) -> Asked:
    return Asked(
        query=request.query,
        documents=request.documents,
        extras=request,
        top=request.top_n,
        echo=bool(request.return_documents),
        fields=tuple(request.rank_fields or ()),
    )


def results(scored: Scored) -> str:
    """Entries with a `document` only if it was asked for: Elasticsearch fails on any further key."""
    return scored_list(scored)


def meta(version: str, scored: Scored) -> dict[str, Any]:
    """What Cohere counts; RAGFlow's clients for Xinference and SiliconFlow add up its `tokens`."""
    return {
        "api_version": {"version": version},
        "billed_units": {"search_units": 1},
        "tokens": {"input_tokens": scored.tokens, "output_tokens": 0},
    }


def usage(scored: Scored) -> dict[str, int]:
    """What others count; Together's clients look for all three."""
    return {"prompt_tokens": scored.tokens, "completion_tokens": 0, "total_tokens": scored.tokens}


def reply_v2(scored: Scored) -> bytes:
    return answer(scored, {"id": scored.id}, "results", results(scored), {"meta": meta("2", scored)})


def reply_v1(scored: Scored) -> bytes:
    head = {"id": scored.id, "object": "rerank", "model": scored.model}  # Infinity's client checks it
    tail = {"usage": usage(scored), "meta": meta("1", scored)}
    return answer(scored, head, "results", results(scored), tail)


V2 = Dialect(name="cohere", request=CohereRequest, asked=asked, reply=reply_v2)
V1 = Dialect(name="cohere-v1", request=CohereRequest, asked=asked, reply=reply_v1)
