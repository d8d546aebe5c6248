"""Smaller forms of a fitted interest model compete: what each reaches, and what it costs.

Every change is made alone; then they are added up, the least harmful first. All are judged by the
same people, who are new to the model, and timed in turn on the same requests, so that differences
in quality and ratios of time mean something on a busy machine too.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from raysys.catalog import Catalog
from raysys.config import read_settings, read_toml
from raysys.errors import ConfigError
from raysys.interest.asked import Asked
from raysys.interest.compression import Form
from raysys.interest.distill import Size
from raysys.interest.fit import Fitted
from raysys.interest.habits import Habits
from raysys.interest.scorer import InterestScorer
from raysys.types import Floats
from tuning.baselines import sampled
from tuning.ranked import people_of, ranked_side_by_side
from tuning.variants import CANDIDATES, Compressed, Variant, choose

SETTINGS = Path(__file__).with_name("settings.toml")
PROPOSED = 100
"""Items of a feed that is timed."""

People = Sequence[tuple[Habits, int]]
"""With the moment of asking."""
Quality = Callable[[Path], Floats]
"""How good (n,) the model saved in a folder is for each of n people, always the same ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressSettings:
    """The table [compression]."""

    budget_us: float = 0.0
    """CPU microseconds that a person's view and the probabilities of 100 candidates may take; 0 is no
    limit, and then the full model is kept."""
    trees: tuple[tuple[int, int], ...] = ((60, 31), (30, 31))
    """Rounds and leaves of the last steps that are distilled."""
    people: int = 2000
    """Whom the last step is distilled for, at most."""
    judges: int = 2000
    """People who judge, at most."""
    timed: int = 60
    """People whose requests are timed, at most."""

    def __post_init__(self) -> None:
        if not self.budget_us >= 0:
            raise ConfigError(f"budget_us is {self.budget_us}, must be above 0, or 0 for no limit")
        for name in ("people", "judges", "timed"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")

    @classmethod
    def read(cls, path: Path = SETTINGS) -> "CompressSettings":
        return read_settings(cls, read_toml(path).get("compression", {}))

    def changes(self, networks: int) -> list[Form]:
        """What is tried alone, of a model with so many networks."""
        sizes = [Form(trees=Size(rounds=rounds, leaves=leaves)) for rounds, leaves in self.trees]
        kept = sorted({max(networks // 2, 1), 1}, reverse=True)
        fewer = [Form(networks=some) for some in kept if some < networks]
        return [*sizes, *fewer, Form(narrow=True)]


def compress(
    full: InterestScorer,
    catalog: Catalog,
    people: People,
    timed: People,
    quality: Quality,
    settings: CompressSettings,
    out: Path,
) -> Compressed:
    """Make every form of a model, judge and time them, and choose one.

    Args:
        catalog: of the model's items, counted as of when it was fitted.
        people: whom smaller steps are distilled for; the full model must be new to those who judge,
            and these are others.
        timed: whose requests are timed.
        out: where the variants are saved; what is there is replaced.

    Raises:
        ConfigError: nothing fits into the budget.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)

    def made(form: Form) -> Variant:
        folder = out / str(form).replace(", ", "-").replace(" ", "_")
        form.of(full, people).save(folder)
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return Variant(form=form, folder=folder, quality=quality(folder), size=size)

    variants = [made(Form())]
    networks = 0 if full.network is None else 1 + len(full.network.beside)
    alone = [made(form) for form in tqdm(settings.changes(networks), desc="smaller models", unit="model")]
    variants += alone
    together = Form()
    for one in sorted(alone, key=lambda one: -one.gain(variants[0])[0]):
        together = merged(together, one.form)
        if all(together != known.form for known in variants):
            variants.append(made(together))
    measured = tuple(_timed(variants, catalog, timed[: settings.timed]))
    return Compressed(
        variants=measured, chosen=choose(measured, settings.budget_us), budget_us=settings.budget_us
    )


def compress_fitted(
    fitted: Fitted,
    catalog: Catalog,
    asked: Asked,
    judges: Asked,
    settings: CompressSettings,
    out: Path,
) -> tuple[Fitted, Compressed]:
    """Compress a model that was just fitted: both as it is used and as it was compared.

    Args:
        catalog: of the model's items, counted as of when it was fitted.
        asked: whom the combination learned from, and was compared on.
        judges: people whose answers `fitted.fresh` has not seen.

    Raises:
        ConfigError: nothing fits into the budget.
    """
    some = sampled(judges, min(settings.judges, max(len(asked) // 2, 1)))
    # nobody judges a model that imitates another one for them
    others = sampled(asked.of(~np.isin(asked.user, some.user)), settings.people)

    def quality(folder: Path) -> Floats:
        return ranked_side_by_side(folder, catalog, some, 1).judged(some).ndcg

    people, timed = (
        [(habits, now_ms) for habits, now_ms, _ in people_of(part)]
        for part in (others, sampled(some, settings.timed))
    )
    found = compress(fitted.fresh, catalog, people, timed, quality, settings, out)
    form = found.chosen.form
    fresh = InterestScorer.load(found.chosen.folder).with_items(catalog)
    return replace(fitted, scorer=form.of(fitted.scorer, people), fresh=fresh), found


def merged(one: Form, other: Form) -> Form:
    """Both changes; where they are of the same part, the second."""
    changed = {name: value for name in Form.__slots__ if (value := getattr(other, name))}
    return replace(one, **changed)


def _timed(variants: Sequence[Variant], catalog: Catalog, people: People) -> list[Variant]:
    """With their medians over people; of each person all variants answer in turn, the first time unheard."""
    scorers = [InterestScorer.load(one.folder).with_items(catalog) for one in variants]
    spent = np.zeros((2, len(people), len(variants), 3))
    rng = np.random.default_rng(0)
    for again in range(2):
        for place, (habits, now_ms) in enumerate(people):
            rows = rng.integers(0, len(catalog), CANDIDATES)
            for number, scorer in enumerate(scorers):
                marks = [time.process_time()]
                view = scorer.view_of(habits, now_ms)
                marks.append(time.process_time())
                scorer.probs(view, rows, now_ms)
                marks.append(time.process_time())
                scorer.retrieve(view, PROPOSED, now_ms)
                marks.append(time.process_time())
                spent[again, place, number] = np.diff(marks)
    found = np.median(spent[1], axis=0) * 1e6
    return [
        replace(one, view_us=view, scoring_us=scoring, feed_us=feed)
        for one, (view, scoring, feed) in zip(variants, found.tolist(), strict=True)
    ]
