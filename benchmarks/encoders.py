"""Text encoders, quality against CPU time on Home Depot: `python -m benchmarks.encoders`.

fp32 and int8 of the same sentence encoder, a static one distilled from it, both of them fine-tuned on
judgements (`benchmarks.fine_tuned`), and none. The queries of the folds `--asked` with 8 or more judged
products count, by the cosine alone, in the untrained mix, and in trees; encoders and trees learned from the
other folds. With `--asked each`, every fold is asked by what was learned from the other four. A replica
encodes one text at a time, and so it is timed.
"""

import argparse
import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import numpy as np

from benchmarks.fine_tuned import ALL, folder, learn, meaning
from benchmarks.home_depot import Judged, read_judged
from benchmarks.search import Quality, judgements, quality
from raysys.evaluation.metrics import mean_error
from raysys.evaluation.report import trade_off
from raysys.relevance.fit import RelevanceConfig, judged_features, trees_of
from raysys.relevance.model import MEANING, Mix, without_meaning
from raysys.relevance.scorer import RelevanceScorer
from raysys.text.static import StaticEncoder, load_encoder
from raysys.types import Bools, Floats

INT8 = Path("var/encoder")
OUT = Path("var/bench/encoders")
TIMED = 200
"""Texts of each kind by which an encoder is timed."""
HEAD = f"{'':18} {'alone':15}  {'untrained mix':15}  {'trees':15}  trees, more than int8; NDCG@10; µs; MiB"


def with_meaning(words: Floats, cosine: Floats) -> Floats:
    """Features (N, len(NAMES)) with this cosine (N,) among them."""
    found = np.array(words)
    found[:, MEANING] = cosine
    return found


def of(judged: Judged, rows: Bools) -> Judged:
    """Some of the pairs (N,), with the queries and titles that are in them."""
    queries, query = np.unique(judged.query[rows], return_inverse=True)
    titles, title = np.unique(judged.title[rows], return_inverse=True)
    return Judged(
        queries=[judged.queries[n] for n in queries],
        titles=[judged.titles[n] for n in titles],
        query=query,
        title=title,
        grade=judged.grade[rows],
    )


def as_it_came(judged: Judged, path: Path, rows: Bools) -> Floats:
    """Cosine (N,) of some of the pairs by an encoder that learned nothing of them, else 0."""
    part, found = of(judged, rows), np.zeros(len(rows))
    if isinstance(encoder := load_encoder(path), StaticEncoder):
        queries, titles = encoder.encode(part.queries), encoder.encode(part.titles)
        found[rows] = np.einsum("nd,nd->n", queries[part.query], titles[part.title])
    else:
        queries, titles = judged.vectors(path)
        found[rows] = np.einsum("nd,nd->n", queries[judged.query[rows]], titles[judged.title[rows]])
    return found


def by_trees(judged: Judged, seen: Floats, asked: Bools) -> Floats:
    """Relevance (n,) of the pairs that are asked, by trees that learned from all others."""
    relevant = (judged.grade - 1.0) / 2.0
    trees = trees_of(seen[~asked], relevant[~asked], judged.query[~asked], RelevanceConfig())
    return trees.relevance(seen[asked])


def timed(path: Path, texts: Sequence[str]) -> float:
    """CPU microseconds a text, one at a time, new ones."""
    encoder = load_encoder(path)
    encoder.encode(["warm"])
    begun = time.process_time()
    for text in texts:
        encoder.encode([text])
    return (time.process_time() - begun) / len(texts) * 1e6


def plain(out: Path, titles: list[str]) -> dict[str, Path]:
    """Folders of the encoders that learned nothing, made where they are not there yet."""
    from raysys.text.encoder import TextEncoder
    from raysys.text.export import export_encoder

    found = {"int8": INT8, "static": out / "static", "fp32": out / "fp32"}
    if not found["fp32"].exists():
        export_encoder(None, found["fp32"], quantize=False)
    if not found["static"].exists():
        StaticEncoder.distilled(TextEncoder.load(INT8), titles).save(found["static"])
    return found


