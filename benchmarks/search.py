"""Search relevance on Home Depot's judgements, all rankers on equal terms: `python -m benchmarks.search`.

NDCG with linear gains (grade - 1) by ir-measures on queries with 8 or more judged products; what is trained
learns from the queries of the other four folds, all of them. Errors are standard errors over queries.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ir_measures
import numpy as np
from ir_measures import nDCG

from benchmarks.home_depot import FOLDS, Judged, read_judged
from raysys.evaluation.metrics import mean_error
from raysys.relevance.features import NAMES
from raysys.relevance.fit import Judgements, RelevanceConfig, fit_trees, judged_features
from raysys.relevance.model import MEANING, Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS, SignalConstants
from raysys.text.encoder import TextEncoder
from raysys.types import Floats, Wording

ENCODER = Path("var/encoder")
MEASURES = {5: nDCG @ 5, 10: nDCG @ 10}
HALVES = Mix({"meaning": 0.7, "bm25f": 0.3})
"""The hand-set mix to beat: of its weights from .3 to .7 the best on these queries."""
LEARNERS: dict[str, RelevanceConfig] = {
    "raysys, regression": RelevanceConfig(objectives=("regression",)),
    "raysys, LambdaMART": RelevanceConfig(objectives=("lambdarank",)),
    "raysys, both": RelevanceConfig(),
}


@dataclass(frozen=True, slots=True)
class Quality:
    """NDCG (queries,) at 5 and at 10, the queries in one order for every ranker."""

    at: dict[int, Floats]

    def line(self, name: str, other: "Quality | None" = None) -> str:
        """A row of the table, with the paired difference to another at 5."""
        told = "  ".join("{:.4f} ± {:.4f}".format(*mean_error(self.at[length])) for length in MEASURES)
        gain = "" if other is None else "{:+.4f} ± {:.4f}".format(*mean_error(self.at[5] - other.at[5]))
        return f"{name:32} {told}  {gain}"


def quality(judged: Judged, scores: Floats) -> Quality:
    """How well `scores` (N,) order the judged products of each query."""
    rows = np.flatnonzero(np.isin(judged.query, judged.evaluated)).tolist()
    names = [(f"q{judged.query[row]:05d}", str(row)) for row in rows]
    # gains in hundredths: the library wants whole numbers, and a factor cancels out
    grades = [round(100 * (float(judged.grade[row]) - 1)) for row in rows]
    truth = [ir_measures.Qrel(q, doc, grade) for (q, doc), grade in zip(names, grades, strict=True)]
    run = [
        ir_measures.ScoredDoc(q, doc, float(scores[row])) for (q, doc), row in zip(names, rows, strict=True)
    ]
    values: dict[int, dict[str, float]] = {length: {} for length in MEASURES}
    for found in ir_measures.iter_calc(list(MEASURES.values()), truth, run):
        values[found.measure["cutoff"]][found.query_id] = found.value
    return Quality({length: np.array([told[q] for q in sorted(told)]) for length, told in values.items()})


def by_folds(judged: Judged, seen: Floats, config: RelevanceConfig) -> Floats:
    """Relevance (N,) of every pair by trees that saw none of its query's fold."""
    fold, relevant = judged.folds()[judged.query], (judged.grade - 1.0) / 2.0
    found = np.zeros(len(seen))
    for number in range(FOLDS):
        out = fold == number
        trees = fit_trees(seen[~out], relevant[~out], judged.query[~out], config)
        found[out] = trees.relevance(seen[out])
    return found


def spent(work: Callable[[], Floats]) -> tuple[Floats, float]:
    """What `work` gives, and its CPU seconds."""
    begun = time.process_time()
    return work(), time.process_time() - begun


def judgements(judged: Judged) -> Judgements:
    """The same, as relevance is learned from it."""
    return Judgements(
        queries=judged.queries,
        texts=judged.titles,
        query=judged.query,
        text=judged.title,
        relevant=(judged.grade - 1.0) / 2.0,
    )


