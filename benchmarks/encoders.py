"""Text encoders, quality against CPU time on Home Depot: `python -m benchmarks.encoders`.

fp32 and int8 of the same sentence encoder, a static one distilled from it, and none. Each of `--queries`
evaluated queries and its titles are encoded by every variant, one text at a time, as a replica does.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.home_depot import Judged, read_judged
from benchmarks.search import judgements, quality
from raysys.evaluation.metrics import mean_error
from raysys.relevance.features import NAMES
from raysys.relevance.fit import judged_features
from raysys.relevance.model import Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.text.encoder import TextEncoder
from raysys.text.static import StaticEncoder, load_encoder
from raysys.types import Floats

INT8 = Path("var/encoder")


def some(judged: Judged, count: int) -> Judged:
    """The first `count` queries with enough judgements, and their titles."""
    kept = np.isin(judged.query, judged.evaluated[:count])
    queries, query = np.unique(judged.query[kept], return_inverse=True)
    titles, title = np.unique(judged.title[kept], return_inverse=True)
    return Judged(
        queries=[judged.queries[n] for n in queries],
        titles=[judged.titles[n] for n in titles],
        query=query,
        title=title,
        grade=judged.grade[kept],
    )


def variants(out: Path, judged: Judged) -> dict[str, Path]:
    """Folders of the encoders, made where they are not there yet."""
    from raysys.text.export import export_encoder

    found = {"fp32": out / "fp32", "int8": INT8, "static": out / "static"}
    if not found["fp32"].exists():
        export_encoder(None, found["fp32"], quantize=False)
    if not found["static"].exists():
        StaticEncoder.distilled(TextEncoder.load(INT8), judged.titles).save(found["static"])
    return found


def timed(encode: Callable[[list[str]], Floats], texts: list[str]) -> tuple[Floats, float]:
    """Vectors (n, D) and CPU microseconds a text."""
    begun = time.process_time()
    vectors = encode(texts)
    return vectors, (time.process_time() - begun) / len(texts) * 1e6


def plot(path: Path, points: dict[str, tuple[float, float, float]]) -> None:
    """NDCG@5 with its error against CPU microseconds a query, one point for each encoder."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, (cost, mean, error) in points.items():
        axes.errorbar(max(cost, 1.0), mean, yerr=error, fmt="o", capsize=3)
        axes.annotate(name, (max(cost, 1.0), mean), textcoords="offset points", xytext=(6, 4))
    axes.set(xscale="log", xlabel="CPU µs to encode a query", ylabel="NDCG@5, zero data")
    figure.savefig(path, bbox_inches="tight")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoders", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("var/bench/encoders"))
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args(arguments)
    everything = read_judged()
    options.out.mkdir(parents=True, exist_ok=True)
    folders, judged = variants(options.out, everything), some(everything, options.queries)
    scorer, pairs = RelevanceScorer.learn(everything.titles), judgements(judged)
    print(f"{len(judged.queries)} queries, {len(judged.titles)} titles")
    print(f"{'':8} {'embedding':17} {'raysys, zero data':17} µs a query, µs a title, MiB, cosine to fp32")
    points: dict[str, tuple[float, float, float]] = {}
    exact: Floats | None = None
    for name, folder in folders.items():
        encoder = load_encoder(folder)
        queries, query_us = timed(encoder.encode, judged.queries)
        titles, title_us = timed(encoder.encode, judged.titles)
        seen = judged_features(scorer, pairs, (queries, titles))
        alone = mean_error(quality(judged, seen[:, NAMES.index("meaning")]).at[5])
        mixed = mean_error(quality(judged, Mix().relevance(seen)).at[5])
        exact = titles if exact is None else exact
        near = "" if name == "static" else f"{float(np.sum(exact * titles, axis=1).mean()):.4f}"
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        cells = [f"{mean:.4f} ± {error:.4f}" for mean, error in (alone, mixed)]
        print(f"{name:8} {'   '.join(cells)} {query_us:8.0f} {title_us:8.0f} {size:6.1f} {near}", flush=True)
        points[name] = (query_us, *mixed)
    words = mean_error(quality(judged, Mix().relevance(judged_features(scorer, pairs, None))).at[5])
    print(f"{'none':8} {'':17} {words[0]:.4f} ± {words[1]:.4f}")
    points["none"] = (1.0, *words)
    plot(options.out / "encoders.png", points)
    print(f"drawn in {options.out / 'encoders.png'}")


if __name__ == "__main__":
    main()
