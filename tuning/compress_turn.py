"""The demo's interest model in smaller forms, judged by its own tasks on days that it has not seen."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.compression import Form
from raysys.interest.distill import Size
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.types import Floats
from tuning.compress import CompressSettings, compress
from tuning.quality import MODEL, TASKS, Table
from tuning.variants import Compressed

Measure = Callable[[InterestScorer, Interactions, tuple[int, int]], Table]
"""Quality in a window of a model that was fitted on what was before it."""


def compress_window(
    full: InterestScorer,
    catalog: Catalog,
    events: Interactions,
    window: tuple[int, int],
    measure: Measure,
    settings: CompressSettings,
    out: Path,
) -> Compressed:
    """Compress a model that was fitted on what was before a window, judged by what came in it.

    Half of the people judge; smaller steps are distilled for the others, as they were before it.

    Args:
        catalog: of the model's items, counted as of the window's first moment.

    Raises:
        ConfigError: nothing fits into the budget.
    """
    from_ms, _ = window
    before = events.before(from_ms)
    people = np.random.default_rng(0).permutation(np.unique(before.user))
    judges = people[: min(settings.judges, len(people) // 2)]
    others = people[len(judges) :][: settings.people]
    seen = events.where((events.time_ms < from_ms) | np.isin(events.user, judges))

    def quality(folder: Path) -> Floats:
        return by_person(measure(InterestScorer.load(folder).with_items(catalog), seen, window))

    taught, timed = (
        people_at(before.where(np.isin(before.user, some)), from_ms) for some in (others, judges)
    )
    return compress(full, catalog, taught, timed, quality, settings, out)


def in_form(scorer: InterestScorer, form: Form, before: Interactions, now_ms: int) -> InterestScorer:
    """A scorer of a log that ended before `now_ms` in a form, its last step distilled for everybody in it."""
    return scorer if form == Form() else form.of(scorer, people_at(before, now_ms))


def form_in(manifest: Mapping[str, Any]) -> Form:
    """The form that the interest model of a bundle was released in."""
    told = dict(manifest.get("compression", {}).get("form", {}))
    if told.get("trees"):
        told["trees"] = Size(**told["trees"])
    return Form(**told)


def people_at(before: Interactions, now_ms: int) -> list[tuple[Habits, int]]:
    """Everybody of a log that ended before a moment, asked then."""
    return [(habits, now_ms) for habits in habits_of(before).values()]


def by_person(table: Table) -> Floats:
    """(n,) NDCG@10 of everybody with a truth, the mean over their tasks; of a task, over its queries."""
    tasks = [task for task in TASKS if task in table.users]
    everybody = np.unique(np.concatenate([table.users[task] for task in tasks]))
    total, count = np.zeros((2, len(everybody)))
    for task in tasks:
        users, place = np.unique(table.users[task], return_inverse=True)
        mean = np.bincount(place, table.values[task, MODEL]) / np.bincount(place)
        at = np.searchsorted(everybody, users)
        total[at] += mean
        count[at] += 1
    return total / count
