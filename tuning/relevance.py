"""Learn relevance from judged pairs or from clicks: a bundle like an old one, with another relevance model.

    python -m tuning.relevance JUDGED.csv --bundle var/bundles/ID --out var/drafts/relevance

A file of judgements has the columns query, text and grade; grades are scaled to 0 to 1. A file of clicks has
query, text, position (from 0) and clicked (0 or 1), a row for each showing; a position-based click model
tells what attracts from what stands where people look. What comes out goes through the gate like any other
draft (`tuning.release`).
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.bundle import Bundle
from raysys.errors import DataError
from raysys.relevance.clicks import judgements_of
from raysys.relevance.fit import Fitted, Judgements, RelevanceConfig, fit_relevance
from raysys.relevance.scorer import RelevanceScorer
from raysys.surfaces.experts import Encoder
from raysys.text.analysis import Analyzer
from raysys.text.synonyms import read_synonyms
from raysys.types import Floats

JUDGED = ("query", "text", "grade")
SHOWN = ("query", "text", "position", "clicked")


def read_file(path: Path) -> Judgements:
    """Judgements, or what clicks say of relevance, whichever the columns tell of.

    Raises:
        DataError: says what the file lacks.
    """
    with path.open(newline="", encoding="utf-8") as file:
        shown = "clicked" in (csv.DictReader(file).fieldnames or ())
    return read_clicks(path) if shown else read_judged(path)


def _rows(path: Path, columns: Sequence[str]) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := set(columns) - set(rows.fieldnames or ()):
            raise DataError(f"{path.name} lacks the columns {sorted(missing)}, expected {list(columns)}")
        told = [[row[name] for name in columns] for row in rows]
    if not told:
        raise DataError(f"{path.name} has no rows, expected one for each pair")
    return told


def _numbers(path: Path, rows: Sequence[Sequence[str]], column: int, name: str) -> Floats:
    try:
        return np.array([float(row[column]) for row in rows])
    except ValueError as error:
        raise DataError(f"{path.name}: {name} must be a number in every row: {error}") from error


def read_clicks(path: Path) -> Judgements:
    """What attracts, from a CSV of showings."""
    rows = _rows(path, SHOWN)
    position = _numbers(path, rows, 2, "position").astype(np.int64)
    clicked = _numbers(path, rows, 3, "clicked") > 0
    return judgements_of([row[0] for row in rows], [row[1] for row in rows], position, clicked)


def read_judged(path: Path) -> Judgements:
    """Pairs from a CSV with the columns query, text and grade."""
    told = _rows(path, JUDGED)
    grade = _numbers(path, told, 2, "grade")
    queries = list(dict.fromkeys(query for query, _, _ in told))
    texts = list(dict.fromkeys(text for _, text, _ in told))
    query_of, text_of = ({text: n for n, text in enumerate(names)} for names in (queries, texts))
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
    parser.add_argument("judged", type=Path, help="judgements or clicks, a CSV")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--synonyms", type=Path, help="a group of phrases a line, apart by commas")
    parser.add_argument("--segment", default="pairs", help="pairs, or jieba for Chinese words")
    given = parser.parse_args(arguments)
    judged, bundle = read_file(given.judged), Bundle.load(given.bundle)
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
