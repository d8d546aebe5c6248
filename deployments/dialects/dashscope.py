"""The rerank API of Aliyun DashScope, as OceanBase seekdb speaks it: query and documents inside `input`."""

import msgspec

from deployments.dialects.cohere import results
from deployments.dialects.dialect import Asked, Dialect, Document, Extras, Scored
from deployments.dialects.entries import answer


class DashScopeInput(msgspec.Struct, kw_only=True):
    query: str
    documents: list[Document]


class DashScopeParameters(msgspec.Struct, kw_only=True):
    top_n: int | None = None
    return_documents: bool | None = None


class DashScopeRequest(Extras, kw_only=True):
    input: DashScopeInput
    parameters: DashScopeParameters | None = None


def asked(request: DashScopeRequest) -> Asked:
    wishes = request.parameters or DashScopeParameters()
    return Asked(
        query=request.input.query,
        documents=request.input.documents,
        extras=request,
        top=wishes.top_n,
        echo=bool(wishes.return_documents),
    )


def reply(scored: Scored) -> bytes:
    output = f'{{"results":{results(scored)}}}'
    tail = {"usage": {"total_tokens": scored.tokens}, "request_id": scored.id}
    return answer(scored, {}, "output", output, tail)


DASHSCOPE = Dialect(name="dashscope", request=DashScopeRequest, asked=asked, reply=reply)