def table(judged: Judged, seen: Floats) -> None:
    """Print every ranker's quality, the differences to the hand-set mix."""
    rng = np.random.default_rng(0)
    to_beat = quality(judged, HALVES.relevance(seen))
    plain = {
        "random": rng.random(len(seen)),
        "input order": -np.arange(len(seen), dtype=np.float64),
        "BM25": seen[:, NAMES.index("bm25f")],
        "embedding": seen[:, NAMES.index("meaning")],
        "hybrid, .7 embedding + .3 BM25": HALVES.relevance(seen),
        "raysys, zero data": Mix().relevance(seen),
    }
    print(f"{'':32} {'NDCG@5':15}  {'NDCG@10':15}  @5 against the hybrid")
    for name, scores in plain.items():
        print(quality(judged, scores).line(name, to_beat), flush=True)
    for name, config in LEARNERS.items():
        scores, seconds = spent(lambda config=config: by_folds(judged, seen, config))
        error = float(np.sqrt(np.mean((2 * scores + 1 - judged.grade) ** 2)))
        told = quality(judged, scores).line(name, to_beat)
        print(f"{told}   {seconds:.0f} CPU s for {FOLDS} folds, error {error:.4f} of a grade", flush=True)
        constants(name, scores)
    constants("zero data", Mix().relevance(seen))
    constants(
        "zero data, words alone", Mix().relevance(np.where(np.arange(len(NAMES)) == MEANING, np.nan, seen))
    )


def constants(name: str, scores: Floats) -> None:
    """Print what `tuning.relevance` would bring this relevance to the scale of the other signals by."""
    found = SignalConstants.default().measured("relevance", scores)
    place = SIGNALS.index("relevance")
    print(f"  signal of {name}: center {found.center[place]:.3f}, scale {found.scale[place]:.3f}")


def costs(judged: Judged, scorer: RelevanceScorer, vectors: tuple[Floats, Floats], seen: Floats) -> None:
    """Print what each stage of a query costs."""
    learned = fit_trees(seen, (judged.grade - 1) / 2, judged.query, RelevanceConfig(rounds=250))
    encoder, queries = TextEncoder.load(ENCODER), judged.queries[:100]
    encode = spent(lambda: encoder.encode(queries))[1] / len(queries)
    print(f"\nencode a query {1e6 * encode:.0f} µs CPU")
    for size in (100, 1_000):
        texts, others = list(map(Wording, judged.titles[:size])), vectors[1][:size]
        cold = spent(lambda t=texts, v=others: scorer.features_of_texts("warm", vectors[0][0], t, v))[1]
        each = spent(
            lambda t=texts, v=others: np.concatenate(
                [scorer.features_of_texts(q, vectors[0][n], t, v) for n, q in enumerate(queries[:30])]
            )
        )
        rows = each[0][:size]
        mix = spent(lambda r=rows: np.concatenate([Mix().relevance(r) for _ in range(30)]))[1] / 30
        trees = spent(lambda r=rows: np.concatenate([learned.relevance(r) for _ in range(30)]))[1] / 30
        print(
            f"{size:>5} titles: read {1e6 * cold:.0f} µs once, features {1e6 * each[1] / 30:.0f},"
            f" mix {1e6 * mix:.0f}, trees {1e6 * trees:.0f}"
        )
    for words in (50,):
        long = [
            " ".join(f"{title} {n}" for title in judged.titles[n : n + 6]).split()[:words] for n in range(100)
        ]
        texts = [" ".join(text) for text in long]
        for state in ("cold", "cached"):
            seconds = spent(lambda t=texts: encoder.encode(t))[1]
            print(f"100 texts of {words} words, {state}: {1e3 * seconds:.1f} ms CPU to encode")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--encoder", type=Path, default=ENCODER)
    options = parser.parse_args(arguments)
    judged = read_judged()
    print(f"{len(judged.evaluated)} of {len(judged.queries)} queries evaluated, {len(judged.query)} pairs")
    vectors = judged.vectors(options.encoder)
    scorer = RelevanceScorer.learn(judged.titles)
    seen, seconds = spent(lambda: judged_features(scorer, judgements(judged), vectors))
    print(f"features of all pairs: {seconds:.1f} CPU s")
    table(judged, seen)
    costs(judged, scorer, vectors, seen)


if __name__ == "__main__":
    main()
