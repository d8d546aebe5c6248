"""The network as a source: shares of everybody's choices, neighbors, and new items found by content."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import KINDS, ItemUpdate
from raysys.interest.features import FEATURES, SOURCES, features
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.habits import NOBODY, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.queries import Queries
from raysys.interest.recall import RecallSizes, recall
from raysys.interest.source import NetworkSource
from raysys.types import DAY_MS, Floats, Ints

ITEMS, PEOPLE, DAYS = 24, 20, 40
NOW = DAYS * DAY_MS


class ByLeaf:
    """Stands for an encoder: an item's vector is its leaf, a person's the leaf they took last."""

    size, known = 0, np.zeros(0, np.bool_)

    def item_vectors(self, catalog: Catalog, first: int = 0) -> Floats:
        return np.eye(4, dtype=np.float32)[[int(path[-1]) for path in catalog.categories[first:]]]

    def user_vector(
        self, rows: Ints, kinds: Ints, times: Ints, vectors: Floats, now_ms: int, queries: Queries
    ) -> Floats:
        return np.asarray(4.0 * vectors[rows[-1]])


def catalog(size: int) -> Catalog:
    return Catalog.of(
        [ItemUpdate(item_id=f"i{n}", title=f"item {n}", category=f"c{n % 4}") for n in range(size)]
    )


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Everybody keeps to one leaf of four."""
    rng = np.random.default_rng(1)
    days = np.repeat(np.arange(DAYS), PEOPLE)
    user = np.tile(np.arange(PEOPLE), DAYS)
    row = rng.integers(0, ITEMS // 4, len(user)) * 4 + user % 4
    kind = np.full(len(user), KINDS.index("purchase"))
    return Interactions(user=user, row=row, kind=kind, time_ms=days * DAY_MS + user)


def fitted(log: Interactions, **changes: Any) -> Any:
    config = InterestConfig(
        kinds=("purchase",), primary="purchase", sizes=RecallSizes(source=8, popular=2, leaf=2)
    )
    return fit_interest(log, catalog(ITEMS), replace(config, **changes), ByLeaf()).scorer  # type: ignore[arg-type]


def test_scores_are_shares_of_everything_and_one_is_chance(log: Interactions) -> None:
    source = NetworkSource.of(ByLeaf(), catalog(ITEMS))  # type: ignore[arg-type]
    scores = source.scores(habits_of(log)[1], NOW)
    assert scores.sum() == pytest.approx(ITEMS)
    assert (scores[np.arange(ITEMS) % 4 == 1] > 1).all()
    assert (scores[np.arange(ITEMS) % 4 != 1] < 1).all()


def test_an_item_that_nobody_took_is_recalled_by_its_content_and_has_neighbors(log: Interactions) -> None:
    wider = catalog(ITEMS + 4)
    model = fitted(log).with_items(wider)
    view = model.view_of(habits_of(log)[2], NOW)
    fresh = ITEMS + 2  # of leaf c2, which person 2 keeps to
    assert fresh in recall(view, RecallSizes(source=8, popular=0, leaf=0))
    assert set(model.similar(fresh, 5) % 4) == {2}


def test_unheard_the_network_recalls_but_no_combination_sees_its_score(log: Interactions) -> None:
    for heard in (True, False):
        model = fitted(log, network_heard=heard)
        view = model.view_of(habits_of(log)[2], NOW)
        assert view.scores[SOURCES.index("network")].any()
        seen = features(view, np.arange(ITEMS), NOW)[:, FEATURES.index("network")]
        assert seen.any() == heard


def test_uncertainty_is_highest_for_what_is_new_to_all_and_falls_with_what_was_counted(
    log: Interactions,
) -> None:
    """The bonus of exploring: an item that nobody took stands out, for strangers more than for regulars."""
    model = fitted(log).with_items(catalog(ITEMS + 1))
    count = np.bincount(log.row, minlength=ITEMS + 1)
    counted = replace(catalog(ITEMS + 1), popularity=count.astype(np.float32))
    model = replace(model, shelf=None).with_items(counted)
    rows = np.array([-1, *range(ITEMS + 1)])
    stranger = model.uncertainty(model.view_of(NOBODY, NOW), rows)
    regular = model.uncertainty(model.view_of(habits_of(log)[2], NOW), rows)
    assert stranger[0] == stranger[ITEMS + 1] == 1.0
    order = np.argsort(count, kind="stable")
    assert (np.diff(stranger[1:][order]) <= 0).all()
    assert (regular[1:] < stranger[1:]).all()
    assert (regular > 0).all()
