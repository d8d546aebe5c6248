"""The policy beside the best constant profile, in the journey's weeks 45-48: head-room, RLlib, sensitivity.

The interest model is fitted on the weeks before. Households that nothing was learned from judge.
The test weeks 49-52 are not touched.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.behavior.situations import Situations
from raysys.bundle import Bundle
from raysys.dataset import complete_journey
from raysys.dataset.build import Dataset
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import popularity
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS, SignalConstants
from raysys.text.keywords import QueryClasses
from tuning.log import read_log
from tuning.policy import HAND_SET, PolicySettings, tune_policy
from tuning.situations import gather
from tuning.stand_in import kind

HALF_LIFE_DAYS = 112.0


def fitted(folder: Path, until_ms: int, settings: PolicySettings) -> Bundle:
    """What a release on `until_ms` would know: nothing later."""
    log, catalog = read_log(folder, None)
    before = log.before(until_ms)
    catalog, assumed = settings.margins.assume(catalog)
    print(f"assumed: the margins of {assumed:,} of {len(catalog):,} items, {settings.margins}")
    config = InterestConfig(kinds=("purchase",), primary="purchase", horizon_days=28.0)
    catalog = replace(catalog, popularity=popularity(before, len(catalog), until_ms, HALF_LIFE_DAYS))
    return Bundle(
        catalog=catalog,
        policy=Policy.constant(SIGNALS, HAND_SET, 0.1),
        interest=fit_interest(before, catalog, config).scorer,
        relevance=RelevanceScorer.of_catalog(catalog),
        classes=QueryClasses.learn(kind(catalog.categories[row]) for row in before.row.tolist()),
    )


def situations_of(folder: Path, out: Path, settings: PolicySettings) -> Situations:
    """The situations of weeks 45-48, made once."""
    if (out / "names.json").exists():
        return Situations.load(out)
    tune_ms, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    began = time.process_time()
    bundle = fitted(folder, tune_ms, settings)
    print(f"interest model: {time.process_time() - began:.0f} CPU s")
    began = time.process_time()
    pages = gather(Dataset.load(folder), bundle, tune_ms, test_ms, settings.situations, settings.seed)
    made = pages.situations(SignalConstants.measure(pages.raw()))
    print(
        f"{len(made):,} pages of {len(np.unique(made.person)):,} households,"
        f" {time.process_time() - began:.0f} CPU s; {pages.missed:.1%} of the searches miss what was bought"
    )
    made.save(out)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("var/journey_full"))
    parser.add_argument("--out", type=Path, default=Path("var/policy"))
    parser.add_argument("--households", type=int, default=0, help="0 is everybody")
    parser.add_argument("--env-steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--algorithm", choices=["ppo", "dqn"], default="ppo")
    given = parser.parse_args()
    settings = PolicySettings.read()
    settings = replace(
        settings, situations=replace(settings.situations, households=given.households), seeds=6
    )
    learning = replace(settings.learning, algorithm=given.algorithm, env_steps=given.env_steps)
    situations = situations_of(given.data, given.out / "situations", settings)
    for seed in given.seeds:
        began, wall = time.process_time(), time.monotonic()
        run = given.out / f"{given.algorithm}-{seed}-{time.time_ns()}"
        tuned = tune_policy(situations, replace(settings, seed=seed, learning=learning), run)
        told = {name: tuned.report[name] for name in ("hand_set", "head_room", "temperature", "released")}
        print(f"seed {seed}: {json.dumps(told)}")
        print(
            f"  {time.process_time() - began:.0f} CPU s of the driver, {time.monotonic() - wall:.0f} s in all"
        )


if __name__ == "__main__":
    main()
