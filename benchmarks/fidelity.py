"""How like the people of Complete Journey the simulated ones are, before a policy learns from them."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from raysys.behavior.choice import fit_choice
from raysys.behavior.fidelity import HEAD, Check, fidelity, visit_checks
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.situations import Situations
from raysys.behavior.visits import Visits
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import Dataset
from raysys.dataset.complete_journey import DAY_STARTS_H, cuts_ms, package_folder
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS
from raysys.types import DAY_MS
from tuning.situations import SituationSettings, situations_of

HOUR_MS = DAY_MS // 24
HALF_LIFE_DAYS = 112.0
TEST_DAYS = 28


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
    print_table(checks)
    print("assumed, in no log:", *behavior.assumptions(), sep="\n  ")
    print(f"{time.process_time() - began:.0f} CPU s")


def situations(data: Dataset, from_ms: int, to_ms: int, households: int) -> Situations:
    """What people looked for between two moments, beside the popularity and the habits of before."""
    settings = SituationSettings(households=households)
    return situations_of(data, bundle_before(data, from_ms), from_ms, to_ms, settings, seed=0)


def bundle_before(data: Dataset, cut_ms: int) -> Bundle:
    """A bundle without models: behavior is fitted on wishes, which know no model."""
    catalog = Catalog.of(data.items)
    past = data.interactions.filter(pl.col("time_ms") < cut_ms)
    weight = 0.5 ** ((cut_ms - past["time_ms"].to_numpy()) / DAY_MS / HALF_LIFE_DAYS)
    rows = catalog.rows(past["item"].to_list())
    counts = np.bincount(rows[rows >= 0], weight[rows >= 0], minlength=len(catalog)).astype(np.float32)
    return Bundle(
        catalog=replace(catalog, popularity=counts),
        policy=Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.1),
        relevance=RelevanceScorer.learn([catalog.text(row) for row in range(len(catalog))]),
    )


def come_back(data: Dataset, tune_ms: int, test_ms: int, *, test: bool) -> list[Check]:
    """The visit model, fitted before the tuning weeks or, for the test, before the test weeks."""
    person = np.unique(data.interactions["user"].to_numpy(), return_inverse=True)[1]
    visits = Visits.of(person, data.interactions["time_ms"].to_numpy(), DAY_STARTS_H * HOUR_MS)
    if test:
        return visit_checks(visits, test_ms, test_ms + TEST_DAYS * DAY_MS)
    return visit_checks(visits, tune_ms, test_ms)


def print_table(checks: list[Check]) -> None:
    """HEAD and a line for each check."""
    rows = [HEAD, *(check.row() for check in checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
