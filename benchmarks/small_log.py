"""Whether saying queries otherwise helps an encoder where the log is small: `python -m benchmarks.small_log`.

A small log is some queries of Home Depot's folds 1 to 4 with all their judged products. An encoder learns
from it with words left out (token dropout) or said by synonyms, and without; all of them in the same steps.
The evaluated queries of fold 0, of which it knows none, say how good it is, by the cosine alone. Differences
are paired by query; each is the mean over the seeds, which draw the log and the words.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.encoders import of
from benchmarks.fine_tuned import CONFIG, encoder
from benchmarks.home_depot import Judged, read_judged
from benchmarks.search import judgements, quality
from raysys.evaluation.metrics import mean_error
from raysys.relevance.bi_encoder import fine_tune
from raysys.relevance.fit import Judgements
from raysys.relevance.lessons import some
from raysys.text.augment import Augmenter
from raysys.text.torch_encoder import vectors
from raysys.types import Floats

SYNONYMS = (
    ("refrigerator", "fridge"), ("air conditioner", "ac"), ("faucet", "tap"), ("couch", "sofa"),
    ("lamp", "light"), ("trash can", "garbage can", "waste bin"), ("drapes", "curtain"), ("rug", "carpet"),
    ("washing machine", "washer"), ("stove", "range", "cooker"), ("lawn mower", "mower"),
    ("weed eater", "string trimmer"), ("sheetrock", "drywall", "plasterboard"), ("spigot", "hose bib"),
    ("commode", "toilet"), ("cabinet", "cupboard"), ("wrench", "spanner"), ("outlet", "receptacle"),
    ("hot water heater", "water heater"), ("closet", "wardrobe"), ("shade", "blind"), ("bolt", "screw"),
    ("skill saw", "circular saw"), ("paver", "paving stone"), ("bbq", "barbecue", "grill"), ("gray", "grey"),
)  # fmt: skip
"""Groups of phrases, written by hand before anything was measured; they are no part of the product."""
WAYS = {
    "as it is": Augmenter(),
    "a tenth of the words dropped": Augmenter(dropped=0.1),
    "three tenths": Augmenter(dropped=0.3),
    "half of the synonyms": Augmenter(replaced=0.5, synonyms=SYNONYMS),
}
ASKED = 0
"""The fold that judges."""


def small_log(judged: Judged, pairs: int, seed: int) -> Judgements:
    """About so many pairs of the folds that do not judge, whole queries."""
    sizes = np.bincount(judged.query, minlength=len(judged.queries))
    order = np.random.default_rng(seed).permutation(np.flatnonzero(judged.folds() != ASKED))
    chosen = order[: int(np.searchsorted(np.cumsum(sizes[order]), pairs)) + 1]
    return some(judgements(judged), np.isin(judged.query, chosen))


def cosines(model: object, asked: Judged) -> Floats:
    """(n,) of the pairs that judge."""
    queries, titles = vectors(model, asked.queries), vectors(model, asked.titles)
    return np.asarray(np.einsum("nd,nd->n", queries[asked.query], titles[asked.title]))


def table(name: str, came: Floats, found: Mapping[str, Sequence[Floats]]) -> None:
    """Print NDCG@5 of every way over its seeds, what it is more than before, and more than the first way."""
    means = {way: np.mean(values, axis=0) for way, values in found.items()}
    usual = next(iter(means.values()))
    for way, mean in means.items():
        more, beside = mean_error(mean - came), mean_error(mean - usual)
        print(
            f"{name}, {way:30} {mean.mean():.4f}, more than before {more[0]:+.4f} ± {more[1]:.4f},"
            f" than the first {beside[0]:+.4f} ± {beside[1]:.4f}",
            flush=True,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn in each of the ways, and print what each brings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_log", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="+", default=[300, 1_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--passes", type=float, default=8.0, help="over the log; in one, nothing is repeated")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    given = parser.parse_args(arguments)
    judged = read_judged()
    judges = judged.evaluated[judged.folds()[judged.evaluated] == ASKED]
    asked, model = of(judged, np.isin(judged.query, judges)), encoder()
    begin = {name: part.clone() for name, part in model.state_dict().items()}
    came = quality(asked, cosines(model, asked)).at[5]
    print("NDCG@5 of {} queries as the encoder came: {:.4f} ± {:.4f}".format(len(came), *mean_error(came)))
    for pairs in given.pairs:
        found: dict[str, list[Floats]] = {way: [] for way in given.ways}
        for seed in given.seeds:
            log = small_log(judged, pairs, seed)
            for way in given.ways:
                model.load_state_dict(begin)
                config = replace(CONFIG, passes=given.passes, seed=seed, augmenter=WAYS[way])
                *_, last = fine_tune(model, log, config)
                found[way].append(quality(asked, cosines(model, asked)).at[5])
                told = f"{len(log.query)} pairs, {last.cpu_seconds:.0f} CPU s, loss {last.loss:.4f}"
                print(f"  {way}, seed {seed}: {told}, {found[way][-1].mean():.4f}", flush=True)
            table(f"{pairs} pairs, to seed {seed}", came, found)


if __name__ == "__main__":
    main()
