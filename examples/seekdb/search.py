"""OceanBase seekdb finds by its full-text index and lets raysys rerank, in SQL, with its own client.

`pip install pylibseekdb`, then `python examples/seekdb/search.py http://127.0.0.1:8000 "green tea"`.
"""

import json
import sys
import tempfile
from collections.abc import Sequence

import pylibseekdb as seekdb

TEAS = ["green tea from the hills", "black tea", "rum", "tea pot, green", "matcha, a green powder tea"]


def rerank(raysys: str, query: str, documents: Sequence[str], hits: int = 100) -> list[tuple[str, float]]:
    """Texts that the engine found and their scores, best first.

    It asks for 20 at a time, and 1.4.0 merges the answers out of order: hence the sort by score.
    """
    folder = tempfile.mkdtemp(prefix="seekdb-")
    seekdb.open(db_dir=folder)
    cursor = seekdb.connect(database="test", autocommit=True).cursor()
    cursor.execute("CREATE TABLE docs (id INT PRIMARY KEY, body VARCHAR(2000), FULLTEXT INDEX words (body))")
    rows = ", ".join(f"({n}, {quoted(text)})" for n, text in enumerate(documents))
    cursor.execute(f"INSERT INTO docs VALUES {rows}")
    model = {"type": "rerank", "model_name": "raysys"}
    end = {"ai_model_name": "raysys", "url": f"{raysys}/v1/rerank", "access_key": "any", "provider": "cohere"}
    cursor.execute(f"CALL DBMS_AI_SERVICE.CREATE_AI_MODEL('raysys', {quoted(json.dumps(model))})")
    cursor.execute(f"CALL DBMS_AI_SERVICE.CREATE_AI_MODEL_ENDPOINT('raysys_end', {quoted(json.dumps(end))})")
    cursor.execute("SET SESSION ob_query_timeout = 100000000")
    cursor.execute(f"SELECT body FROM docs WHERE MATCH (body) AGAINST ({quoted(query)}) LIMIT {hits}")
    found = [body for (body,) in cursor.fetchall()]
    cursor.execute(f"SELECT AI_RERANK('raysys', {quoted(query)}, {quoted(json.dumps(found))})")
    results = json.loads(cursor.fetchone()[0])
    results.sort(key=lambda entry: (-entry["relevance_score"], entry["index"]))
    return [(found[entry["index"]], entry["relevance_score"]) for entry in results]


def quoted(text: str) -> str:
    """A literal of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


if __name__ == "__main__":
    for text, score in rerank(sys.argv[1], sys.argv[2], TEAS):
        print(f"{score:.4f}  {text}")
