"""CPU of a ranking in process: `python -m benchmarks.request BUNDLE --state URI --user ID`."""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from raysys.interest.features import features
from raysys.interest.scorer import InterestScorer
from raysys.ranker import Ranker
from raysys.state.open import open_store
from raysys.types import Candidates, Query, QueryId, Surface, UserId

WARM, TIMES = 20, 200


def cpu_us(work: Callable[[int], object]) -> float:
    """Mean CPU microseconds of a call, after some to warm up."""
    for number in range(WARM):
        work(number)
    begun = time.process_time()
    for number in range(TIMES):
        work(number)
    return (time.process_time() - begun) / TIMES * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.request", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--state", default="memory:")
    parser.add_argument("--user", default="nobody")
    parser.add_argument("--text", default="coffee")
    options = parser.parse_args(arguments)
    store = open_store(options.state)
    ranker = Ranker.load(options.bundle, store)
    now_ms = time.time_ns() // 1_000_000

    def query(number: int, surface: Surface, text: str) -> Query:
        user, name = UserId(options.user), QueryId(f"{surface}{number}")
        return Query(id=name, surface=surface, time_ms=now_ms, length=10, user_id=user, text=text)

    catalog = ranker.bundle.catalog
    new = itertools.count()
    words: dict[str, Callable[[], str]] = {
        "no words": lambda: "",
        "words asked before": lambda: options.text,
        "new words": lambda: f"{options.text} {next(new)}",
    }
    for size in (100, 300, 1_000):
        candidates = Candidates.of(catalog.item_ids[:size])
        spent = {
            name: cpu_us(lambda n, c=candidates, say=say: ranker.rank(query(n, "search", say()), c))
            for name, say in words.items()
        }
        told = ", ".join(f"{name} {us:.0f}" for name, us in spent.items())
        print(f"/rank, {len(candidates):>5} candidates: {told} µs")
    print(f"/feed {cpu_us(lambda number: ranker.feed(query(number, 'feed', ''))):>27.0f} µs")
    interest = ranker.bundle.interest
    if isinstance(interest, InterestScorer):
        model = interest.with_items(catalog)
        state = store.live(f"u:{options.user}")
        view, rows = model.view(state, catalog, now_ms), np.arange(min(100, len(catalog)))
        print(f"features of 100 {cpu_us(lambda _: features(view, rows, now_ms)):>17.0f} µs")
        print(f"probabilities of 100 {cpu_us(lambda _: model.probs(view, rows, now_ms)):>12.0f} µs")
        print(f"view, after a change {cpu_us(lambda _: model.view(state, catalog, now_ms)):>12.0f} µs")


if __name__ == "__main__":
    main()
