"""The partners' scores are what can be worked out by hand."""

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.interest.interactions import Interactions, decay
from raysys.interest.partners import Following, Neighbors, Rows, co_visits, item_knn
from raysys.types import DAY_MS

PURCHASE = 3


def bought(*baskets: tuple[int, list[int]]) -> Interactions:
    """(user, rows in order), one interaction a day, days shared by all users."""
    lines = sorted((day, user, row) for user, rows in baskets for day, row in enumerate(rows))
    days, users, rows = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    return Interactions(user=users, row=rows, kind=np.full(len(days), PURCHASE), time_ms=days * DAY_MS)


def dense(matrix: Rows, width: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.array([matrix.weighted(np.array([row]), np.ones(1), width) for row in range(len(matrix))])


def test_a_weighted_sum_of_sparse_rows_is_the_dense_product() -> None:
    from scipy import sparse

    rng = np.random.default_rng(3)
    matrix = sparse.random(20, 15, 0.2, rng=rng, format="csr")
    rows, weights = rng.integers(0, 20, 8), rng.normal(size=8)
    expected = weights @ matrix.toarray()[rows]
    np.testing.assert_allclose(Rows.of(matrix).weighted(rows, weights, 15), expected, atol=1e-6)


def test_items_chosen_by_the_same_people_are_alike() -> None:
    events = bought((0, [0, 1]), (1, [0, 1]), (2, [0, 2]))
    similar = dense(item_knn(events, 3, 3, shrink=0.0), 3)
    assert similar[0] == pytest.approx([0.0, 2 / np.sqrt(3 * 2), 1 / np.sqrt(3 * 1)])
    assert similar[1, 2] == 0.0


def test_what_follows_counts_more_the_nearer_it_follows_and_never_backwards() -> None:
    visits = dense(co_visits(bought((0, [0, 1, 2])), 3, Following(gap=2, reverse=0.0, shrink=0.0)), 3)
    assert visits == pytest.approx(np.array([[0, 1.0, 0.5], [0, 0, 1.0], [0, 0, 0]]))


def test_people_alike_vote_and_strangers_do_not() -> None:
    events = bought((0, [0, 1]), (1, [0, 2]), (2, [3, 4]))
    neighbors = Neighbors.learn(events, 3, 5, 2 * DAY_MS, half_life=1000.0)
    votes = neighbors.scores(np.array([0]), np.ones(1))
    assert votes[1] > 0
    assert votes[2] > 0
    assert votes[3] == votes[4] == 0


def test_the_most_similar_vote_and_of_equal_ones_the_first() -> None:
    alike = 9
    events = bought(*((user, [0, 1 + user]) for user in range(alike)), (alike, [1 + alike]))
    neighbors = Neighbors.learn(events, 1 + alike, 2 + alike, 2 * DAY_MS, half_life=1e9)
    mine = np.array([0, 7]), np.array([1.0, 0.1])
    votes = neighbors.scores(*mine, most=4)
    assert np.flatnonzero(votes).tolist() == [0, 1, 2, 3, 7], "user 6 has item 7 too, and is nearest"
    assert np.all(neighbors.scores(*mine)[: 1 + alike] > 0)


def test_a_users_own_row_does_not_vote_for_itself() -> None:
    events = bought((0, [0, 1]), (1, [3, 4]))
    neighbors = Neighbors.learn(events, 2, 5, 2 * DAY_MS, half_life=1e9)
    assert not neighbors.scores(np.array([0, 1]), np.ones(2)).any()


def test_half_a_life_ago_counts_half() -> None:
    assert decay(np.array([0, 7 * DAY_MS]), 7 * DAY_MS, 7.0).tolist() == [0.5, 1.0]


def test_interactions_out_of_order_are_refused() -> None:
    column = np.zeros(2, np.int64)
    with pytest.raises(DataError, match="not in order of time"):
        Interactions(user=column, row=column, kind=column, time_ms=np.array([2, 1]))
