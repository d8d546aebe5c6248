"""Learn relevance from judged pairs: a new bundle from an old one, with another relevance model.

    python -m tuning.relevance JUDGED.csv --bundle var/bundles/ID --out var/drafts/relevance

The file has the columns query, text and grade; grades are scaled to 0 to 1. What comes out goes through the
gate like any other draft (`tuning.release`).
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.bundle import Bundle
from raysys.errors import DataError
from raysys.relevance.fit import Fitted, Judgements, RelevanceConfig, fit_relevance
from raysys.relevance.scorer import RelevanceScorer
from raysys.surfaces.experts import Encoder
from raysys.text.analysis import Analyzer
from raysys.text.synonyms import read_synonyms

COLUMNS = ("query", "text", "grade")


def read_judged(path: Path) -> Judgements:
    """Pairs from a CSV with the columns query, text and grade."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := set(COLUMNS) - set(rows.fieldnames or ()):
            raise DataError(f"{path.name} lacks the columns {sorted(missing)}, expected {list(COLUMNS)}")
        told = [(row["query"], row["text"], float(row["grade"])) for row in rows]
    if not told:
        raise DataError(f"{path.name} has no rows, expected one for each judged pair")
    queries = list(dict.fromkeys(query for query, _, _ in told))
    texts = list(dict.fromkeys(text for _, text, _ in told))
    query_of, text_of = ({text: n for n, text in enumerate(names)} for names in (queries, texts))
    grade = np.array([grade for _, _, grade in told])
    return Judgements(
        queries=queries,
        texts=texts,
        query=np.array([query_of[query] for query, _, _ in told]),
        text=np.array([text_of[text] for _, text, _ in told]),
        relevant=(grade - grade.min()) / max(float(np.ptp(grade)), 1e-9),
    )


def tune_relevance(
    judged: Judgements,
    scorer: RelevanceScorer,
    encoder: Encoder | None,
    config: RelevanceConfig | None = None,
) -> Fitted:
    """`scorer` with what the judgements say; without an encoder, from words alone."""
    vectors = None if encoder is None else (encoder.encode(judged.queries), encoder.encode(judged.texts))
    return fit_relevance(scorer, judged, vectors, config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, say what it brought, and write the bundle."""
    parser = argparse.ArgumentParser(
        prog="python -m tuning.relevance", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("judged", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--synonyms", type=Path, help="a group of phrases a line, apart by commas")
    parser.add_argument("--segment", default="pairs", help="pairs, or jieba for Chinese words")
    given = parser.parse_args(arguments)
    judged, bundle = read_judged(given.judged), Bundle.load(given.bundle)
    groups = () if given.synonyms is None else tuple(map(tuple, read_synonyms(given.synonyms)))
    scorer = RelevanceScorer.of_catalog(bundle.catalog, Analyzer(groups, given.segment))
    fitted = tune_relevance(judged, scorer, bundle.encoder)
    told = {
        "judgements": len(judged.relevant),
        "ndcg_at_5": {"mix": fitted.mix_ndcg, "trees": fitted.trees_ndcg},
    }
    manifest = {**bundle.manifest, "relevance": told}
    saved = replace(bundle, relevance=fitted.scorer, manifest=manifest).save(given.out)
    better = fitted.trees_ndcg > fitted.mix_ndcg
    print(
        f"NDCG@5 on queries held out: mix {fitted.mix_ndcg:.4f}, trees {fitted.trees_ndcg:.4f}"
        f" (error {fitted.trees_error:.3f}); {'trees' if better else 'the mix'} in {saved.id} at {given.out}"
    )


if __name__ == "__main__":
    main()
