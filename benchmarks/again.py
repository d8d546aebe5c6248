"""What a network gains by the interactions that were held back while it was searched, at equal CPU time.

Asked is everybody's last interaction but one: the test of the sets stays unseen. The network of a search
lacks the one before that; it is asked as it is, goes on with it, or is fitted anew.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.continual import fitted, questions_of
from benchmarks.interest import study_of_set
from benchmarks.sets import NAMES
from raysys.evaluation.metrics import mean_error
from raysys.interest.asked import leave_one_out
from raysys.interest.export import export_network
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.warm import Older, begin
from tuning.study_networks import start_of

SHARE, RATES = 0.15, (1.0, 0.5, 0.25)
"""Of the CPU seconds, and of the learning rates, with which a network goes on."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit all and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.again", description=__doc__)
    parser.add_argument("--set", choices=NAMES, default="beauty")
    parser.add_argument("--cpu-seconds", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    study = study_of_set(options.set, 1.0)
    split, catalog = leave_one_out(study.split.test.before), study.catalog
    searched, known = split.train, split.test.before
    config = start_of(searched, len(catalog), options.cpu_seconds, options.seed)
    assert config.cpu_seconds is not None
    questions = questions_of(split.test)
    print(f"{1 - len(searched) / len(known):.1%} of {len(known)} interactions were held back")

    def without(model: InterestNetwork) -> None:
        """From scratch."""

    model = fitted(searched, catalog, config, without)
    first = questions.gains(model)
    with tempfile.TemporaryDirectory() as folder:
        older = Older.load(export_network(model, Path(folder) / "network"), catalog.item_ids)

    def tell(name: str, how: NetworkConfig, *, goes_on: bool) -> None:
        prepare = (lambda new: begin(new, older, catalog)) if goes_on else without
        gains = questions.gains(fitted(known, catalog, how, prepare))
        gain, error = mean_error(gains - first)
        print(
            f"| {name} | {how.cpu_seconds:.0f} | {gains.mean():.4f} | {gain:+.4f} ± {error:.4f} |", flush=True
        )

    print(f"| as searched | {config.cpu_seconds:.0f} | {first.mean():.4f} | |", flush=True)
    tell("anew", config, goes_on=False)
    tell("anew, half the time", replace(config, cpu_seconds=0.5 * config.cpu_seconds), goes_on=False)
    for rate in RATES:
        slower = replace(
            config,
            cpu_seconds=SHARE * config.cpu_seconds,
            learning_rate=rate * config.learning_rate,
            hidden_rate=rate * config.hidden_rate,
            seed=config.seed + 1,
        )
        tell(f"goes on, rates × {rate}", slower, goes_on=True)


if __name__ == "__main__":
    main()
