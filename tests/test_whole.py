"""All real parts together: fitted, saved, loaded, and asked."""

from pathlib import Path

import numpy as np
import pytest

from raysys.ads.scorer import ResponseScorer
from raysys.bundle import Bundle
from raysys.events import KINDS, AdUpdate, Interaction, ItemUpdate
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import Interactions
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.surfaces.ads import Placement
from raysys.text.keywords import QueryClasses
from raysys.types import DAY_MS, Candidates
from tests import fakes
from tests.fakes import NOW_MS, ask, shop

ALL = [f"i{n}" for n in range(12)]
WEIGHTS = {"engine": 1.0, "interest": 1.0, "relevance": 0.5, "repeat": 0.3, "ad_value": 1.0}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    time_ms = np.sort(rng.integers(NOW_MS - 60 * DAY_MS, NOW_MS, 600))
    log = Interactions(
        user=rng.integers(0, 40, 600),
        row=rng.integers(0, 12, 600),
        kind=np.full(600, KINDS.index("purchase")),
        time_ms=time_ms,
    )
    bundle = Bundle(
        catalog=shop(),
        policy=Policy.constant(SIGNALS, np.array([WEIGHTS.get(s, 0.0) for s in SIGNALS]), 0.2),
        interest=fit_interest(log, shop(), InterestConfig(kinds=("purchase",), primary="purchase")).scorer,
        relevance=RelevanceScorer.learn(shop().titles),
        classes=QueryClasses.learn(["the i3"]),
        response=ResponseScorer.constant(0.5),
    )
    folder = tmp_path_factory.mktemp("bundles") / "real"
    bundle.save(folder)
    return folder


def test_a_loaded_bundle_ranks_feeds_and_decides_and_hears_every_event(path: Path) -> None:
    store = MemoryStore()
    ranker = Ranker.load(path, store)
    before = ranker.rank(ask(text="the i3", explain=True, length=12), Candidates.of(ALL))
    assert before.degraded == ()
    for item in before.items:
        assert sum(reason.value for reason in item.reasons) == pytest.approx(item.score, abs=1e-6)
    store.append(
        [
            Interaction(kind="purchase", item_id="i3", time_ms=NOW_MS - 40 * DAY_MS, user_id="ann"),
            Interaction(kind="purchase", item_id="i3", time_ms=NOW_MS - 20 * DAY_MS, user_id="ann"),
            fakes.item("fresh", category="tools", brand="acme"),
            ItemUpdate(item_id="i1", available=False),
            AdUpdate(
                ad_id="a", campaign_id="c", advertiser_id="x", bid_micros=9, bid_for="click", item_id="i3"
            ),
        ],
        NOW_MS,
    )
    after = ranker.rank(ask(text="the i3", length=12), Candidates.of([*ALL, "fresh"]))
    scores = {item.item_id: item.score for item in after.items}
    assert scores["i3"] > {item.item_id: item.score for item in before.items}["i3"]
    assert "i1" not in scores
    assert "fresh" in scores
    assert "i3" in {item.item_id for item in ranker.feed(ask("feed")).items}
    assert ranker.decide(ask("ads"), [Placement("top")]).placements[0].items[0].ad_id == "a"


def test_an_unknown_person_is_served_on_every_surface(path: Path) -> None:
    ranker = Ranker.load(path)
    nobody = {"user_id": None, "session_id": None}
    assert len(ranker.rank(ask(**nobody), Candidates.of(ALL)).items) == 10
    assert len(ranker.feed(ask("feed", **nobody)).items) == 10
    assert len(ranker.trending(ask("feed", **nobody)).items) == 10
    assert ranker.decide(ask("ads", **nobody), [Placement("top")]).placements[0].items == ()
