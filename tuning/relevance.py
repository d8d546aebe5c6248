"""Fit relevance from judged pairs: python -m tuning.relevance JUDGED.csv ENCODER_DIR OUT_DIR."""

import argparse
import csv
from pathlib import Path

import numpy as np

from raysys.errors import DataError
from raysys.relevance.fit import fit_relevance
from raysys.relevance.scorer import RelevanceScorer
from raysys.text.encoder import TextEncoder
from raysys.types import Floats

COLUMNS = ("query", "text", "grade")


def read_judged(path: Path) -> tuple[list[tuple[str, str]], Floats]:
    """(query, text) pairs and grades scaled to [0, 1] (N,) from a CSV with columns query, text, grade."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := set(COLUMNS) - set(rows.fieldnames or ()):
            raise DataError(f"{path.name} lacks the columns {sorted(missing)}, expected {list(COLUMNS)}")
        judged = [(row["query"], row["text"], float(row["grade"])) for row in rows]
    if not judged:
        raise DataError(f"{path.name} has no rows, expected one for each judged pair")
    grades = np.array([grade for _, _, grade in judged])
    spread = max(float(np.ptp(grades)), 1e-9)
    return [(query, text) for query, text, _ in judged], (grades - grades.min()) / spread


def tune_relevance(judged: Path, encoder: TextEncoder) -> RelevanceScorer:
    """A scorer whose word rarity and share of words come from the judged pairs."""
    pairs, relevant = read_judged(judged)
    vectors = encoder.encode([query for query, _ in pairs]), encoder.encode([text for _, text in pairs])
    scorer = RelevanceScorer.learn({text for _, text in pairs})
    return fit_relevance(scorer, pairs, vectors, relevant)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("judged", "encoder", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    scorer = tune_relevance(given.judged, TextEncoder.load(given.encoder))
    scorer.save(given.out)
    print(f"words say {scorer.lexical_share:.0%}, meaning the rest; written to {given.out}")


if __name__ == "__main__":
    main()
