"""Milvus Lite finds by vectors that raysys made and lets raysys rerank, with its own client.

`pip install pymilvus milvus-lite`, then `python examples/milvus_lite/search.py http://127.0.0.1:8000 "tea"`.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from urllib.request import Request, urlopen

from pymilvus import DataType, Function, FunctionType, MilvusClient

TEAS = ["green tea from the hills", "black tea", "rum", "tea pot, green", "matcha, a green powder tea"]


def embed(raysys: str, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text; that of a query is not made again when it reranks."""
    body = json.dumps({"input": texts}).encode()
    with urlopen(Request(f"{raysys}/v1/embeddings", body)) as response:
        return [entry["embedding"] for entry in json.load(response)["data"]]


def rerank(raysys: str, query: str, documents: Sequence[str], hits: int = 100) -> list[tuple[str, float]]:
    """Texts that the engine found and their scores, best first."""
    client, vectors = MilvusClient(f"{tempfile.mkdtemp()}/shop.db"), embed(raysys, documents)
    schema, index = client.create_schema(), client.prepare_index_params()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=2_000)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=len(vectors[0]))
    index.add_index("vector", index_type="FLAT", metric_type="COSINE")
    client.create_collection("shop", schema=schema, index_params=index)
    rows = [{"id": n, "text": text, "vector": vectors[n]} for n, text in enumerate(documents)]
    client.insert("shop", rows)
    raysys_does = {
        "reranker": "model",
        "provider": "cohere",
        "base_url": f"{raysys}/v2",
        "model_name": "raysys",
        "api_key": "any",
        "queries": [query],
    }
    ranker = Function(
        name="raysys", input_field_names=["text"], function_type=FunctionType.RERANK, params=raysys_does
    )
    found = client.search(
        "shop",
        data=embed(raysys, [query]),
        anns_field="vector",
        limit=hits,
        output_fields=["text"],
        ranker=ranker,
    )
    return [(hit["entity"]["text"], hit["distance"]) for hit in found[0]]


if __name__ == "__main__":
    for text, score in rerank(sys.argv[1], sys.argv[2], TEAS):
        print(f"{score:.4f}  {text}")
