"""Learning from clicks with and without regard to position, on retrotech: `python -m benchmarks.clicks`.

There are clicks only, no judgements. Sessions are split in two. From the first half an order is learned; the
second says how good it is: what attracts there is estimated by inverse propensity, with an examination curve
that is harvested from items at neighboring positions and uses no model of items. The sessions are simulated
(5,000 for each of 13 queries), so this shows that the code does what it should and no more.
"""

import gzip
from pathlib import Path

import numpy as np
import polars as pl

from raysys.errors import DataError
from raysys.evaluation.metrics import mean_error
from raysys.relevance.clicks import ClickModel, Clicks, harvested
from raysys.relevance.fit import mean_ndcg
from raysys.types import Floats, Ints

DATA = Path("../shared/data/retrotech/sessions")
LENGTHS = (5, 10)


def showings(folder: Path = DATA) -> pl.DataFrame:
    """Every showing of a product: sess_id, query, rank, doc, clicked.

    Raises:
        DataError: the data are not here.
    """
    files = sorted(folder.glob("*_sessions.gz"))
    if not files:
        raise DataError(f"{folder} is not here: the benchmark needs data that this repository does not hold")
    frames = [pl.read_csv(gzip.decompress(path.read_bytes()), infer_schema=False) for path in files]
    return (
        pl.concat(frames)
        .select(
            pl.col("sess_id").cast(pl.Int64, strict=False),
            "query",
            pl.col("rank").cast(pl.Float64, strict=False).cast(pl.Int64),
            pl.col("clicked_doc_id").cast(pl.Float64, strict=False).cast(pl.Int64).alias("doc"),
            pl.col("clicked").str.to_lowercase().eq("true"),
        )
        .drop_nulls()
    )


def split(table: pl.DataFrame) -> tuple[pl.DataFrame, Ints, Ints]:
    """The table with a column `pair` from 0, the query (pairs,) of each pair, and each row's half."""
    pairs = table.select("query", "doc").unique(maintain_order=True).with_row_index("pair")
    known = table.join(pairs, on=["query", "doc"], how="left", maintain_order="left")
    query = pairs["query"].rank("dense").to_numpy() - 1
    return known, query.astype(np.int64), (known["sess_id"].to_numpy() % 2).astype(np.int64)


def clicks_of(table: pl.DataFrame) -> Clicks:
    """Showings summed up."""
    return Clicks.of(
        table["pair"].to_numpy().astype(np.int64), table["rank"].to_numpy(), table["clicked"].to_numpy()
    )


def by_propensity(clicks: Clicks, examined: Floats, size: int) -> Floats:
    """What attracts (pairs,), from clicks each weighed by one over the chance that its place is looked at."""
    weighed = clicks.clicked / np.maximum(examined[clicks.position], 0.02)
    shown = np.bincount(clicks.pair, clicks.shown, minlength=size)
    return np.asarray(np.bincount(clicks.pair, weighed, minlength=size) / np.maximum(shown, 1.0))


def deviance(clicks: Clicks, prob: Floats) -> float:
    """Mean negative log likelihood of a showing."""
    sure = np.clip(prob, 1e-9, 1 - 1e-9)
    total = clicks.clicked * np.log(sure) + (clicks.shown - clicks.clicked) * np.log1p(-sure)
    return float(-total.sum() / clicks.shown.sum())


def main() -> None:
    """Measure and print."""
    table, query, half = split(showings())
    size = len(query)
    told = f"{len(table)} showings, {int(table['clicked'].sum())} clicks"
    print(f"{told}, {size} pairs of {query.max() + 1} queries")
    rows: dict[str, list[dict[int, Floats]]] = {}
    for seen in (0, 1):
        train = clicks_of(table.filter(pl.Series(half == seen)))
        test = clicks_of(table.filter(pl.Series(half != seen)))
        truth = by_propensity(test, harvested(test), size)
        model = ClickModel.fit(train)
        rate = train.rates()
        mean_position = np.bincount(train.pair, train.shown * train.position, minlength=size) / np.maximum(
            np.bincount(train.pair, train.shown, minlength=size), 1.0
        )
        orders = {
            "random": np.random.default_rng(seen).random(size),
            "the engine's order": -mean_position,
            "click rate": np.resize(rate, size),
            "position-based model": np.resize(model.attracts, size),
            "inverse propensity": by_propensity(train, harvested(train), size),
        }
        for name, scores in orders.items():
            each = {
                k: np.array([_one(scores, truth, query, q, k) for q in np.unique(query)]) for k in LENGTHS
            }
            rows.setdefault(name, []).append(each)
        if seen == 0:
            print("looked at, by the model:     ", np.round(model.examined[:12], 3))
            print("looked at, by harvesting:    ", np.round(harvested(train)[:12], 3))
        by_rate = deviance(test, rate[test.pair])
        by_model = deviance(test, model.examined[test.position] * model.attracts[test.pair])
        print(
            f"held-out negative log likelihood of a showing: click rate {by_rate:.5f}, model {by_model:.5f}"
        )
    print(f"{'':24} {'NDCG@5':17} {'NDCG@10':17} over queries, mean of both halves")
    for name, found in rows.items():
        cells = []
        for length in LENGTHS:
            mean, error = mean_error(np.mean([each[length] for each in found], axis=0))
            cells.append(f"{mean:.4f} ± {error:.4f}")
        print(f"{name:24} {'   '.join(cells)}")


def _one(scores: Floats, truth: Floats, query: Ints, number: int, length: int) -> float:
    own = query == number
    return mean_ndcg(scores[own], truth[own], query[own], length)


if __name__ == "__main__":
    main()
