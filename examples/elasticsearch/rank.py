"""One step further than a rerank endpoint: hits of Elasticsearch to `/rank`, with the person who asks.

`python examples/elasticsearch/rank.py http://elastic:9200/shop http://raysys:8000 "green tea" ann`
"""

import json
import sys
from typing import Any
from urllib.request import Request, urlopen


def post(url: str, body: Any, **headers: str) -> Any:
    """The JSON answer to a JSON body."""
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urlopen(request, timeout=10) as response:
        return json.load(response)


def search(engine: str, raysys: str, text: str, user: str, length: int = 10) -> list[dict[str, Any]]:
    """The engine's hits in the order that pays off for this person."""
    found = post(f"{engine}/_search", {"query": {"match": {"title": text}}, "size": 100})["hits"]["hits"]
    candidates = [
        {"item_id": hit["_id"], "engine_score": hit["_score"], "text": hit["_source"]["title"]}
        for hit in found
    ]
    asked = {"query": text, "candidates": candidates, "length": length}
    ranking = post(f"{raysys}/rank", asked, **{"X-User-Id": user})
    by_id = {hit["_id"]: hit for hit in found}
    return [by_id[item["item_id"]] for item in ranking["items"]]


if __name__ == "__main__":
    for hit in search(*sys.argv[1:5]):
        print(hit["_id"], hit["_source"]["title"])
