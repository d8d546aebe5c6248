"""What the jobs that fine-tune on judgements are asked on the command line, alike for every network."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from raysys.bundle import Bundle
from raysys.relevance.fit import Judgements
from raysys.relevance.learner import Schedule
from tuning.relevance import read_judgements


def add_options(parser: ArgumentParser, usual: Schedule) -> None:
    """Where judgements come from, where the network goes, how long it learns; `usual` has the defaults."""
    parser.add_argument("judged", type=Path, nargs="?", help="judgements or clicks, a CSV")
    parser.add_argument("--log", type=Path, nargs="+", default=[], help="impressions and interactions")
    parser.add_argument("--bundle", type=Path, help="whose catalog a log, or an item_id of a file, speaks of")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", help="a folder or hub name of sentence-transformers to begin with")
    parser.add_argument("--minutes", type=float, default=0.0, help="CPU minutes of learning; 0 is no limit")
    parser.add_argument("--passes", type=float, default=usual.passes)
    parser.add_argument("--rate", type=float, default=usual.learning_rate)
    parser.add_argument("--layers", type=int, default=usual.layers, help="upper layers that learn")


def judgements_of(given: Namespace) -> Judgements:
    """The judgements that the options name.

    Raises:
        ConfigError: they name none.
    """
    catalog = None if given.bundle is None else Bundle.load(given.bundle).catalog
    return read_judgements(given.judged, given.log, catalog)


def schedule_of(given: Namespace) -> dict[str, Any]:
    """The fields of a `Schedule` that the options say."""
    return {
        "layers": given.layers,
        "learning_rate": given.rate,
        "passes": given.passes,
        "cpu_seconds": 60.0 * given.minutes,
    }
