"""What reading a live history anew costs after every event, beside the least that an update of it could.

An update would read the new event alone, with what the layers keep of the others: it takes no less than
a history of one event.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.interest.encoder import UserEncoder
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.train import fit_network
from raysys.types import DAY_MS

ITEMS, EVENTS, ASKED = 1000, (1, 5, 10, 20, 50, 100), 200
SHAPES = ((64, 1), (128, 1), (96, 3))
"""Width and blocks of networks that the rules choose."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table: CPU microseconds of a user vector by the events of the history."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reencode", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"| width × blocks | {' | '.join(map(str, EVENTS))} events |\n|---|{'---|' * len(EVENTS)}")
    for width, blocks in SHAPES:
        found = [f"{value:.0f}" for value in timed(width, blocks, options.rounds)]
        print(f"| {width} × {blocks} | {' | '.join(found)} |", flush=True)


def timed(width: int, blocks: int, rounds: int) -> list[float]:
    """CPU µs of a vector for each of EVENTS, the median over rounds in which all lengths take turns."""
    catalog = Catalog.of([ItemUpdate(item_id=f"i{n}", title=f"thing {n}") for n in range(ITEMS)])
    rng = np.random.default_rng(0)
    rows, kinds = rng.integers(0, ITEMS, max(EVENTS)), np.zeros(max(EVENTS), np.int64)
    times_ms = 19_000 * DAY_MS + np.cumsum(rng.integers(1, DAY_MS, max(EVENTS)))
    log = Interactions(user=kinds, row=rows, kind=kinds, time_ms=times_ms)
    config = NetworkConfig(width=width, blocks=blocks)  # how fast it is does not depend on the weights
    with tempfile.TemporaryDirectory() as folder:
        training = fit_network(log, catalog, config, device="cpu")
        encoder = UserEncoder.load(export_network(training.finish(), Path(folder) / "network"))
    vectors, now_ms = encoder.item_vectors(catalog), int(times_ms[-1]) + 1
    spent = np.zeros((rounds, len(EVENTS)))
    for again in range(rounds):
        for place, length in enumerate(EVENTS):
            given = rows[-length:], kinds[-length:], times_ms[-length:], vectors, now_ms
            began = time.process_time()
            for _ in range(ASKED):
                encoder.user_vector(*given)
            spent[again, place] = (time.process_time() - began) / ASKED * 1e6
    return np.median(spent, axis=0).tolist()


if __name__ == "__main__":
    main()
