"""A log of searches is read as it was: what stood where, what was taken, and what is none of it."""

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.events import Impression
from raysys.relevance.searches import Searches
from tests.fakes import shop

PAGES = [
    Impression(query_id="b", surface="search", query="milk", item_ids=["i2", "gone", "i0"], time_ms=20),
    Impression(query_id="a", surface="search", query="bread", item_ids=["i1"], positions=[4], time_ms=10),
    Impression(query_id="c", surface="search", query="milk", item_ids=["i2"], time_ms=30),
    Impression(query_id="d", surface="feed", item_ids=["i1", "i2"], time_ms=40),
]
DEEDS = [
    ("click", "b", "i0"),
    ("view", "b", "i2"),
    ("purchase", "c", "i2"),
    ("cart", None, "i1"),
    ("click", "d", "i1"),
]


def test_showings_are_in_order_of_time_with_their_places_and_what_was_taken() -> None:
    found = Searches.of(PAGES, DEEDS, shop())
    assert [found.queries[query] for query in found.query] == ["bread", "milk", "milk", "milk"]
    assert found.row.tolist() == [1, 2, 0, 2]
    assert found.position.tolist() == [4, 0, 2, 0]
    assert found.taken.tolist() == [False, False, True, True]
    taken = found.what_was_taken()
    assert [taken.queries[query] for query in taken.query] == ["milk", "milk"]
    assert taken.row.tolist() == [0, 2]


def test_an_item_at_a_position_that_no_list_has_is_passed_over() -> None:
    lost = Impression(
        query_id="e",
        surface="search",
        query="tea",
        item_ids=["i0", "i1", "i2"],
        positions=[-1, 2**50, 3],
        time_ms=5,
    )
    assert Searches.of([lost], [], shop()).position.tolist() == [3]


def test_the_past_and_the_halves() -> None:
    found = Searches.of(PAGES, DEEDS, shop())
    assert found.before(20).row.tolist() == [1]
    earlier, later = found.halves()
    assert (earlier.row.tolist(), later.row.tolist()) == ([1], [2, 0, 2])


def test_judgements_are_of_items() -> None:
    found = Searches.of(PAGES, DEEDS, shop()).judgements(shop())
    assert found.row is not None
    assert [shop().text(row) for row in found.row] == found.texts
    assert found.relevant[found.row[found.text] == 1] < found.relevant.max()


def test_a_log_that_says_nothing_of_searches() -> None:
    nothing = Searches.of([], [], shop())
    assert len(nothing) == len(nothing.what_was_taken().row) == 0
    assert [len(half) for half in nothing.halves()] == [0, 0]
    with pytest.raises(DataError, match="no impression of known items with a query"):
        nothing.judgements(shop())
    assert np.array_equal(Searches.of(PAGES[3:], DEEDS, shop()).row, [])
