"""Metrics of next-item rankings: by hand, against ir_measures, and what they refuse."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import DataError
from raysys.evaluation import next_item
from raysys.evaluation.next_item import judge, judge_by_library


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, list[np.ndarray]]:
    """Up to 6 rankings of up to 15 of 20 items, some cut short, with 1 to 14 true items each."""
    users, depth = draw(st.integers(1, 6)), draw(st.integers(1, 15))
    top = np.full((users, depth), -1)
    truth = []
    for user in range(users):
        items = np.array(draw(st.permutations(range(20))))
        length = draw(st.integers(0, depth))
        top[user, :length] = items[:length]
        truth.append(np.array(sorted(draw(st.sets(st.integers(0, 19), min_size=1, max_size=14)))))
    return top, truth


def test_one_true_item_at_each_place_is_known_by_hand() -> None:
    top = np.array([[7, 1, 2], [1, 7, 2], [1, 2, 3]])
    found = judge(top, [np.array([7])] * 3)
    np.testing.assert_allclose(found.ndcg, [1.0, 1.0 / np.log2(3.0), 0.0])
    np.testing.assert_allclose(found.hit, [1.0, 1.0, 0.0])
    np.testing.assert_allclose(found.reciprocal, [1.0, 0.5, 0.0])


def test_the_ideal_of_two_true_items_has_both_on_top() -> None:
    found = judge(np.array([[4, 9, 5]]), [np.array([4, 5])])
    np.testing.assert_allclose(found.ndcg, [(1.0 + 0.5) / (1.0 + 1.0 / np.log2(3.0))])


def test_the_eleventh_place_counts_for_the_reciprocal_rank_alone() -> None:
    found = judge(np.arange(12)[None], [np.array([10])])
    assert (found.ndcg[0], found.hit[0], found.reciprocal[0]) == (0.0, 0.0, pytest.approx(1 / 11))


@given(rankings())
def test_arrays_and_the_library_say_the_same(case: tuple[np.ndarray, list[np.ndarray]]) -> None:
    top, truth = case
    ours, theirs = judge(top, truth), judge_by_library(top, truth)
    for name in ("ndcg", "hit", "reciprocal"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-6)


def test_the_library_may_see_rankings_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    top = np.array([rng.permutation(20)[:12] for _ in range(7)])
    truth = [rng.permutation(20)[:2] for _ in range(7)]
    whole = judge_by_library(top, truth)
    monkeypatch.setattr(next_item, "BLOCK", 3)
    parts = judge_by_library(top, truth)
    np.testing.assert_array_equal(parts.ndcg, whole.ndcg)
    np.testing.assert_array_equal(parts.reciprocal, whole.reciprocal)


def test_a_disagreement_with_the_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong idea of how long a ranking is must not go unnoticed: the library then looks at 9 places."""
    top, truth = np.arange(10)[None], [np.array([9])]
    ours = judge(top, truth)
    monkeypatch.setattr(next_item, "LENGTH", 9)
    monkeypatch.setattr(next_item, "judge", lambda *_: ours)
    with pytest.raises(DataError, match=r"by our arrays and 0\.0+ by ir_measures"):
        judge_by_library(top, truth)


def test_the_place_in_the_whole_ranking_replaces_the_end_of_the_top() -> None:
    top, truth = np.array([[1, 2], [3, 4]]), [np.array([3]), np.array([3])]
    found = judge_by_library(top, truth, np.array([39, 0]))
    np.testing.assert_allclose(found.reciprocal, [1 / 40, 1.0])
    with pytest.raises(DataError, match="ranking 1 has its first true item at 0, `first` says 5"):
        judge(top, truth, np.array([39, 5]))
    with pytest.raises(DataError, match="ranking 0 has its first true item at -1, `first` says 1"):
        judge(top, truth, np.array([1, 0]))


def test_the_summary_has_means_and_the_error_over_users() -> None:
    found = judge(np.array([[0, 1], [0, 1], [0, 1], [0, 1]]), [np.array([0])] * 3 + [np.array([5])])
    expected = dict.fromkeys(("ndcg@10", "hr@10", "mrr"), 0.75)
    expected |= {f"{name}_se": 0.25 for name in expected}
    assert found.summary() == pytest.approx(expected)


def test_a_gain_is_paired_by_user() -> None:
    truth = [np.array([0])] * 4
    ours = judge(np.array([[0], [0], [1], [0]]), truth)
    theirs = judge(np.array([[0], [1], [1], [1]]), truth)
    gain = ours.gain(theirs)
    assert gain["ndcg@10"] == pytest.approx(0.5)
    assert gain["ndcg@10_se"] == pytest.approx(np.std([0, 1, 0, 1], ddof=1) / 2)
    with pytest.raises(DataError, match="4 users against 1"):
        ours.gain(judge(np.array([[0]]), [np.array([0])]))


@pytest.mark.parametrize(
    ("top", "truth", "message"),
    [
        ([[1, 1]], [[1]], "a ranking names an item twice"),
        ([[1, 2]], [[]], "user 0 has no true item"),
        ([[1, 2]], [[-1]], "a true item has a negative row"),
        ([[1, 2]], [[1], [2]], r"rankings of shape \(1, 2\) for 2 users"),
    ],
)
def test_what_cannot_be_judged_is_refused(top: list[list[int]], truth: list[list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        judge(np.array(top), [np.array(rows, np.int64) for rows in truth])


def test_arrays_need_no_library() -> None:
    """A replica may judge without ir_measures."""
    import subprocess

    code = "import sys, raysys.evaluation.next_item; print('ir_measures' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
