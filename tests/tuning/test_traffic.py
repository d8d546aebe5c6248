"""A simulated day goes over the wire: every page is reported, and what is taken counts in the very state."""

from urllib.parse import urlsplit

import pytest

from raysys.behavior.world import START_MS
from raysys.catalog import Catalog
from raysys.dataset.build import build
from raysys.dataset.read import of_events
from raysys.state.open import open_store
from raysys.types import DAY_MS
from tests.conftest import WORLD
from tests.serving import Served
from tuning.stand_in import StandInEngine
from tuning.story import latency
from tuning.traffic import Host, Shopper, TrafficError, a_day


def test_a_day_of_pages_is_acknowledged_and_kept(served: Served) -> None:
    catalog = Catalog.of(WORLD.catalog())
    wants = frozenset(catalog.item_ids[::2])
    people = [
        Shopper(user_id=f"shopper{n}", wants=wants, searches=("tea", "no such words")) for n in range(6)
    ]
    port = urlsplit(served.url).port or 0
    day = a_day(people, StandInEngine(catalog), catalog.item_ids, port, seed=3, workers=2)
    assert day.pages == 12  # a feed and one search each; the other search finds nothing
    assert day.taken > 0
    assert day.events == day.pages + 2 * day.taken
    store = open_store(served.state)
    try:
        states = [store.live(f"u:{who.user_id}") for who in people]
    finally:
        store.close()
    assert sum(sum(state.own_bought) for state in states if state is not None) > 0
    assert all(state is not None and state.queries[-1] == "tea" for state in states)


def test_the_latency_of_the_services_is_a_table_and_a_plot(served: Served) -> None:
    data = build([of_events([*WORLD.catalog(), *WORLD.events(3)])])
    section = latency(urlsplit(served.url).port or 0, data, START_MS + 4 * DAY_MS)
    assert [row[0] for row in section.rows] == ["/rank", "/feed"]
    assert all(0 < row[1] <= row[2] <= row[3] for row in section.rows)  # type: ignore[operator]
    assert section.png[:4] == b"\x89PNG"


def test_a_refusal_is_told_with_its_status_and_text(served: Served) -> None:
    host = Host(urlsplit(served.url).port or 0)
    with pytest.raises(TrafficError, match=r"/rank answered 400"):
        host.post("/rank", {"nonsense": 1})


def test_where_nothing_listens_the_error_says_so() -> None:
    with pytest.raises(TrafficError, match="do the services run"):
        Host(1).post("/feed", {})
