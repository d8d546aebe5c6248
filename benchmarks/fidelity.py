"""How like the people of Complete Journey the simulated ones are, before a policy learns from them."""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from raysys.behavior.choice import fit_choice
from raysys.behavior.fidelity import HEAD, Check, fidelity, shown, visit_checks
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.reward import Reward
from raysys.behavior.simulator import Choose, Simulator
from raysys.behavior.situations import Situations
from raysys.behavior.visits import Visits
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import Dataset
from raysys.dataset.complete_journey import DAY_STARTS_H, cuts_ms, package_folder
from raysys.evaluation.metrics import mean_error
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS
from raysys.types import DAY_MS
from tuning.situations import SituationSettings, situations_of
from tuning.stand_in import MarginSettings

HOUR_MS = DAY_MS // 24
HALF_LIFE_DAYS = 112.0
TEST_DAYS = 28
PROFILES = (("engine",), ("engine", "popularity"))
"""Signals with weight 1 in the two profiles that the sensitivity table compares."""


def main() -> None:
    """Fit on half of the people in weeks 45-48; hold against the other half, or against weeks 49-52."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/journey_full"))
    parser.add_argument("--households", type=int, default=1000, help="0 = all")
    parser.add_argument("--test", action="store_true", help="the realism check on the test weeks")
    options = parser.parse_args()
    began = time.process_time()
    data = Dataset.load(options.data)
    tune_ms, test_ms = cuts_ms(package_folder())
    fitted_on, held_out = situations(data, tune_ms, test_ms, options.households).split(0.5)
    if options.test:
        held_out = situations(data, test_ms, test_ms + TEST_DAYS * DAY_MS, options.households)
    choice, leave = fit_choice(fitted_on), Leave.fit(fitted_on.lengths)
    behavior = Behavior.compares(choice, leave)
    print(f"fitted on {len(fitted_on):,} pages, held against {len(held_out):,};", end=" ")
    print("weights by surface", dict(zip(choice.names, np.round(choice.weights, 2).T.tolist(), strict=True)))
    print(f"outside {np.round(choice.outside, 2)}, again {np.round(choice.again, 2)}")
    checks = [*fidelity(behavior, fitted_on, held_out), *come_back(data, tune_ms, test_ms, test=options.test)]
    print_table(HEAD, [check.row() for check in checks])
    print("assumed, in no log:", *behavior.assumptions(), sep="\n  ")
    sensitivity(behavior, held_out)
    print(f"{time.process_time() - began:.0f} CPU s")


def situations(data: Dataset, from_ms: int, to_ms: int, households: int) -> Situations:
    """What people looked for between two moments, beside the popularity and the habits of before."""
    settings = SituationSettings(households=households)
    return situations_of(data, bundle_before(data, from_ms), from_ms, to_ms, settings, seed=0)


def bundle_before(data: Dataset, cut_ms: int) -> Bundle:
    """A bundle without models: behavior is fitted on wishes, which know no model."""
    catalog, _ = MarginSettings().assume(Catalog.of(data.items))
    past = data.interactions.filter(pl.col("time_ms") < cut_ms)
    weight = 0.5 ** ((cut_ms - past["time_ms"].to_numpy()) / DAY_MS / HALF_LIFE_DAYS)
    rows = catalog.rows(past["item"].to_list())
    counts = np.bincount(rows[rows >= 0], weight[rows >= 0], minlength=len(catalog)).astype(np.float32)
    return Bundle(
        catalog=replace(catalog, popularity=counts),
        policy=Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.1),
        relevance=RelevanceScorer.of_catalog(catalog),
    )


def come_back(data: Dataset, tune_ms: int, test_ms: int, *, test: bool) -> list[Check]:
    """The visit model, fitted before the tuning weeks or, for the test, before the test weeks."""
    person = np.unique(data.interactions["user"].to_numpy(), return_inverse=True)[1]
    visits = Visits.of(person, data.interactions["time_ms"].to_numpy(), DAY_STARTS_H * HOUR_MS)
    if test:
        return visit_checks(visits, test_ms, test_ms + TEST_DAYS * DAY_MS)
    return visit_checks(visits, tune_ms, test_ms)


def sensitivity(behavior: Behavior, people: Situations) -> None:
    """PROFILES under each assumption, beside a second model of behavior."""
    weights = np.zeros((2, len(SIGNALS)))
    for profile, names in enumerate(
        (("engine", "popularity"), ("engine", "popularity", "repeat", "price_fit"))
    ):
        weights[profile, [SIGNALS.index(name) for name in names]] = 1.0
    rows = []
    behaviors = {"as assumed": behavior, "second model": Behavior.cascades(behavior.choice, behavior.leave)}
    behaviors |= {_changed(behavior, other): other for other in behavior.swept()}
    for name, assumed in behaviors.items():
        simulator = Simulator(people, assumed, Reward(), weights, 0.1, np.ones((3, 2), bool))
        told = [f"{check.model:.3f}" for check in shown(simulator, _always(0))]
        value = [simulator.returns(_always(profile), simulator.sessions, 0) for profile in (0, 1)]
        gain, error = mean_error(value[1] / value[0].mean() - value[0] / value[0].mean())
        rows.append((name, *told, f"{gain:+.1%} ± {error:.1%}"))
    head = ("behavior", "purchases/page", "clicks/page", "pages", "left early", "margin with popularity")
    print_table(head, rows)


def _changed(behavior: Behavior, other: Behavior) -> str:
    """The assumption in which they differ."""
    told = zip(behavior.assumptions(), other.assumptions(), strict=True)
    return next(after for before, after in told if before != after)


def _always(profile: int) -> Choose:
    return lambda context, surface: np.full(len(context), profile)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A line for each row, in columns."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
