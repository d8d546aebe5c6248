"""The networks of a study: searched by what the combination's earliest lesson asks for, then fitted anew."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import KINDS
from raysys.interest.asked import Asked
from raysys.interest.defaults import is_long, network_config
from raysys.interest.encoder import UserEncoder
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.source import NetworkSource
from tuning.events import NO_TARGET
from tuning.fit import fit_side_by_side
from tuning.minutes import Minutes, StudySettings
from tuning.network import SearchSettings, Tuned, search_network

OUTDATED = 0.05
"""Share of the log from which on it pays to fit networks again that have not seen it."""
WAIT = 3.0
"""Minutes beyond those that trials are waited for: processes start slowly where others work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The same networks, fitted as of two moments; None where there are none."""

    searched: NetworkSource | None = None
    """That know only what is before the earliest lesson of the combination."""
    late: NetworkSource | None = None
    """That know what is known when the test is asked, or nearly all of it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Of the best."""
    report: Mapping[str, Any] = field(default_factory=dict)
    """How they were found."""
    spent: float = 0.0
    """CPU seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkStudy:
    """What networks are searched for, and what there is time for."""

    lesson: Asked
    """They learn what is before it, and are judged by what it asks for."""
    learned: Interactions
    """What is known when the test is asked."""
    catalog: Catalog
    settings: StudySettings
    budget: Minutes
    answers: int
    """That the combination learns from, which takes its share of the time."""
    unseen: int
    seed: int
    out: Path

    def find(self) -> Networks:
        """The best few, and the same fitted on all that is known if much of it was held back from them.

        There are none if no trial came to an end, as where others need the machine.
        """
        log, settings = self.lesson.before, self.settings
        again = len(log) < (1.0 - OUTDATED) * len(self.learned)
        # on long histories more time for few networks buys more than a search
        fewest = max(settings.fewest // 2, 1) if is_long(log) else settings.fewest
        kept = min(settings.networks, fewest) * again
        seconds = self.budget.network_seconds(self.answers, settings.learning)
        start = start_of(log, len(self.catalog), self.budget.each(seconds, fewest, kept), self.seed)
        assert start.cpu_seconds is not None
        each = start.cpu_seconds
        trials = min(max(int((seconds - kept * each) / each), fewest), settings.trials)
        try:
            tuned = self._search(start, trials, seconds)
        except DataError as error:
            return Networks(report={"failed": str(error)})
        best = ((tuned.config, tuned.network), *tuned.others)
        searched = late = self._source([folder for _, folder in best])
        if again:
            folders = [self.out / "again" / str(number) for number in range(len(best))]
            jobs = [(self.learned, config, out) for (config, _), out in zip(best, folders, strict=True)]
            cores = self.budget.cores
            fit_side_by_side([job for job in jobs if not job[2].exists()], self.catalog, cores)
            late = self._source(folders)
        return Networks(
            searched=searched,
            late=late,
            config=asdict(tuned.config),
            report={
                "ndcg": tuned.ndcg,
                "events": int(sum(tuned.best["curves"]["events"])),
                "fit_cpu_seconds": each,
                "networks": len(best),
                "again": again,
            },
            spent=each * (len(tuned.trials) + len(best) * again),
        )

    def _search(self, start: NetworkConfig, trials: int, seconds: float) -> Tuned:
        search = SearchSettings(
            trials=trials,
            # trials are bounded by their CPU seconds; this is for a machine that has none to spare
            minutes=2.0 * seconds / 60.0 / self.budget.cores + WAIT,
            cpus=self.budget.cores,
            space=self.settings.space,
            also=self.settings.also,
        )
        return search_network(
            self.lesson.before,
            self.lesson.after,
            self.catalog,
            self.out / "search",
            replace(start, ahead=1 + self.unseen, answers=1 + self.unseen),
            search,
            keep_seen=not self.lesson.new_only,
            networks=self.settings.networks,
        )

    def _source(self, folders: Sequence[Path]) -> NetworkSource:
        first, *others = (NetworkSource.of(UserEncoder.load(folder), self.catalog) for folder in folders)
        return replace(first, beside=tuple(others))


def start_of(events: Interactions, items: int, cpu_seconds: float, seed: int) -> NetworkConfig:
    """What rules say of a network for the next item of a log, before anything is searched."""
    known = np.unique(events.kind).tolist()
    targets = tuple(kind for number, kind in enumerate(KINDS) if kind != NO_TARGET and number in known)
    config = network_config(events, items, cpu_seconds, seed=seed)
    return replace(config, day_share=0.0, targets=targets)
