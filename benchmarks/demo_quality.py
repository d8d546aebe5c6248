"""Held-out quality on Complete Journey: every system on the tasks of the demo's protocol.

`python -m benchmarks.demo_quality` fits on weeks 1-48 (the combination on 45-48) and looks at weeks
49-52 once. `--validate` stays before week 49: fits on weeks 1-44 and looks at 45-48; choices are made there.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.dataset import complete_journey
from raysys.dataset.read import read
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import counted, fit_interest
from raysys.interest.habits import NOBODY
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.types import DAY_MS
from tuning.dataset import make
from tuning.document import document
from tuning.log import read_log
from tuning.loop import LoopSettings
from tuning.network import SearchSettings, tune_network
from tuning.quality import Alternative, measure
from tuning.stand_in import StandInEngine
from tuning.story import print_quality

DAYS = 28


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, measure, print and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo_quality", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/journey_full"))
    parser.add_argument("--out", type=Path, default=Path("var/demo_quality"))
    parser.add_argument("--encoder", type=Path, default=Path("var/encoder"))
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--no-document", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--queries", type=int, default=0, help="search queries a household; 0 is all of them")
    options = parser.parse_args(arguments)
    if not (options.data / "report.json").exists():
        source = options.data / "events"
        print(complete_journey.events(source, complete_journey.JourneySettings()))
        make(read([source]), options.data, 1)
    tune_ms, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    now_ms = tune_ms if options.validate else test_ms
    events, catalog = read_log(options.data, None if options.no_network else options.encoder)
    encoder = None if options.no_network else _network(events, catalog, options.out, now_ms)
    before = events.before(now_ms)
    settings = LoopSettings.read()
    begun = time.process_time()
    config = replace(settings.interest(("purchase",)), seed=options.seed, windows=options.windows)
    fitted = fit_interest(before, catalog, config, encoder)
    print(f"fitted in {time.process_time() - begun:.0f} CPU seconds")
    for contest in fitted.contests:
        print(contest)
    others: dict[str, Alternative] = {}
    if not options.no_document:
        others["document's network"] = document(before, len(catalog), now_ms, settings.half_life_days)
    truth = events.since(now_ms).before(now_ms + DAYS * DAY_MS)
    table = measure(
        fitted.scorer,
        before,
        truth,
        now_ms,
        others,
        most_queries=options.queries,
        day_starts_ms=settings.day_starts_h * 3_600_000,
        searched=impersonal(fitted.scorer, counted(catalog, before, now_ms, config), now_ms),
    )
    print_quality(table)
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"{'validation' if options.validate else 'test'}-{options.seed}.json"
    (options.out / name).write_text(json.dumps({"rows": table.rows(), "coverage": table.coverage}, indent=1))


def impersonal(scorer: InterestScorer, catalog: Catalog, now_ms: int) -> dict[str, Alternative]:
    """Orders of a search that are the same for everybody: the stand-in engine's, and that for a stranger."""
    engine = StandInEngine(catalog).standing
    asked = scorer.probs(scorer.view_of(NOBODY, now_ms), np.arange(len(catalog)), now_ms, asked=True)
    stranger = asked[:, scorer.kinds.index(scorer.primary)].astype(np.float64)
    return {"engine's order": lambda user, view: engine, "raysys, a stranger": lambda user, view: stranger}


def _network(events: Interactions, catalog: Catalog, out: Path, now_ms: int) -> UserEncoder:
    """The best network of a search that ends before the combination's own four weeks."""
    until_ms = now_ms - DAYS * DAY_MS
    tuned = tune_network(
        events, catalog, out / f"network-{now_ms}", settings=SearchSettings.read(), until_ms=until_ms
    )
    print(f"network alone on its validation days: NDCG@10 {tuned.ndcg:.4f}")
    return UserEncoder.load(tuned.network)


if __name__ == "__main__":
    main()
