"""Clients of others, unmodified, against a running raysys: `python clients.py NAME URL` tells what they got.

Runs in the environment that `make conformance` builds, never in that of the tests.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DOCUMENTS = ["rum", "green tea", "tea"]


def cohere(url: str) -> dict[str, Any]:
    """Both of its clients."""
    import cohere

    version2, version1 = cohere.ClientV2(api_key="K", base_url=url), cohere.Client(api_key="K", base_url=url)
    found = version2.rerank(model="m", query="green tea", documents=DOCUMENTS, top_n=2)
    objects = [{"text": text, "sku": n} for n, text in enumerate(DOCUMENTS)]
    old = version1.rerank(model="m", query="green tea", documents=objects, return_documents=True)
    try:
        version2.rerank(model="m", query="green tea", documents=DOCUMENTS, top_n=-1)
        error = ""
    except cohere.BadRequestError as refused:
        error = refused.body["message"]
    embedded = version2.embed(
        model="m", texts=DOCUMENTS, input_type="search_query", embedding_types=["float"]
    )
    return {
        "version": cohere.__version__,
        "order": [result.index for result in found.results],
        "old": [result.document.text for result in old.results],
        "error": error,
        "vectors": embedded.embeddings.float_,
    }


def openai(url: str) -> dict[str, Any]:
    """Base64, which it asks for by default, and floats."""
    import openai

    client = openai.OpenAI(api_key="K", base_url=f"{url}/v1")
    packed = client.embeddings.create(model="m", input=DOCUMENTS)
    plain = client.embeddings.create(model="m", input=DOCUMENTS, encoding_format="float", dimensions=384)
    try:
        client.embeddings.create(model="m", input=[[1, 2, 3]])
        error = ""
    except openai.BadRequestError as refused:
        error = refused.message
    return {
        "vectors": [entry.embedding for entry in packed.data],
        "plain": [entry.embedding for entry in plain.data],
        "models": [model.id for model in client.models.list()],
        "error": error,
    }


def voyage(url: str) -> dict[str, Any]:
    """Rerank and embed; its errors must have a text."""
    import voyageai

    client = voyageai.Client(api_key="K", base_url=f"{url}/v1", max_retries=0)
    found = client.rerank("green tea", DOCUMENTS, model="m")
    errors = []
    for wrong in (
        lambda: client.rerank("green tea", DOCUMENTS, model="m", top_k=-1),
        lambda: client.embed(DOCUMENTS, model="m", output_dtype="int8"),
    ):
        try:
            wrong()
        except voyageai.error.InvalidRequestError as refused:
            errors.append(str(refused))
    return {
        "order": [result.index for result in found.results],
        "texts": [result.document for result in found.results],
        "tokens": found.total_tokens,
        "vectors": client.embed(DOCUMENTS, model="m", input_type="query").embeddings,
        "errors": errors,
    }


def seekdb(url: str) -> dict[str, Any]:
    """A database that finds by its own full-text index and asks for the order, as in `examples/seekdb`."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "seekdb"))
    from search import rerank

    documents, query = json.load(sys.stdin)
    return {"ranked": rerank(url, query, documents)}


CLIENTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "cohere": cohere,
    "openai": openai,
    "voyage": voyage,
    "seekdb": seekdb,
}

if __name__ == "__main__":
    print(json.dumps(CLIENTS[sys.argv[1]](sys.argv[2])))
