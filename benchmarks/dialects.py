"""CPU of a rerank call by stage, in process: `python -m benchmarks.dialects BUNDLE`."""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.request import cpu_us
from deployments.dialects.cohere import V1
from deployments.dialects.detect import dialect_of
from deployments.dialects.dialect import Asked, Scored, arranged
from deployments.dialects.documents import Reading, texts_of
from deployments.dialects.envelope import Envelope, question
from deployments.dialects.vectors import base64s, numbers
from raysys.ranker import Ranker

WORDS = ("green", "tea", "coffee", "black", "bread", "milk", "strong", "fresh", "large", "small")
SIZES = (100, 1_000)
LENGTH = 50
"""Words of a document."""


def documents(count: int) -> list[str]:
    """Texts that differ from each other."""
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, LENGTH)) for _ in range(count)]


def stages(ranker: Ranker, sent: Sequence[str], reading: Reading) -> dict[str, float]:
    """CPU µs of each stage of one call with these documents."""
    body = json.dumps({"query": "green tea", "documents": sent, "model": "m"}).encode()

    def read() -> Asked:
        return dialect_of(body).decode(body)

    asked = read()
    texts, candidates = texts_of(asked, reading)
    query = question(Envelope(q=asked.query), asked.extras, {}, len(texts), 0)
    score: Callable[[], np.ndarray] = partial(ranker.score, query, candidates, None, ("encoder",))
    scores = score()

    def write() -> bytes:
        order, told = arranged(asked, scores)
        return V1.reply(Scored(order=order, scores=told, asked=asked, texts=texts, id="", model=""))

    work = {"decode": read, "documents": partial(texts_of, asked, reading), "score": score, "encode": write}
    return {stage: cpu_us(lambda _, do=do: do()) for stage, do in work.items()}


def cold_and_cached(ranker: Ranker, count: int) -> dict[str, float]:
    """CPU ms of one whole call with texts (of titles) that nobody has sent before, and of it sent again."""
    titles = ranker.bundle.catalog.titles
    sent = [" ".join(" ".join(titles[row : row + LENGTH]).split()[:LENGTH]) for row in range(count)]
    body = json.dumps({"query": "strong green tea", "documents": sent, "model": "m"}).encode()

    def call() -> bytes:
        asked = dialect_of(body).decode(body)
        texts, candidates = texts_of(asked, Reading())
        query = question(Envelope(q=asked.query), asked.extras, {}, len(texts), 0)
        for work in ranker.unread(query, candidates):
            work.read(lambda: True)
        order, told = arranged(asked, ranker.score(query, candidates))
        return V1.reply(Scored(order=order, scores=told, asked=asked, texts=texts, id="", model=""))

    spent = {}
    for state in ("cold", "cached"):
        begun = time.process_time()
        call()
        spent[state] = 1e3 * (time.process_time() - begun)
    return spent


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dialects", description=__doc__)
    parser.add_argument("bundle", type=Path)
    ranker = Ranker.load(parser.parse_args(arguments).bundle)
    items = ranker.bundle.catalog.item_ids
    for size in SIZES:
        for name, sent, reading in (
            (f"texts of {LENGTH} words", documents(size), Reading()),
            ("ids", items[:size], Reading(documents=("id",))),
        ):
            told = ", ".join(f"{stage} {us:.0f}" for stage, us in stages(ranker, sent, reading).items())
            print(f"{len(sent):>5} {name}: {told} µs")
    if ranker.bundle.encoder is not None:
        told = ", ".join(f"{state} {ms:.1f}" for state, ms in cold_and_cached(ranker, SIZES[0]).items())
        print(f"{SIZES[0]:>5} texts of {LENGTH} words that no item has, encoded: {told} ms")
    vectors = np.random.default_rng(0).normal(size=(100, ranker.text_width)).astype(np.float32)
    for form, write in (("floats", numbers), ("base64", base64s)):
        print(f"  100 vectors as {form}: {cpu_us(lambda _, do=write: do(vectors)):.0f} µs")


if __name__ == "__main__":
    main()
