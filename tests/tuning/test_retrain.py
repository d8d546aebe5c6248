"""The second turn: the live log becomes the next bundle, judged on what came since, and the gate decides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.behavior.world import START_MS, World
from raysys.bundle import Bundle, read_manifest
from raysys.errors import ConfigError, DataError
from raysys.releases import current, previous, publish
from raysys.state.open import open_store
from raysys.types import DAY_MS
from tuning import retrain as job
from tuning.demo import Demo
from tuning.retrain import retrain
from tuning.world import world_bundle

WORLD = World(users=120, items=160)
SINCE_MS = START_MS + 45 * DAY_MS


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
