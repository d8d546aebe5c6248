"""Job: the best next-item model that some minutes can find for a log of events, and how good it is."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError, RaysysError
from raysys.events import ItemUpdate
from raysys.interest.asked import Split, last_one, places_from_end
from raysys.interest.interactions import Interactions
from tuning import compress_report
from tuning.compress import CompressSettings
from tuning.events import LEAVE_ONE_OUT, EventLog, parse_split, read_events, split_log
from tuning.minutes import SETTINGS, StudySettings
from tuning.questions import read_asked
from tuning.study import Study
from tuning.study_report import tell

REPEATED = 0.05
"""Share of answers that the user had before, from which on such items are worth their places."""


def bare(catalog: Catalog) -> Catalog:
    """The same items, nothing known of them but their ids."""
    ids = catalog.item_ids
    return Catalog.of([ItemUpdate(item_id=item, title=item) for item in ids])


def main(arguments: list[str] | None = None) -> None:
    """Find the best model for a log and write `metrics.json`."""
    parser = argparse.ArgumentParser(prog="python -m tuning.interest", description=__doc__)
    parser.add_argument("--events", type=Path, nargs="+", required=True, help="files of the event contract")
    parser.add_argument("--items", type=Path, nargs="*", default=[], help="files of item events")
    parser.add_argument("--mapping", type=Path, help="TOML that maps foreign columns of events")
    parser.add_argument("--items-mapping", type=Path, help="the same for items")
    parser.add_argument("--encoder", type=Path, help="folder of a text encoder, for titles")
    parser.add_argument("--split", default=LEAVE_ONE_OUT, help="leave-one-out, or time:MS")
    parser.add_argument(
        "--keep-seen",
        action=argparse.BooleanOptionalAction,
        help="whether what a user had before may be an answer; as the validation shows if not said",
    )
    parser.add_argument("--ask", type=Path, help="Parquet of user_id, item_id, time_ms: the test instead")
    parser.add_argument(
        "--unseen", type=int, default=0, help="interactions between history and --ask's items"
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--strict", action="store_true", help="combine by answers inside the training log")
    parser.add_argument("--identity-only", action="store_true", help="know nothing of an item but its id")
    parser.add_argument("--no-network", action="store_true")
    parser.add_argument("--compress", action="store_true", help="measure smaller models too")
    parser.add_argument(
        "--budget-us", type=float, help="CPU microseconds that a view and 100 candidates may take"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=Path, default=SETTINGS, help="TOML with the table [next_item]")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    parse_split(options.split)  # before all the reading
    if options.unseen and (options.ask is None or options.unseen < 0):
        raise ConfigError(f"unseen is {options.unseen}; expected with --ask, and not below 0")
    options.out.mkdir(parents=True, exist_ok=True)
    log = read_events(
        options.events,
        options.items,
        mapping=options.mapping,
        items_mapping=options.items_mapping,
        encoder=options.encoder,
        quarantine=options.out / "quarantine.jsonl",
    )
    for remark in log.remarks():
        print(remark)
    study = study_of(log, options)
    report = study.run() | {"log": dict(log.report)}
    report["seconds"] = time.perf_counter() - began
    partial = options.out / "metrics.json.part"
    partial.write_text(json.dumps(report, indent=1, default=str))
    partial.replace(options.out / "metrics.json")
    tell(report, study.trials(), options.out / "report.html")
    if "failed" in report["training"]:
        print(f"there is no network in it: {report['training']['failed']}")
    if "compression" in report:
        print("\n".join(compress_report.table(report["compression"])))
    for name, value in {f"{report['chosen']} (chosen)": report["test"], **report["baselines"]}.items():
        ndcg, error, hit = (value[key] for key in ("ndcg@10", "ndcg@10_se", "hr@10"))
        print(f"{name:>24}  NDCG@10 {ndcg:.4f} ± {error:.4f}  HR@10 {hit:.4f}")


def study_of(log: EventLog, options: argparse.Namespace) -> Study:
    """The study that the command line asks for."""
    next_one = options.ask is not None or parse_split(options.split) is None
    split = _split(log, options, keep_seen=options.keep_seen is not False)
    if options.keep_seen is None:
        repeated = split.valid.repeated()
        print(f"{repeated:.1%} of the validation's answers are items that the user had before", end="")
        if repeated < REPEATED:
            split = _split(log, options, keep_seen=False)
        print(", and such are left out" if split.test.new_only else ", and may be answers")
    return Study(
        split=split,
        learned=_learned(log, options, split),
        catalog=bare(log.catalog) if options.identity_only else log.catalog,
        minutes=options.minutes,
        out=options.out,
        settings=StudySettings.read(options.settings),
        strict=options.strict,
        network=not options.no_network,
        content=not options.identity_only,
        unseen=options.unseen,
        next_one=next_one,
        seed=options.seed,
        compression=_compression(options),
    )


def _split(log: EventLog, options: argparse.Namespace, *, keep_seen: bool) -> Split:
    if options.ask is None:
        return split_log(log.events, options.split, keep_seen=keep_seen)
    test = read_asked(options.ask, log, keep_seen=keep_seen)
    able = np.unique(log.events.user[places_from_end(log.events) == 1 + options.unseen])
    valid = last_one(log.events, able, new_only=not keep_seen, unseen=options.unseen)
    return Split(train=valid.before, valid=valid, test=test)


def _learned(log: EventLog, options: argparse.Namespace, split: Split) -> Interactions:
    """What simple systems, and the model's parts that are such, know when the test is asked."""
    if options.ask is not None:
        return log.events
    # strict is for rows beside published ones, whose models never learn from the validation
    return split.train if options.strict and parse_split(options.split) is None else split.test.before


def _compression(options: argparse.Namespace) -> CompressSettings | None:
    """How smaller models are looked for: if they are asked for, or if there is a budget."""
    settings = CompressSettings.read(options.settings)
    if options.budget_us is not None:
        settings = replace(settings, budget_us=options.budget_us)
    return settings if options.compress or settings.budget_us else None


if __name__ == "__main__":
    try:
        main()
    except RaysysError as error:
        print(f"interest: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # no space, no right to write
        print(f"interest: {error}; once that is mended, the same command goes on", file=sys.stderr)
        sys.exit(2)
