"""The search and the last fit go on from the network of a bundle."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import InterestConfig
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.source import NetworkSource
from raysys.types import DAY_MS
from tests.fakes import FakeInterest, bundle, shop
from tuning import retrain
from tuning.fit import fit_and_export
from tuning.network import SearchSettings, tune_network

CONFIG = NetworkConfig(width=16, epochs=8, batch_tokens=64, learning_rate=0.01, seed=1)
ITEMS, USERS = 12, 20


def circle(first: int, days: int) -> Interactions:
    """Everybody buys the next two items every day."""
    deeds = [
        (u, (2 * (d + u) + n) % ITEMS, d)
        for d in range(first, first + days)
        for u in range(USERS)
        for n in (0, 1)
    ]
    user, row, day = (np.array(column) for column in zip(*deeds, strict=True))
    time_ms = 19_000 * DAY_MS + day * DAY_MS + row * 1000
    order = np.lexsort((row, user, day))
    time_ms = np.sort(time_ms[order], kind="stable")
    return Interactions(user=user[order], row=row[order], kind=np.full(len(user), 3), time_ms=time_ms)


def still(config: NetworkConfig) -> NetworkConfig:
    """A fit that moves nothing to speak of, however fast the machine is."""
    return replace(config, cpu_seconds=None, epochs=1, learning_rate=1e-9, hidden_rate=0.0, weight_decay=0.0)


class NetworkAlone(FakeInterest):
    """An interest model that is a network and nothing else."""

    def __init__(self, network: NetworkSource) -> None:
        super().__init__()
        self.network = network

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.network.save(folder / "network")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(ITEMS)


@pytest.fixture(scope="module")
def released(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    fitted = UserEncoder.load(fit_and_export(circle(0, 20), catalog, CONFIG, folder / "network"))
    bundle(interest=NetworkAlone(NetworkSource.of(fitted, catalog))).save(folder / "released")
    return folder / "released"


def test_a_search_goes_on_from_the_network_of_a_bundle_and_repeats_nothing(
    released: Path, catalog: Catalog, ray_here: None, tmp_path: Path
) -> None:
    settings = SearchSettings(trials=1, minutes=5, horizon_days=3.0, cpus=1, space={"dropout": [0.1]})
    short = replace(CONFIG, width=8, epochs=1, learning_rate=1e-4, hidden_rate=0.0)
    log = circle(20, 8)
    warm = tune_network(log, catalog, tmp_path / "warm", config=short, settings=settings, warm=released)
    scratch = tune_network(log, catalog, tmp_path / "scratch", config=short, settings=settings)
    assert (warm.config.width, scratch.config.width) == (16, 8)
    assert warm.ndcg > scratch.ndcg + 0.2
    again = tune_network(log, catalog, tmp_path / "warm", config=short, settings=settings, warm=released)
    assert again == warm
    with pytest.raises(ConfigError, match="search"):
        tune_network(log, catalog, tmp_path / "warm", config=short, settings=settings)


def test_the_last_fit_goes_on_too(released: Path, catalog: Catalog, tmp_path: Path) -> None:
    after = UserEncoder.load(
        fit_and_export(circle(20, 3), catalog, still(CONFIG), tmp_path / "after", released)
    )
    before = UserEncoder.load(released / "interest" / "network")
    np.testing.assert_allclose(after.identity, before.identity, atol=1e-5)
    with pytest.raises(ConfigError, match="width is 32"):
        fit_and_export(circle(20, 3), catalog, replace(still(CONFIG), width=32), tmp_path / "wide", released)


def test_a_bundle_without_a_network_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    assert isinstance(bundle().save(tmp_path / "plain"), Bundle)
    with pytest.raises(BundleError, match="export it again"):
        fit_and_export(circle(0, 3), catalog, CONFIG, tmp_path / "out", tmp_path / "plain")


@pytest.mark.parametrize(("heard", "left"), [(True, 5), (False, 0)])
def test_a_turn_goes_on_with_what_was_before_the_days_that_the_combination_learns_from_if_it_hears_it(
    released: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, heard: bool, left: int
) -> None:
    asked: list[Interactions] = []
    seconds: list[float | None] = []

    def watched(events: Interactions, items: Catalog, network: NetworkConfig, *rest: Any) -> Path:
        asked.append(events)
        seconds.append(network.cpu_seconds)
        return fit_and_export(events, items, still(network), *rest)

    monkeypatch.setattr(retrain, "fit_and_export", watched)
    log = circle(0, 30)
    config = InterestConfig(horizon_days=5.0, network_heard=heard)
    found = retrain.gone_on(released, log, catalog, config, cpu_seconds=2.0)
    assert asked[0].time_ms.max() // DAY_MS == log.time_ms.max() // DAY_MS - left
    assert seconds[0] is not None
    assert 0.0 < seconds[0] <= 2.0
    old = UserEncoder.load(released / "interest" / "network")
    np.testing.assert_array_equal(found.known, old.known)
    moved = np.abs(found.item_vectors(catalog) - old.item_vectors(catalog)).max()
    assert moved < 1e-4, "it begins where the released one is"
