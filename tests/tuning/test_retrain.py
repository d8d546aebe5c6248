"""The second turn: the live log becomes the next bundle, judged on what came since, and the gate decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.behavior.world import START_MS, World
from raysys.bundle import Bundle, read_manifest
from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.events import Impression, Interaction
from raysys.interest.combination import Trees
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.network import NetworkConfig
from raysys.interest.scorer import InterestScorer
from raysys.releases import current, previous, publish
from raysys.state.open import open_store
from raysys.types import DAY_MS
from tuning import retrain as job
from tuning.demo import Demo
from tuning.fit import fit_and_export
from tuning.loop import LoopSettings
from tuning.retrain import retrain
from tuning.world import columns, world_bundle

WORLD = World(users=120, items=160)
SINCE_MS = START_MS + 45 * DAY_MS
NEW = 12
"""Items that a released network does not know yet."""


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """A released bundle of 40 days, and a live log of 50."""
    monkeypatch.setattr(job, "LEAST", 20)
    made = Demo(folder=tmp_path, full=False)
    (tmp_path / "records").mkdir()
    publish(world_bundle(WORLD, days=40), made.bundles)
    store = open_store(made.state)
    store.append(list(WORLD.events(50)), START_MS + 60 * DAY_MS)
    store.close()
    return made


@pytest.fixture
def networked(demo: Demo, tmp_path: Path) -> Demo:
    """The same, and the released bundle has a network that knows ten days and not the first items."""
    plain = Bundle.load(current(demo.bundles) or Path())
    events = columns(WORLD.events(40), plain.catalog)
    early = events.before(START_MS + 10 * DAY_MS)
    config = NetworkConfig(width=16, epochs=6, batch_tokens=256, learning_rate=0.01)
    folder = fit_and_export(early.where(early.row >= NEW), plain.catalog, config, tmp_path / "network")
    fitted = fit_interest(events, plain.catalog, InterestConfig(), UserEncoder.load(folder))
    publish(replace(plain, interest=fitted.scorer), demo.bundles)
    return demo


def network_of(path: Path | None) -> tuple[UserEncoder, Catalog]:
    found = Bundle.load(path or Path())
    assert isinstance(found.interest, InterestScorer)
    assert found.interest.network is not None
    return found.interest.network.encoder, found.catalog


def test_the_network_goes_on_from_the_released_one_and_takes_in_what_is_new(networked: Demo) -> None:
    old, catalog = network_of(current(networked.bundles))
    settings = replace(LoopSettings.read(), horizon_days=14.0, network_seconds=1.0)
    new, _ = network_of(retrain(networked, SINCE_MS, force=True, settings=settings))
    log = columns(WORLD.events(50), catalog).before(SINCE_MS - 14 * DAY_MS)
    assert not old.known[:NEW].any()
    assert new.known[:NEW].any()
    np.testing.assert_array_equal(np.flatnonzero(new.known[:NEW]), np.unique(log.row[log.row < NEW]))


def test_the_next_bundle_has_learned_from_the_live_log_and_follows_the_released_one(demo: Demo) -> None:
    old = Bundle.load(current(demo.bundles) or Path())
    path = retrain(demo, SINCE_MS, force=True)
    assert path is not None
    assert current(demo.bundles) == path
    assert previous(demo.bundles) == [old.id]
    new, manifest = Bundle.load(path), read_manifest(path)
    assert manifest["after"] == old.id
    assert manifest["gate"]["kind"] == "refresh"
    assert new.policy.id == old.policy.id
    assert new.catalog.popularity.sum() > old.catalog.popularity.sum()
    assert manifest["data"]["interactions"] > old.manifest["data"]["interactions"]


def test_the_next_bundle_has_the_form_of_the_released_one(demo: Demo) -> None:
    plain = Bundle.load(current(demo.bundles) or Path())
    form = {"trees": {"rounds": 5, "leaves": 4}, "networks": None, "narrow": False}
    told = {"compression": {"form": form}, "network": {"trials": 3}}
    publish(replace(plain, manifest=told), demo.bundles)
    path = retrain(demo, SINCE_MS, force=True)
    assert path is not None
    interest = Bundle.load(path).interest
    assert isinstance(interest, InterestScorer)
    assert all(isinstance(one, Trees) for one in (*interest.combinations, *interest.answers))
    manifest = read_manifest(path)
    assert {name: manifest[name] for name in told} == told
    assert manifest["interest"]["kinds"]


def test_a_bundle_that_knows_less_is_refused_and_the_released_one_stays(
    demo: Demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = current(demo.bundles)
    honest = job.fit_interest

    def confused(events, *rest):  # type: ignore[no-untyped-def]
        """A model of people who were mixed up."""
        order = np.random.default_rng(0).permutation(int(events.user.max()) + 1)
        rows = events.row[np.random.default_rng(1).permutation(len(events))]
        return honest(replace(events, user=order[events.user], row=rows), *rest)

    monkeypatch.setattr(job, "fit_interest", confused)
    assert retrain(demo, SINCE_MS, force=False) is None
    assert current(demo.bundles) == before


def test_without_a_released_bundle_or_anything_new_it_says_what_is_missing(
    demo: Demo, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="nothing happened since"):
        retrain(demo, START_MS + 70 * DAY_MS, force=False)
    with pytest.raises(ConfigError, match="make demo"):
        retrain(Demo(folder=tmp_path / "empty", full=False), SINCE_MS, force=False)


def test_the_next_bundle_knows_what_people_meant_by_their_words(demo: Demo) -> None:
    store = open_store(demo.state)
    for number in range(20):
        time_ms, tea, other = (
            START_MS + 41 * DAY_MS + number,
            WORLD.item_id(8 * (number % 10)),
            WORLD.item_id(1),
        )
        asked = {"query_id": f"search{number}", "user_id": f"drinker{number}"}
        page = Impression(**asked, surface="search", query="cuppa", item_ids=[other, tea], time_ms=time_ms)
        click = Interaction(**asked, kind="click", item_id=tea, time_ms=time_ms + 1)
        store.append([page, click], START_MS + 60 * DAY_MS)
    store.close()
    before = Bundle.load(current(demo.bundles) or Path()).relevance
    assert before is not None
    assert before.understood("cuppa").categories == ()
    after = Bundle.load(retrain(demo, SINCE_MS, force=True) or Path()).relevance
    assert after is not None
    name, prob = after.understood("cuppa").categories[0]
    assert name == "shop/tea"
    assert prob > 0.6
