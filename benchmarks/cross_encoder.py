"""A cross-encoder on Home Depot, for the first few candidates: `python -m benchmarks.cross_encoder`.

It reads query and title together. The folds fall into parts; for each part it learns from the queries of the
others, less a tenth that says how much it is to say (`tuning.cross_encoder`), and what it says of the part is
as a replica reads it. What it stands beside has learned from the other four folds.
The data has no engine, so BM25 stands in: the first ten are its first ten. NDCG as in `benchmarks.search`.
"""

import argparse
import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import numpy as np

from benchmarks.fine_tuned import meaning
from benchmarks.home_depot import FOLDS, Judged, read_judged
from benchmarks.search import ENCODER, judgements, quality
from raysys.relevance.blend import blend_of
from raysys.relevance.cross_encoder import CrossConfig, fine_tune_pairs
from raysys.relevance.features import NAMES
from raysys.relevance.fit import RelevanceConfig, judged_features, trees_of
from raysys.relevance.lessons import some
from raysys.relevance.model import MEANING, Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.unseen import unread
from raysys.text.cross_encoder import CrossEncoder
from raysys.text.export import export_pairs
from raysys.types import Bools, Floats
from tuning.cross_encoder import reader_of

OUT = Path("var/bench/cross_encoder")
CONFIG = CrossConfig()
"""Before any other fold was asked, fold 4 was, by what learned from folds 1 to 3: all six layers at 1e-4, to
the end, and four layers at 1.5e-4 for a quarter of two passes. They did alike; the second is cheaper."""
FIRST = 10
TIMED = 200
"""Pairs by which it is timed."""
Plain = Callable[[int, Bools], Floats]
"""Relevance (N,) where a fold is asked, by a model that learned from the pairs of a mask (N,)."""


def name_of(part: Set[int]) -> str:
    return "without-" + "-".join(map(str, sorted(part)))


def learned(judged: Judged, part: Set[int]) -> CrossEncoder:
    """The cross-encoder that never saw some folds, learned once; it goes on where it was stopped."""
    if not (out := OUT / name_of(part)).exists():
        (work := OUT / f"{name_of(part)}.work").mkdir(parents=True, exist_ok=True)
        kept = ~unread(judged.queries)[judged.query] & ~within(judged, part)
        reader = reader_of(None)
        for check in fine_tune_pairs(reader, some(judgements(judged), kept), CONFIG, work):
            told = f"{check.pairs} pairs, {check.cpu_seconds:.0f} CPU s, loss {check.loss:.4f}"
            print(f"{name_of(part)}: {told}", flush=True)
        export_pairs(reader.network, reader.tokenizer, out)
    return CrossEncoder.load(out)


def within(judged: Judged, part: Set[int]) -> Bools:
    """The pairs (N,) of some folds."""
    return np.isin(judged.folds()[judged.query], sorted(part))


def readings(judged: Judged, part: Set[int]) -> Floats:
    """What it says (N,) of some folds and of the tenth of the others that it has not read; else NaN.

    Of the folds, only queries that are evaluated.
    """
    if not (path := OUT / f"{name_of(part)}.npy").exists():
        evaluated = np.isin(judged.query, judged.evaluated)
        asked = unread(judged.queries)[judged.query] | (within(judged, part) & evaluated)
        found, cross = np.full(len(asked), np.nan), learned(judged, part)
        found[asked] = cross.of_pairs(judged.queries, judged.titles, judged.query[asked], judged.title[asked])
        np.save(path, found, allow_pickle=False)
    return np.asarray(np.load(path, allow_pickle=False))


