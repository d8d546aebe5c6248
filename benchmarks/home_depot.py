"""Home Depot's judged search results: queries, titles, and how well people found that they fit (1 to 3)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.vectors import kept_vectors
from raysys.errors import DataError
from raysys.types import Floats, Ints

DATA = Path("../shared/data/home_depot/train.csv.gz")
VECTORS = Path("var/bench/home_depot")
JUDGED = 8
"""Queries with at least so many judged products are evaluated; all are learned from."""
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """N judged pairs of Q queries and T titles, the pairs of one query together, in the file's order."""

    queries: list[str]
    titles: list[str]
    query: Ints
    """(N,) which query."""
    title: Ints
    """(N,) which title."""
    grade: Floats
    """(N,) mean of the judges, from 1 to 3."""

    @property
    def evaluated(self) -> Ints:
        """The queries that have enough judgements to be evaluated."""
        return np.flatnonzero(np.bincount(self.query) >= JUDGED)

    def folds(self, seed: int = 0) -> Ints:
        """A fold (Q,) for every query: no query is in two."""
        order = np.random.default_rng(seed).permutation(len(self.queries))
        fold = np.empty(len(order), np.int64)
        fold[order] = np.arange(len(order)) % FOLDS
        return fold

    def vectors(self, encoder: Path, out: Path = VECTORS) -> tuple[Floats, Floats]:
        """Unit rows (Q, D) of the queries and (T, D) of the titles."""
        return kept_vectors(self.queries, encoder, out), kept_vectors(self.titles, encoder, out)


def read_judged(path: Path = DATA) -> Judged:
    """The judgements in `path`.

    Raises:
        DataError: the file is not here.
    """
    if not path.exists():
        raise DataError(f"{path} is not here: the benchmark needs data that this repository does not hold")
    table = pl.read_csv(path)
    queries = table["search_term"].unique(maintain_order=True).to_list()
    titles = table["product_title"].unique(maintain_order=True).to_list()
    query_of = {text: number for number, text in enumerate(queries)}
    title_of = {text: number for number, text in enumerate(titles)}
    query = np.array([query_of[text] for text in table["search_term"]])
    order = np.argsort(query, kind="stable")
    return Judged(
        queries=queries,
        titles=titles,
        query=query[order],
        title=np.array([title_of[text] for text in table["product_title"]])[order],
        grade=table["relevance"].to_numpy()[order],
    )
