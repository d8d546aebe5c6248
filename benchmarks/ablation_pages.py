"""Candidates of people with every feature, computed once, over networks that are fitted once.

The validation and the test keep all that was recalled; the lesson, of answers inside the training log,
some of it, and some of what was not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.ablation_partners import MAKERS, Source
from benchmarks.interest import study_of_set
from benchmarks.sets import OUT
from raysys.interest.asked import Asked
from raysys.interest.encoder import UserEncoder
from raysys.interest.features import FEATURES, RANKED, SOURCES, features, top_rows
from raysys.interest.fit import InterestConfig, counted, learn_partners
from raysys.interest.interactions import Interactions
from raysys.interest.recall import RecallSizes, recall
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import Sales
from raysys.interest.source import NetworkSource
from raysys.types import Bools, Floats, Ints
from tuning.baselines import sampled
from tuning.fit import fit_and_export
from tuning.ranked import people_of
from tuning.study import Study
from tuning.study_networks import start_of

LESSON, JUDGED = 4000, 5000
"""People that the combination learns from, and that each of validation and test asks."""
DRAWN, OTHERS = 60, 10
"""Items of a person that it learns from: of those recalled, and of all others."""
EXTRA = ("first network", "ease", "als")
SHELF = len(SOURCES) + len(EXTRA)
"""The bit of what recall takes from the shelf: the popular, and the leaves one buys from."""
MINE = SHELF + 1
"""The bit of one's own items, where they may be an answer."""
MADE = tuple(f"{source}{part}" for source in EXTRA for part in ("", "_of_best", "_rank"))
COLUMNS = (*FEATURES, *MADE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Candidates of people, one page each, with all columns."""

    seen: Floats
    """(N, len(COLUMNS)) float32."""
    bits: Ints
    """(N,) which sources recalled each of them; 0 for none."""
    done: Bools
    page: Ints
    """(N,) rising."""
    person: Ints
    """(N,)"""
    items: int
    """In the catalog."""
    recalled: tuple[Ints, ...]
    """By page, the bits of everything that was recalled and not done."""


def prepared(name: str, cpu_seconds: float, seed: int) -> dict[str, Pages]:
    """The lesson, the validation and the test of a set."""
    study = study_of_set(name, 1.0)
    study = replace(study, strict=True, seed=seed)
    lesson = study.inner()
    config = study_interest(study)
    found = {}
    logs = {"inner": lesson.before, "outer": study.split.train}
    for part, log in logs.items():
        scorer, extra = scorer_of(study, log, config, OUT / "ablation" / name / part, cpu_seconds)
        if part == "inner":
            found["lesson"] = pages(scorer, extra, sampled(lesson, LESSON), np.random.default_rng(seed))
            continue
        for task, asked in (("validation", study.split.valid), ("test", study.split.test)):
            found[task] = pages(scorer, extra, sampled(asked, JUDGED), None)
    return found


def study_interest(study: Study) -> InterestConfig:
    """How the study fits an interest model, with co-visits as they are by default."""
    size = study.settings.recalled
    return InterestConfig(
        kinds=("purchase",),
        primary="purchase",
        new_only=study.split.test.new_only,
        sizes=RecallSizes(source=size, popular=size, leaf=size),
        asked=0,
        aim="ndcg",
    )


def scorer_of(
    study: Study, log: Interactions, config: InterestConfig, folder: Path, cpu_seconds: float
) -> tuple[InterestScorer, Mapping[str, Source]]:
    """Partners and two networks of a log, and the sources that may be added; networks are kept."""
    start = start_of(log, len(study.catalog), cpu_seconds, study.seed)
    configs = (start, replace(start, temperature=0.07))
    networks = []
    for number, network in enumerate(configs):
        place = folder / f"{number}-{study.seed}"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            fit_and_export(log, study.catalog, network, place)
        networks.append(NetworkSource.of(UserEncoder.load(place), study.catalog))
    now_ms = int(log.time_ms[-1]) + 1
    scorer = InterestScorer(
        kinds=config.kinds,
        primary=config.primary,
        partners=learn_partners(log, study.catalog, now_ms, config),
        sales=Sales.of(log, len(study.catalog), now_ms),
        combinations=(),
        answers=(),
        network=replace(networks[0], beside=(networks[1],)),
        sizes=config.sizes,
        new_only=config.new_only,
    ).with_items(counted(study.catalog, log, now_ms, config))
    extra = {"first network": networks[0].scores}
    return scorer, extra | {name: make(log, len(study.catalog)) for name, make in MAKERS.items()}


def pages(
    scorer: InterestScorer, extra: Mapping[str, Source], asked: Asked, rng: np.random.Generator | None
) -> Pages:
    """The candidates of everybody asked; with `rng` some of them, and some of what was not recalled."""
    columns: dict[str, list[Any]] = {name: [] for name in ("seen", "bits", "done", "size", "recalled")}
    people = tqdm(people_of(asked), total=len(asked), desc="candidates", unit="user")
    for (habits, now_ms, own), truth in zip(people, asked.truth, strict=True):
        view = scorer.view_of(habits, now_ms)
        other = np.ones(len(view.shelf), np.bool_)
        other[own] = False
        scores = {name: source(habits, now_ms) for name, source in extra.items()}
        tops = {name: top_rows(score, RANKED, other) for name, score in scores.items()}
        bits = np.zeros(len(view.shelf), np.int64)
        source = scorer.sizes.source
        for number, top in enumerate((*view.tops, *tops.values())):
            bits[top[max(len(top) - source, 0) :]] |= 1 << number
        bits[recall(view, replace(scorer.sizes, source=0), new_only=True)] |= 1 << SHELF
        if not scorer.new_only:
            bits[own] |= 1 << MINE
        rows = np.flatnonzero(bits)
        done = np.isin(rows, truth)
        columns["recalled"].append(bits[rows[~done]].astype(np.uint16))
        if rng is not None:
            rows = np.concatenate([rows[done], rng.permutation(rows[~done])[: 4 * DRAWN]])
            rows = np.concatenate(
                [rows, rng.choice(np.flatnonzero((bits == 0) & other), OTHERS, replace=False)]
            )
        made = [_columns(scores[name], tops[name], rows) for name in extra]
        columns["seen"].append(
            np.concatenate([features(view, rows, now_ms), *made], axis=1).astype(np.float32)
        )
        columns["bits"].append(bits[rows])
        columns["done"].append(np.isin(rows, truth))
        columns["size"].append(len(rows))
    size = np.array(columns["size"])
    return Pages(
        seen=np.concatenate(columns["seen"]),
        bits=np.concatenate(columns["bits"]),
        done=np.concatenate(columns["done"]),
        page=np.repeat(np.arange(len(size)), size),
        person=np.repeat(asked.user, size),
        items=len(scorer.shelf or ()),
        recalled=tuple(columns["recalled"]),
    )


def _columns(score: Floats, top: Ints, rows: Ints) -> Floats:
    """(C, 3) what `features` tells of a source: the score, its share of the best, the log of its place."""
    edges, mine = score[top], score[rows]
    best = float(edges[-1]) if len(top) else 1e-6
    place = len(edges) - np.searchsorted(edges, mine, side="right")
    return np.stack([np.log1p(np.maximum(mine, 0.0)), mine / best, np.log1p(place)], axis=1)
