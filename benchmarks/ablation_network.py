"""What each part of the network adds: one network for each part left out, changed, or tried beside.

All read the log equally often; of parts that cost time the seconds are told.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.augmentation import Change, changing, cropped, dropped, reordered, substitute
from benchmarks.blocks import GatedBlock, HstuBlock
from benchmarks.interest import study_of_set
from raysys.catalog import Catalog
from raysys.evaluation.metrics import ndcg
from raysys.interest import user_tower
from raysys.interest.defaults import PASSES
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.partners import Following, co_visits
from raysys.interest.questions import Questions
from raysys.interest.sequences import Sequences
from raysys.interest.train import Training, fit_network
from raysys.interest.user_tower import Block
from raysys.types import Floats, Ints
from tuning.study_networks import start_of

PEOPLE = 1000
"""Users whose scores are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A log, and everybody's next item after it."""

    log: Interactions
    catalog: Catalog
    questions: Questions
    config: NetworkConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What differs from the full network."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Training, Task], object] = lambda training, task: None
    """Changes a training before it begins."""
    change: Change | None = None
    """Changes the log in every pass."""
    block: type[Block] = Block
    """The layer of the user tower."""
    lift: float = 0.0
    """Of the log of an item's count, what is taken off its score when it is asked for."""


def task_of(name: str, cpu_seconds: float, seed: int) -> Task:
    """The validation of a set, for networks that read the log as often as those seconds allow."""
    study = study_of_set(name, 1.0)
    log, asked = study.split.train, study.split.valid
    config = start_of(log, len(study.catalog), cpu_seconds, seed)
    assert config.cpu_seconds is not None
    passes = max(round(config.cpu_seconds * PASSES / len(log)), 1)
    return Task(
        log=log,
        catalog=study.catalog,
        questions=Questions(
            sequences=Sequences.of(asked.before),
            users=asked.user,
            now_ms=asked.now_ms,
            truth=asked.truth,
            keep_seen=not asked.new_only,
        ),
        config=replace(config, cpu_seconds=None, epochs=passes),
    )


def run(task: Task, variant: Variant) -> tuple[dict[str, Any], Floats]:
    """What a variant reached: a row, and NDCG@10 (n,) of everybody asked."""
    config = replace(task.config, **variant.fields)
    log = task.log if variant.change is None else changing(task.log, variant.change, config.seed)
    with patch.object(user_tower, "Block", variant.block):
        training = fit_network(log, task.catalog, config, device="cpu")
    variant.prepare(training, task)
    training.model.learn_content = lambda: None  # type: ignore[method-assign]  # no strangers are asked about
    began = time.process_time()
    events = sum(report.events for report in tqdm(training, total=config.epochs, unit="pass"))
    spent = time.process_time() - began
    lift = variant.lift * np.log1p(training.log.seen)
    lift[training.log.seen == 0] = np.inf  # what no network has met is not asked for here
    gains, top = asked(task.questions, training.model, lift)
    row = {
        "ndcg@10": float(gains.mean()),
        "fit_cpu_seconds": spent,
        "events": events,
        "coverage": len(np.unique(top)) / len(task.catalog),
        "popularity": float(training.log.seen[top].mean()),
    }
    return row, gains


def asked(questions: Questions, model: InterestNetwork, lift: Floats) -> tuple[Floats, Ints]:
    """NDCG@10 (n,) of the order by score less `lift` (I,), and the ten items (n, 10) proposed."""
    tops = []
    for low in range(0, len(questions), PEOPLE):
        part = slice(low, low + PEOPLE)
        some = replace(
            questions,
            users=questions.users[part],
            now_ms=questions.now_ms[part],
            truth=questions.truth[part],
        )
        scores = torch.from_numpy(some.scores(model) - lift.astype(np.float32))
        tops.append(torch.topk(scores, 10).indices.numpy())
    top = np.concatenate(tops)
    pairs = zip(top, questions.truth, strict=True)
    return np.array([ndcg(np.isin(rows, true), len(true), 10) for rows, true in pairs]), top


def substituted(training: Training, task: Task) -> None:
    """The histories, not what is asked for, are read with items replaced by ones that go with them."""
    substitute(training, co_visits(task.log, len(task.catalog), Following()))


def from_noise(training: Training, task: Task) -> None:
    """Identities begin at random, not where the company of the items puts them."""
    torch.nn.init.normal_(training.model.identity.weight, std=0.05)


def without(name: str) -> Callable[[Training, Task], None]:
    """The embedding `name` of the user tower stays 0."""

    def prepare(training: Training, task: Task) -> None:
        table = getattr(training.model.user, name).weight
        torch.nn.init.zeros_(table)
        table.requires_grad_(False)

    return prepare


def uncorrected(training: Training, task: Task) -> None:
    """The sample counts as it is, so that popular items, which are in it more often, lose."""
    choice = training.stepper.choice
    training.stepper.choice = lambda target, rng: (choice(target, rng)[0], None)  # type: ignore[method-assign]


SAMPLED, WHOLE = {"full_softmax": 1}, {"full_softmax": 1_000_000}
VARIANTS: Mapping[str, Variant] = {
    "full": Variant(),
    "identities from noise, no SVD": Variant(prepare=from_noise),
    "AdamW, no Muon": Variant(fields={"hidden_rate": 0.0}),
    "LiGR layers": Variant(block=GatedBlock),
    "HSTU layers": Variant(block=HstuBlock),
    "gBCE": Variant(fields={"loss": "gbce"}),
    "label smoothing 0": Variant(fields={"label_smoothing": 0.0}),
    "label smoothing .1": Variant(fields={"label_smoothing": 0.1}),
    "dropout .2": Variant(fields={"dropout": 0.2}),
    "temperature .07": Variant(fields={"temperature": 0.07}),
    "two items ahead": Variant(fields={"ahead": 2}),
    "softmax over all": Variant(fields=WHOLE),
    "softmax over a sample": Variant(fields=SAMPLED),
    "sample without log-Q": Variant(fields=SAMPLED, prepare=uncorrected),
    "debiased in training, .5": Variant(fields={"debias": 0.5}),
    "debiased when asked, .25": Variant(lift=0.25),
    "crop": Variant(change=cropped),
    "mask": Variant(change=dropped),
    "reorder": Variant(change=reordered),
    "substitute": Variant(prepare=substituted),
    "no gaps": Variant(prepare=without("gap")),
    "no kinds": Variant(prepare=without("kind")),
}
COMMON = (
    "full", "identities from noise, no SVD", "AdamW, no Muon", "LiGR layers", "HSTU layers",
    "gBCE", "sample without log-Q",
    "debiased in training, .5", "debiased when asked, .25", "crop", "mask", "reorder", "substitute",
)  # fmt: skip
OF_SETS: Mapping[str, tuple[str, ...]] = {
    "beauty": (
        *COMMON, "label smoothing 0", "dropout .2", "temperature .07", "two items ahead", "softmax over all",
    ),
    "movielens_int-exact": (*COMMON, "label smoothing .1", "two items ahead", "softmax over a sample"),
    "retailrocket": ("full", "no gaps", "no kinds"),
}  # fmt: skip
