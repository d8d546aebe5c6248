"""The rerank API of Jina: Cohere's skeleton, with errors as `detail` and 422 for what is wrong."""

from deployments.dialects.cohere import CohereRequest, asked, results, usage
from deployments.dialects.dialect import Dialect, Scored
from deployments.dialects.entries import answer


def reply(scored: Scored) -> bytes:
    head = {"model": scored.model, "object": "list"}
    return answer(scored, head, "results", results(scored), {"usage": usage(scored)})


JINA = Dialect(name="jina", request=CohereRequest, asked=asked, reply=reply, refused=422)