def told(
    judged: Judged, words: Floats, cosine: Callable[[Set[int]], Floats | None], splits: Sequence[Set[int]]
) -> dict[str, Quality]:
    """Quality alone, in the untrained mix and in trees, of the folds that are asked in turn.

    Args:
        cosine: (N,) of every pair, where these folds are asked; None without an encoder.
    """
    fold = judged.folds()[judged.query]
    every = np.isin(fold, [number for split in splits for number in split])
    scores = {name: np.zeros(len(fold)) for name in ("alone", "mix", "trees")}
    for split in splits:
        asked, found = np.isin(fold, sorted(split)), cosine(split)
        seen = with_meaning(words, np.full(len(fold), np.nan) if found is None else found)
        scores["alone"][asked] = np.nan_to_num(seen[asked, MEANING])
        scores["mix"][asked] = Mix().relevance(seen[asked])
        read = without_meaning(seen) if found is None else seen
        scores["trees"][asked] = by_trees(judged, read, asked)
    part = of(judged, every)
    return {name: quality(part, values[every]) for name, values in scores.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("--asked", nargs="+", default=["0", "1"], help="folds, or `each` in its turn")
    parser.add_argument("--variants", nargs="*", help="some of them; all, where none is named")
    options = parser.parse_args(arguments)
    each = options.asked == ["each"]
    splits = [{fold} for fold in sorted(ALL)] if each else [set(map(int, options.asked))]
    judged = read_judged()
    OUT.mkdir(parents=True, exist_ok=True)
    for fold in sorted(ALL if each else ALL - splits[0]):
        learn(judged, fold)
    words = judged_features(RelevanceScorer.learn(judged.titles), judgements(judged), None)
    every = np.ones(len(words), bool)
    folders = plain(OUT, judged.titles)
    cosines: dict[str, Callable[[Set[int]], Floats | None]] = {
        name: lambda _, path=path: as_it_came(judged, path, every)  # type: ignore[misc]
        for name, path in folders.items()
    }
    for kind in ("int8", "static"):
        cosines[f"{kind}, fine-tuned"] = lambda asked, kind=kind: meaning(judged, kind, asked)  # type: ignore[misc]
        if f"{kind}, fine-tuned" in (options.variants or cosines):
            folders[f"{kind}, fine-tuned"] = folder(kind, ALL - splits[0], judged.titles)
    cosines["none"] = lambda _: None
    rng = np.random.default_rng(1)
    queries = [judged.queries[n] for n in rng.permutation(len(judged.queries))[:TIMED]]
    titles = [judged.titles[n] for n in rng.permutation(len(judged.titles))[:TIMED]]
    points: dict[str, tuple[float, float, float]] = {}
    beside: Quality | None = None
    print(f"NDCG@5 of the queries of folds {', '.join(options.asked)}\n{HEAD}")
    for name in options.variants or list(cosines):
        found = told(judged, words, cosines[name], splits)
        beside = beside or found["trees"]
        trees = found["trees"]
        cells = ["{:.4f} ± {:.4f}".format(*mean_error(one.at[5])) for one in found.values()]
        gain, ten = (mean_error(values) for values in (trees.at[5] - beside.at[5], trees.at[10]))
        cost, size = "", 0.0
        if name in folders:
            spent = [timed(folders[name], texts) for texts in (queries, titles)]
            cost = "{:.0f} / {:.0f}".format(*spent)
            size = sum(path.stat().st_size for path in folders[name].glob("*.*")) / 2**20
            points[name] = (spent[0], *mean_error(trees.at[5]))
        print(
            f"{name:18} {'  '.join(cells)}  {gain[0]:+.4f} ± {gain[1]:.4f}; {ten[0]:.4f} ± {ten[1]:.4f};"
            f" {cost}; {size:.1f}",
            flush=True,
        )
    front = [
        name for name, (cost, mean, _) in points.items()
        if all(mean > other or cost < before for rest, (before, other, _) in points.items() if rest != name)
    ]  # fmt: skip
    front.sort(key=lambda name: points[name][0])
    drawn = trade_off(points, front, cost="CPU µs to encode a query", unit="NDCG@5 of trees")
    (OUT / "encoders.png").write_bytes(drawn)
    print(f"drawn in {OUT / 'encoders.png'}")


if __name__ == "__main__":
    main()
