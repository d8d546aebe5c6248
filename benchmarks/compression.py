"""What smaller interest models reach and cost, by the answers of people whom they did not learn from.

`python -m benchmarks.compression beauty`, or any set of `benchmarks.sets`, or `journey`: the demo's data
in its tuning weeks. Networks are searched for, or taken from `--networks`; nothing of a test is looked at.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.interest import study_of_set
from benchmarks.sets import NAMES, OUT
from raysys.dataset import complete_journey
from raysys.evaluation.report import write_report
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import counted, fit_interest
from raysys.interest.partners import Following
from raysys.interest.scorer import InterestScorer
from raysys.interest.source import NetworkSource
from raysys.types import DAY_MS
from tuning.baselines import Tuned, sampled
from tuning.compress import CompressSettings, compress_fitted
from tuning.compress_report import sections, table
from tuning.compress_turn import compress_window
from tuning.log import read_log
from tuning.loop import LoopSettings
from tuning.network import SearchSettings, tune_network
from tuning.study_networks import Networks
from tuning.variants import Compressed

JOURNEY = "journey"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, compress, print the table, and write it with its plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compression", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, JOURNEY])
    parser.add_argument("--networks", type=Path, nargs="*", default=[], help="folders of fitted networks")
    parser.add_argument("--minutes", type=float, default=4.0, help="of the search for networks")
    parser.add_argument("--people", type=int, default=3_000, help="whom the full model learns from, at most")
    parser.add_argument("--data", type=Path, default=Path("var/journey_full"), help="of journey: its dataset")
    parser.add_argument("--budget-us", type=float, default=0.0)
    parser.add_argument("--judges", type=int, default=CompressSettings().judges)
    options = parser.parse_args(arguments)
    settings = replace(CompressSettings.read(), budget_us=options.budget_us, judges=options.judges)
    out = OUT / "compression" / options.name
    if options.name == JOURNEY:
        found = journey(options.data, options.networks, options.minutes, options.people, settings, out)
    else:
        found = of_set(options.name, options.networks, options.minutes, options.people, settings, out)
    plain = found.plain()
    (out / "compression.json").write_text(json.dumps(plain, indent=1))
    write_report(out / "report.html", f"Smaller models: {options.name}", list(sections(plain)))
    print("\n".join(table(plain)))


def of_set(
    name: str, networks: Sequence[Path], minutes: float, people: int, settings: CompressSettings, out: Path
) -> Compressed:
    """The model that the command would find, with partners as they are by default, from fewer people.

    Those whom it did not learn from judge it.
    """
    study = replace(study_of_set(name, minutes), out=out)
    train, asked = study.split.train, study.asked()
    if networks:
        first, *others = (NetworkSource.of(UserEncoder.load(folder), study.catalog) for folder in networks)
        source: NetworkSource | None = replace(first, beside=tuple(others))
    else:
        source = study.networks(asked).searched
    config = study.interest(
        Tuned(systems={}, settings={}, ndcg={}, following=Following()), heard=source is not None
    )
    lesson = sampled(asked[0], people)
    fitted = study.fitted([lesson], config, Networks(searched=source))
    judges = asked[0].of(~np.isin(asked[0].user, lesson.user))
    stocked = counted(study.catalog, train, int(train.time_ms[-1]) + 1, config)
    fitted = replace(fitted, fresh=fitted.scorer)  # to them all of it is new
    return compress_fitted(fitted, stocked, asked[0], judges, settings, out / "smaller")[1]


def journey(
    data: Path, networks: Sequence[Path], minutes: float, people: int, settings: CompressSettings, out: Path
) -> Compressed:
    """The demo's model as of its tuning weeks, judged in them; it is fitted once."""
    events, catalog = read_log(data, None)
    some = np.random.default_rng(0).permutation(np.unique(events.user))[:people]
    events = events.where(np.isin(events.user, some))
    tune_ms, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    loop = LoopSettings.read()
    folder = next(iter(networks), None)
    if folder is None:
        search = replace(SearchSettings.read(), minutes=minutes)
        # the combination learns from the days after those that the network knows
        until_ms = tune_ms - int(loop.horizon_days * DAY_MS)
        folder = tune_network(events, catalog, out / "network", settings=search, until_ms=until_ms).network
    config = loop.interest(("purchase",))
    window = (tune_ms, test_ms)
    before = events.before(tune_ms)
    stocked = counted(catalog, before, tune_ms, config)
    kept = out / f"fitted-{people}"
    if not kept.exists():
        fit_interest(before, catalog, config, UserEncoder.load(folder)).scorer.save(kept)
    full = InterestScorer.load(kept).with_items(stocked)
    return compress_window(full, stocked, events, window, loop.measure, settings, out / "smaller")


if __name__ == "__main__":
    main()
