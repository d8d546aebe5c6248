"""The loop's second turn: live log and ranking records become the next bundle, if the gate lets it."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import Dataset, build
from raysys.dataset.logged import rewards_of
from raysys.dataset.read import Read, of_events, together
from raysys.errors import ConfigError, DataError, RaysysError
from raysys.evaluation.metrics import clustered_error
from raysys.interest.defaults import network_config
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import InterestConfig, counted, fit_interest, lessons_of
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.log import read_records
from raysys.releases import current
from raysys.relevance.scorer import RelevanceScorer
from raysys.state.open import open_store
from raysys.surfaces.experts import Relevance
from tuning.compress_turn import form_in, in_form
from tuning.demo import Demo
from tuning.fit import fit_and_export, older_of
from tuning.gate import Quality, judge
from tuning.loop import LoopSettings, kinds_of, qualities_of, say, searches_of
from tuning.quality import MODEL, Table, measure
from tuning.release import policy_difference, release
from tuning.stand_in import StandInEngine, kind
from tuning.traffic import Shopper, a_day

LEAST = 200
"""Users with a truth below which a task says too little to refuse a bundle by it."""


def simulate(demo: Demo, people: int) -> int:
    """A simulated day through the running services; the moment it began."""
    say("a simulated day of traffic")
    data = Dataset.load(demo.dataset)
    _, test_ms, _ = demo.windows()
    catalog = Catalog.load(demo.folder / "catalog")
    later = data.interactions.filter(
        (pl.col("time_ms") >= test_ms)
        & pl.col("user").str.starts_with("u:")
        & pl.col("item").is_in(catalog.item_ids)
    )
    wants = later.group_by("user", maintain_order=True).agg(pl.col("item").unique(maintain_order=True))
    shoppers = []
    for user, items in wants.head(people).iter_rows():
        leaves = dict.fromkeys(kind(catalog.categories[row]) for row in catalog.rows(items).tolist())
        shoppers.append(
            Shopper(user_id=user.removeprefix("u:"), wants=frozenset(items), searches=tuple(leaves))
        )
    begun = time.time_ns() // 1_000_000
    day = a_day(shoppers, StandInEngine(catalog), catalog.item_ids, demo.port, seed=begun)
    print(
        f"{len(shoppers)} people, {day.pages} pages, {day.taken} items taken, {day.ads} ads shown,"
        f" {day.events} events acknowledged, {day.pages / day.seconds:.0f} pages a second"
    )
    return begun


def retrain(demo: Demo, since_ms: int, *, force: bool, settings: LoopSettings | None = None) -> Path | None:
    """The next bundle from the live log; judged on what came since, then fitted on everything.

    The network goes on from the released one, with the items that came since; habits, partners and
    the combination are learned anew, and so is what queries are after. The policy stays what it was, and so
    does the model that makes relevance of its features.

    Returns:
        The released bundle, None if the gate refused.

    Raises:
        ConfigError: no bundle is released, or none of this version.
        DataError: too little happened since.
    """
    say("the next bundle")
    path = current(demo.bundles)
    if path is None:
        raise ConfigError(f"{demo.bundles} holds no released bundle; run `make demo` first")
    released = Bundle.load(path)
    read, data = _log(demo)
    outcomes = rewards_of(read_records(demo.folder / "records"), read)
    print(
        f"{data.report['interactions']} interactions in the log; {len(outcomes.records)} rankings with an"
        f" outcome, left out: {dict(outcomes.left_out)}"
    )
    catalog = released.catalog.updated(data.items)
    events = Interactions.of(data, catalog)
    interest = released.interest
    if not isinstance(interest, InterestScorer):
        raise ConfigError(f"{path.name} has no interest model of this version to start from")
    settings = settings or LoopSettings.read()
    config = replace(settings.interest(kinds_of(events)), network_heard=interest.network_heard)
    before, since = events.before(since_ms), events.since(since_ms)
    if not len(since):
        raise DataError("nothing happened since the last turn; there is nothing to judge a bundle by")
    encoder = None if interest.network is None else interest.network.encoder
    if encoder is not None and settings.network_seconds:
        encoder = gone_on(path, before, catalog, config, settings.network_seconds)
    form = form_in(released.manifest)
    fresh = in_form(fit_interest(before, catalog, config, encoder).scorer, form, before, since_ms)
    new = measure(fresh, before, since, since_ms, most_queries=5)
    old = measure(interest.with_items(catalog), before, since, since_ms, most_queries=5)
    now_ms = int(events.time_ms[-1]) + 1
    everything = in_form(fit_interest(events, catalog, config, encoder).scorer, form, events, now_ms)
    kept = {key: released.manifest[key] for key in ("network", "compression") if key in released.manifest}
    bundle = replace(
        released,
        catalog=counted(catalog, events, now_ms, config),
        interest=everything,
        relevance=_relevance(released.relevance, data, catalog),
        manifest={"data": data.report, "after": released.id, "interest": asdict(config)} | kept,
    )
    return _through_the_gate(demo, bundle, released, new, old, read, force=force)


def _relevance(old: Relevance | None, data: Dataset, catalog: Catalog) -> Relevance | None:
    """Relevance with the words of today's items, and what queries are after in today's log."""
    if not isinstance(old, RelevanceScorer):
        return old
    fresh = RelevanceScorer.of_catalog(catalog, old.analyzer, searches_of(data, catalog).what_was_taken())
    return replace(fresh, model=old.model)


def gone_on(
    bundle: Path, events: Interactions, catalog: Catalog, config: InterestConfig, cpu_seconds: float
) -> UserEncoder:
    """The network of a bundle after some more CPU seconds at most, on a log that has grown since.

    If the combination hears the network, this learns only from what was before the days that the
    combination learns from; so in every turn, whichever network it goes on from.

    Args:
        events: what happened before the days that the new bundle is judged on.
    """
    if config.network_heard:
        events = events.before(min(lesson.known_ms for lesson in lessons_of(events, config)))
    enough = network_config(events, len(catalog), cpu_seconds).cpu_seconds  # for a short log
    network = replace(older_of(bundle).config, cpu_seconds=enough)
    with tempfile.TemporaryDirectory() as folder:  # what is mapped from it outlives its name
        return UserEncoder.load(fit_and_export(events, catalog, network, Path(folder) / "network", bundle))


def _log(demo: Demo) -> tuple[Read, Dataset]:
    """The live log as it was read, and as a dataset."""
    store = open_store(demo.state)
    try:
        read = of_events(event for _, event in store.events())
    finally:
        store.close()
    return read, build([together([read])])


def _through_the_gate(
    demo: Demo, bundle: Bundle, released: Bundle, new: Table, old: Table, read: Read, *, force: bool
) -> Path | None:
    difference = policy_difference(bundle, released, demo.folder / "records", read)
    was = {quality.name: quality.value for quality in qualities_of(old, least=LEAST)}
    qualities = [_beside(quality, new, old) for quality in qualities_of(new, least=LEAST)]
    if not qualities:
        took = len(np.unique(new.users["window"])) if "window" in new.users else 0
        raise DataError(
            f"{took} people took something since, at least {LEAST} can judge a bundle; wait for more"
        )
    verdict = judge(qualities, was, difference)
    print(verdict.table())
    return release(bundle, qualities, verdict, demo.bundles, force=force)


def _beside(quality: Quality, new: Table, old: Table) -> Quality:
    """A quality of the new bundle with the error of its difference to the released one."""
    task = quality.name.removeprefix("ndcg@10 ")
    difference = new.values[task, MODEL] - old.values[task, MODEL]
    return replace(quality, paired_error=clustered_error(difference, new.users[task])[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Turn the loop a second time."""
    parser = argparse.ArgumentParser(prog="python -m tuning.retrain", description=__doc__)
    parser.add_argument("--full", action="store_true", help="of the full demo")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--people", type=int, default=300, help="who come on the simulated day; 0 skips it")
    parser.add_argument(
        "--since-ms", type=int, help="judge on what happened from then on, if no day is simulated"
    )
    parser.add_argument("--force", action="store_true", help="release even if the gate refuses")
    options = parser.parse_args(arguments)
    demo = Demo(
        folder=Path("var/demo-full" if options.full else "var/demo"), full=options.full, port=options.port
    )
    if not options.people and options.since_ms is None:
        parser.error("without a simulated day, name --since-ms")
    try:
        since_ms = simulate(demo, options.people) if options.people else options.since_ms
        path = retrain(demo, since_ms, force=options.force)
        if path is not None and demo.services.version() is not None:
            demo.services.release(path)
            print(f"{path.name} serves")
    except RaysysError as error:
        print(f"retrain: {error}", file=sys.stderr)
        return 2
    return 0 if path is not None else 1


if __name__ == "__main__":
    raise SystemExit(main())
