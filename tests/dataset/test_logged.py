"""Only what was really shown as it was ranked counts, and everything left out is counted."""

from dataclasses import replace

import numpy as np
import pytest

from raysys.dataset.logged import Outcomes, rewards_of
from raysys.dataset.read import of_events
from raysys.errors import DataError
from raysys.events import Event, Forget, Impression, Interaction, UserUpdate
from raysys.log import RankingRecord
from raysys.signals import SIGNALS


def record(
    query_id: str = "q", order: str = "bca", *, key: str | None = "u:ann", offset: int = 0
) -> RankingRecord:
    candidates = "abcde"
    picks = np.array([candidates.index(item) for item in order])
    return RankingRecord(
        query_id=query_id,
        time_ms=1,
        surface="search",
        channel="",
        key=key,
        state_version=1,
        bundle_id="b",
        policy_id="p",
        profile=0,
        profile_prob=1.0,
        temperature=0.5,
        item_ids=tuple(candidates),
        signals=np.zeros((5, len(SIGNALS)), np.float16),
        order=picks,
        propensities=np.linspace(0.2, 0.4, 5)[: len(picks)],
        forced=np.zeros(len(picks), bool),
        offset=offset,
    )


def shown(items: str, query_id: str = "q", **fields: object) -> Impression:
    return Impression(query_id=query_id, surface="search", item_ids=list(items), time_ms=2, **fields)


def did(kind: str, item: str, query_id: str | None = "q", **fields: object) -> Interaction:
    return Interaction(kind=kind, item_id=item, query_id=query_id, time_ms=3, user_id="ann", **fields)


def join(records: list[RankingRecord], *events: Event) -> Outcomes:
    return rewards_of(records, of_events(events))


def test_clicks_and_purchases_stand_at_the_position_of_their_item() -> None:
    found = join(
        [record()], shown("bca"), did("click", "c"), did("click", "b"), did("purchase", "c", value=3.0)
    )
    np.testing.assert_array_equal(found.counts["click"], [[1, 1, 0]])
    np.testing.assert_array_equal(found.counts["purchase"], [[0, 1, 0]])
    np.testing.assert_array_equal(found.reward({"click": 0.1, "purchase": 2.0}), [[0.1, 2.1, 0.0]])
    assert not found.left_out


def test_a_prefix_was_shown_and_nothing_below_it_counts() -> None:
    found = join([record(), record("other")], shown("bc"), shown("bca", "other"), did("click", "a"))
    np.testing.assert_array_equal(found.shown, [[True, True, False], [True, True, True]])
    assert found.left_out == {"interaction with an item that was not shown": 1}
    assert not found.reward({"click": 1.0}).any()


@pytest.mark.parametrize("items", ["cb", "bda", "bcad", "e"])
def test_an_altered_ranking_is_left_out_and_counted(items: str) -> None:
    found = join([record()], shown(items), did("click", "b"))
    assert found.records == ()
    assert found.left_out == {"altered": 1, "interaction without a usable ranking": 1}
    assert found.reward({"click": 1.0}).shape == (0, 0)


def test_positions_that_the_host_sends_must_be_those_of_the_ranking() -> None:
    assert len(join([record()], shown("bca", positions=[0, 1, 2])).records) == 1
    assert join([record()], shown("bca", positions=[0, 2, 3])).left_out == {"altered": 1}


def test_pages_of_one_ranking_are_one_row() -> None:
    pages = [record(order="bc"), record(order="bcad", offset=2)]
    found = join(pages, shown("bc"), shown("ad", positions=[2, 3]), did("click", "d"), did("click", "b"))
    assert [len(r.order) for r in found.records] == [4]
    np.testing.assert_array_equal(found.counts["click"], [[1, 0, 0, 1]])


def test_a_second_page_without_the_first_or_drawn_anew_is_left_out() -> None:
    second = record(order="bcad", offset=2)
    assert join([record(order="bc"), second], shown("ad")).left_out == {"no impression of the first page": 1}
    anew = replace(second, propensities=second.propensities / 2)
    assert join([record(order="bc"), anew], shown("bc"), shown("ad")).left_out == {"redrawn": 1}


def test_what_was_never_reported_as_shown_and_what_was_never_ranked_is_counted() -> None:
    found = join([record()], shown("bca", "lost"), did("click", "b"), did("click", "b", query_id=None))
    assert found.left_out == {
        "impression without a record": 1,
        "not shown": 1,
        "interaction without a usable ranking": 1,
        "interaction without a query": 1,
    }


def test_auctions_are_counted_apart() -> None:
    found = join([replace(record(), surface="ads")], shown("bca"))
    assert (found.records, found.left_out) == ((), {"auction": 1})


def test_nothing_is_learned_of_people_who_refused_or_are_forgotten() -> None:
    events = [shown("bca", user_id="ann"), did("click", "b"), UserUpdate(user_id="ann", consent=False)]
    found = join([record()], *events)
    assert found.left_out == {"forgotten or without consent": 2, "not shown": 1}
    assert join([record()], *events[:2], Forget(user_id="ann")).records == ()


def test_an_event_sent_twice_counts_once() -> None:
    found = join([record()], shown("bca"), shown("bca"), *2 * [did("click", "b", event_id="e1")])
    np.testing.assert_array_equal(found.counts["click"], [[1, 0, 0]])


def test_rankings_of_one_user_are_one_cluster_and_strangers_are_apart() -> None:
    records = [record(f"q{n}", key=key) for n, key in enumerate(["u:ann", None, "u:ann", None])]
    found = join(records, *(shown("bca", f"q{n}") for n in range(4)))
    assert found.clusters[0] == found.clusters[2]
    assert len(set(found.clusters.tolist())) == 3


def test_the_reward_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DataError, match="no interaction 'clik'; the kinds are view, click"):
        join([record()], shown("bca")).reward({"clik": 1.0})
