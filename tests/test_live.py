"""What a replica makes of item events between two requests."""

import logging

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.state.memory import MemoryStore
from raysys.surfaces.asker import Experts
from raysys.surfaces.live import Live
from raysys.types import Ints
from tests.fakes import NOW_MS, FakeInterest, item, shop


class Listening(FakeInterest):
    """Keeps which rows it was told about."""

    told: Ints

    def with_items(self, catalog: Catalog, retold: Ints | None = None) -> "Listening":
        other = Listening(len(catalog))
        other.told = np.zeros(0, np.int64) if retold is None else retold
        return other


def live(store: MemoryStore) -> Live:
    catalog = shop().updated([ItemUpdate(item_id="i1", image_embedding=[1.0, 2.0])])
    return Live(Experts(catalog=catalog, interest=Listening(), relevance=None), None, store)


def test_a_new_picture_reaches_the_catalog_and_the_interest_model() -> None:
    store = MemoryStore()
    replica = live(store)
    store.append([item("fresh", image_embedding=[3.0, 4.0])], NOW_MS)
    store.append([ItemUpdate(item_id="i3", price_micros=7)], NOW_MS)
    experts = replica.experts(set())
    assert experts.catalog.image_vectors[[0, 1, 12]].tolist() == [[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]
    assert isinstance(experts.interest, Listening)
    assert experts.interest.told.tolist() == [12]


def test_a_picture_of_another_width_is_passed_over_and_the_rest_of_the_event_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = MemoryStore()
    replica = live(store)
    store.append([ItemUpdate(item_id="i1", image_embedding=[1.0, 2.0, 3.0], price_micros=7)], NOW_MS)
    with caplog.at_level(logging.WARNING):
        catalog = replica.experts(set()).catalog
    assert catalog.image_vectors[1].tolist() == [1.0, 2.0]
    assert catalog.price_micros[1] == 7
    assert "1 items, as i1, sent vectors of a width" in caplog.text