def first_by(scores: Floats, judged: Judged, length: int) -> Bools:
    """The pairs (N,) that stand among the first of their query by `scores` (N,)."""
    found = np.zeros(len(scores), bool)
    order = np.lexsort((-scores, judged.query))
    start = np.flatnonzero(np.diff(judged.query[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(start, np.diff(start, append=len(order)))
    found[order[place < length]] = True
    return found


def compared(judged: Judged, plain: Plain, first: Bools, parts: Sequence[Set[int]]) -> dict[str, Floats]:
    """Relevance (N,) without the cross-encoder, with it for the first, and with it for all."""
    fold, kept = judged.folds()[judged.query], unread(judged.queries)[judged.query]
    relevant = (judged.grade - 1.0) / 2.0
    found = {name: np.zeros(len(fold)) for name in ("without", f"first {FIRST}", "all")}
    for number in range(FOLDS):
        (part,) = (one for one in parts if number in one)
        asked, close = fold == number, readings(judged, part)
        held = kept & ~within(judged, part)
        before = plain(number, ~asked & ~kept)[held]
        blend = blend_of(before, close[held], relevant[held], judged.query[held])
        after = plain(number, ~asked)[asked]
        both = after if blend is None else blend(after, close[asked])
        found["without"][asked] = after
        found[f"first {FIRST}"][asked] = np.where(first[asked], both, after)
        found["all"][asked] = both
        print(f"  fold {number}: {blend}", flush=True)
    return found


def cost(judged: Judged, part: Set[int]) -> None:
    """Print what a pair takes that was not read before."""
    cross, rows = learned(judged, part), np.random.default_rng(1).permutation(len(judged.query))[:TIMED]
    cross.relevance("warm", ["up"])
    begun = time.process_time()
    cross.of_pairs(judged.queries, judged.titles, judged.query[rows], judged.title[rows])
    pair = (time.process_time() - begun) / TIMED
    again = time.process_time()
    cross.of_pairs(judged.queries, judged.titles, judged.query[rows], judged.title[rows])
    kept = (time.process_time() - again) / TIMED
    print(f"{1e3 * FIRST * pair:.1f} ms of CPU for {FIRST} titles, {1e3 * FIRST * kept:.2f} ms read before")


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn what is not there yet, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_encoder", description=__doc__)
    parser.add_argument("--learn", action="store_true", help="only learn and read")
    parser.add_argument(
        "--parts", type=int, default=FOLDS, help="2: half the CPU time, and less to learn from"
    )
    options = parser.parse_args(arguments)
    judged = read_judged()
    parts = [frozenset(part.tolist()) for part in np.array_split(np.arange(FOLDS), options.parts)]
    for part in parts:
        readings(judged, part)
    if options.learn:
        return
    scorer = RelevanceScorer.learn(judged.titles)
    seen = judged_features(scorer, judgements(judged), judged.vectors(ENCODER))
    relevant, first = (judged.grade - 1.0) / 2.0, first_by(seen[:, NAMES.index("bm25f")], judged, FIRST)

    def tuned(fold: int, kept: Bools) -> Floats:
        told = np.array(seen)
        told[:, MEANING] = meaning(judged, "int8", {fold})
        return Mix().relevance(told)

    def trees(fold: int, kept: Bools) -> Floats:
        model = trees_of(seen[kept], relevant[kept], judged.query[kept], RelevanceConfig())
        return model.relevance(seen)

    plain: dict[str, Plain] = {
        "untrained mix": lambda fold, kept: Mix().relevance(seen),
        "mix, encoder fine-tuned": tuned,
        "trees": trees,
    }
    share = float(np.mean(first[np.isin(judged.query, judged.evaluated)]))
    print(f"{100 * share:.0f} % of the pairs that are evaluated are among the first {FIRST} of BM25")
    print(f"{'':36} {'NDCG@5':15}  {'NDCG@10':15}  @5, more than without")
    for name, model in plain.items():
        found = {
            how: quality(judged, scores) for how, scores in compared(judged, model, first, parts).items()
        }
        for how, one in found.items():
            beside = None if how == "without" else found["without"]
            print(one.line(f"{name}, {how}", beside), flush=True)
    alone = np.zeros(len(judged.query))
    for part in parts:
        asked = within(judged, part)
        alone[asked] = readings(judged, part)[asked]
    print(quality(judged, alone).line("cross-encoder alone"))
    cost(judged, parts[0])


if __name__ == "__main__":
    main()
