"""Past queries beside items in the network, on purchases of Complete Journey with made-up queries.

No set that we know has people, their queries and what they did, so this is a construct, and an easy one: a
query is the name of a type of product that is bought afterwards, of a share SHARE of the types. It says what
such events cost where they only repeat what items say (`asked at the shelf`: in the shop, right before the
product), and what is made of them where they say more (`asked ahead`: one to three days before the trip).
Asked for is everybody's first shopping day of the tuning weeks, from what was bought before them and what
was asked before that day, by networks that are fitted for equal CPU time (short run of the demo, no
titles). The test weeks are not looked at.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from raysys.catalog import Catalog
from raysys.config import read_settings
from raysys.dataset import complete_journey
from raysys.evaluation.metrics import mean_error
from raysys.interest.bulk import user_vectors
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.queries import NO_QUERIES, Queries
from raysys.interest.questions import Questions, judge
from raysys.interest.train import fit_network
from raysys.types import DAY_MS, Floats
from tuning.dataset import make, of_journey
from tuning.log import read_log
from tuning.network import SETTINGS, SearchSettings

SHARE = 0.3
"""Of the types that a household buys on a day, that it asks for."""
AHEAD = 3
"""Days before the trip that a query is asked at most."""
BEYOND = 1 << 42
"""More than any time."""


def asked(events: Interactions, catalog: Catalog, *, ahead: bool, seed: int) -> Interactions:
    """The log with queries for some of what is bought, right before it or days ahead."""
    rng = np.random.default_rng(seed)
    types, leaf = np.unique([path.rpartition("/")[2] for path in catalog.categories], return_inverse=True)
    order = np.lexsort((events.time_ms, events.user))
    user, time_ms, what = events.user[order], events.time_ms[order], leaf[events.row[order]]
    first = np.unique(np.stack([user, time_ms // DAY_MS, what]), axis=1, return_index=True)[1]
    place = np.sort(first[rng.random(len(first)) < SHARE])
    asked_ms = time_ms[place]
    if ahead:
        asked_ms = asked_ms - rng.integers(1, AHEAD + 1, len(place)) * DAY_MS
    start = np.searchsorted(user, user)
    # what is asked ahead stands behind what was bought until then
    before = np.searchsorted(user * BEYOND + time_ms, user[place] * BEYOND + asked_ms) if ahead else place
    after = np.maximum(before, start[place]) - start[place]
    told = np.lexsort((asked_ms, after, user[place]))
    queries = Queries.of(
        user=user[place][told],
        time_ms=asked_ms[told],
        after=after[told],
        texts=types[what[place]][told].tolist(),
    )
    return replace(events, queries=queries)


def ndcg(events: Interactions, cut_ms: int, end_ms: int, catalog: Catalog, config: NetworkConfig) -> Floats:
    """NDCG@10 (n,) of everybody's first day from a moment on, by a network of what was before."""
    before, after = events.before(cut_ms), events.since(cut_ms).before(end_ms)
    training = fit_network(before, catalog, config, device="cpu")
    list(training)
    model = training.model
    questions = Questions.of(before, replace(after, queries=NO_QUERIES), config)
    # a live state knows what was asked until the day itself
    day = dict(zip(questions.users.tolist(), questions.now_ms.tolist(), strict=True))
    late = np.array([day.get(user, cut_ms) for user in after.queries.user.tolist()], np.int64)
    between = after.queries.at(np.flatnonzero((after.queries.after == 0) & (after.queries.time_ms < late)))
    count = np.bincount(before.user, minlength=int(events.user.max()) + 1)
    between = replace(between, after=count[between.user])
    known = replace(before, queries=Queries.joined([before.queries, between]))
    users = user_vectors(model, known, questions.users, questions.now_ms)
    with torch.no_grad():
        return judge(users @ model.item_vectors().numpy().T, questions.truth)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, measure, print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/queries/dataset"))
    parser.add_argument("--out", type=Path, default=Path("var/queries"))
    parser.add_argument("--seconds", type=float, default=40.0, help="CPU seconds of a fit")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if not (options.data / "report.json").exists():
        make(of_journey(options.data / "events", short=True), options.data, 1)
    _, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    cut_ms = test_ms - 28 * DAY_MS
    events, catalog = read_log(options.data, None)
    base = read_settings(NetworkConfig, SearchSettings.read(SETTINGS).network)
    found: dict[str, list[Floats]] = {}
    for seed in range(options.seeds):
        config = replace(base, cpu_seconds=options.seconds, seed=seed)
        logs = {
            "no queries": events,
            "asked at the shelf": asked(events, catalog, ahead=False, seed=seed),
            "asked ahead": asked(events, catalog, ahead=True, seed=seed),
        }
        for name, log in logs.items():
            found.setdefault(name, []).append(ndcg(log, cut_ms, test_ms, catalog, config))
            print(f"seed {seed}, {name}: {found[name][-1].mean():.4f}", flush=True)
    rows = {}
    plain = np.mean(found["no queries"], axis=0)
    for name, values in found.items():
        mean, error = mean_error(np.mean(values, axis=0))
        gain, spread = mean_error(np.mean(values, axis=0) - plain)
        rows[name] = {"ndcg@10": mean, "se": error, "gain": gain, "gain_se": spread}
        print(f"{name:>20}  NDCG@10 {mean:.4f} ± {error:.4f}  gain {gain:+.4f} ± {spread:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "queries.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
