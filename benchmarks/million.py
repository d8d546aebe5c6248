"""A catalog of a million items on one core: speed, peak memory, and whether what the log hides is found.

The log is synthetic. Everybody has a cluster of items in mind and changes it now and then; items of a
cluster, and clusters, are wanted by Zipf's law. Who knows a cluster and its best ten items is right in
43 of 100 cases that do not change it; popularity knows the best items of the largest clusters alone.
"""

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from raysys.catalog import TEXT_WIDTH, Catalog
from raysys.evaluation.metrics import mean_error, ndcg
from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.questions import Questions
from raysys.interest.train import Training, fit_network
from raysys.types import DAY_MS, Floats, Ints

CLUSTER = 500
"""Items of a cluster."""
CHANGE = 0.1
"""Probability that the next item is of another cluster."""
ASKED = 1_000
"""Users whose last item is to be foretold."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the log, fit, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=300_000)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--cpu-seconds", type=float, default=200.0, help="of fitting, its start included")
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with timed("the log"):
        events, truth = log_of(options.items, options.users, options.events, np.random.default_rng(0))
        catalog = catalog_of(options.items)
    config = NetworkConfig(cpu_seconds=options.cpu_seconds, width=options.width)
    with timed("the start: counts, co-visits, SVD, content"):
        training = fit_network(events, catalog, config, device="cpu")
    print_fit(training)
    with timed(f"{len(truth)} questions over all items"):
        print_quality(training, events, truth)
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    print(f"CPU seconds in all {time.process_time():.0f}")


def print_fit(training: Training) -> None:
    """Fit, and say how fast."""
    began, start = time.process_time(), training.spent
    read = 0
    for report in training:
        read += report.events
        print(f"part {report.epoch}: loss {report.loss:.3f}, {report.events:,} events", flush=True)
    fitting = training.spent - start
    print(
        f"{read:,} events in {fitting:.0f} CPU seconds: {read / fitting:,.0f} events per CPU second"
        f" ({read / training.spent:,.0f} with the start); then the content in"
        f" {time.process_time() - began - fitting:.1f} s"
    )


def print_quality(training: Training, events: Interactions, truth: Interactions) -> None:
    """NDCG@10 over all items for people whose last item is hidden."""
    questions = Questions.of(events.where(np.isin(events.user, truth.user)), truth, training.config)
    best = np.argsort(-training.log.seen, kind="stable")[:10]
    popular = np.array([ndcg(np.isin(best, true), len(true), 10) for true in questions.truth])
    for name, found in (("raysys", questions.gains(training.model)), ("popularity", popular)):
        mean, error = mean_error(found)
        print(f"{name}: NDCG@10 {mean:.4f} ± {error:.4f}, HR@10 {(found > 0).mean():.4f}, {len(found)} users")


def log_of(
    items: int, users: int, events: int, rng: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """A log, and the last events of ASKED of its users, which are not in it."""
    size = 2 + rng.multinomial(events - 2 * users, rng.dirichlet(np.full(users, 2.0)))
    user = np.repeat(np.arange(users), size)
    first = np.append(True, user[1:] != user[:-1])
    changes = first | (rng.random(len(user)) < CHANGE)
    wished = zipf(items // CLUSTER, 0.7, int(changes.sum()), rng)  # (changes,) a cluster each
    cluster = wished[np.cumsum(changes) - 1]
    row = cluster * CLUSTER + zipf(CLUSTER, 1.0, len(user), rng)
    row = rng.permutation(items)[row]
    since = np.arange(len(user)) - np.repeat(np.cumsum(size) - size, size)
    time_ms = (since - np.repeat(size, size) + 20_000) * DAY_MS
    last = np.flatnonzero(np.append(user[1:] != user[:-1], True))
    hidden = np.zeros(len(user), np.bool_)
    hidden[rng.choice(last, min(ASKED, len(last)), replace=False)] = True
    order = np.argsort(time_ms, kind="stable")
    kind = np.full(len(user), KINDS.index("click"))
    whole = Interactions(user=user[order], row=row[order], kind=kind, time_ms=time_ms[order])
    return whole.where(~hidden[order]), whole.where(hidden[order])


def zipf(size: int, power: float, number: int, rng: np.random.Generator) -> Ints:
    """Ranks (number,) below `size`, the first one the most frequent."""
    share: Floats = np.cumsum(np.arange(1, size + 1) ** -power)
    return np.searchsorted(share, rng.random(number) * share[-1])


def catalog_of(items: int) -> Catalog:
    """A catalog of items of which nothing is known."""
    nothing = ("",) * items
    return Catalog(
        item_ids=tuple(map(str, range(items))),
        titles=nothing,
        categories=nothing,
        brands=nothing,
        price_micros=np.full(items, np.nan),
        margin=np.full(items, np.nan, np.float32),
        available=np.ones(items, np.bool_),
        first_ms=np.zeros(items, np.int64),
        popularity=np.zeros(items, np.float32),
        text_vectors=np.zeros((items, TEXT_WIDTH), np.float32),
        attributes=({},) * items,
    )


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Prints the CPU seconds of what is done."""
    began = time.process_time()
    yield
    print(f"{what}: {time.process_time() - began:.1f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
