"""A log is cut so that nothing asked for is known, and nothing else is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import DataError
from raysys.interest.asked import Split, by_time, earlier, last_one, leave_one_out, places_from_end
from raysys.interest.interactions import Interactions

VIEW = 0


def log(*histories: list[int], times: list[list[int]] | None = None) -> Interactions:
    """One history of rows for each user; without times one deed a millisecond, of all users at once."""
    told = times or [list(range(len(history))) for history in histories]
    lines = [
        (time_ms, user, row)
        for user, history in enumerate(histories)
        for time_ms, row in zip(told[user], history, strict=True)
    ]
    lines.sort(key=lambda line: line[0])
    time_ms, user, row = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    return Interactions(user=user, row=row, kind=np.full(len(row), VIEW), time_ms=time_ms)


def rows_of(events: Interactions, user: int) -> list[int]:
    return list(events.row[events.user == user].tolist())


def test_leave_one_out_asks_the_last_and_validates_the_one_before() -> None:
    split = leave_one_out(log([1, 2, 3, 4], [5, 6], [7, 8, 9]))
    assert split.test.user.tolist() == split.valid.user.tolist() == [0, 2]
    assert [rows.tolist() for rows in split.valid.truth] == [[3], [8]]
    assert [rows.tolist() for rows in split.test.truth] == [[4], [9]]
    assert rows_of(split.train, 0) == rows_of(split.valid.before, 0) == [1, 2]
    assert rows_of(split.test.before, 0) == [1, 2, 3]
    assert rows_of(split.train, 1) == [5, 6]  # too few to be asked, so all of it is learned from


def test_of_equal_times_the_later_line_of_the_log_is_the_later_one() -> None:
    split = leave_one_out(log([4, 2, 9], times=[[7, 7, 7]]))
    assert [rows.tolist() for rows in split.test.truth] == [[9]]


def test_a_log_in_which_nobody_has_three_interactions_is_refused() -> None:
    with pytest.raises(DataError, match="none of 2 users has 3 interactions"):
        leave_one_out(log([1, 2], [3]))


def test_interactions_that_are_not_known_yet_lie_between_history_and_answer() -> None:
    asked = last_one(log([1, 2, 3, 4]), np.array([0]), new_only=True, unseen=1)
    assert rows_of(asked.before, 0) == [1, 2]
    assert asked.truth[0].tolist() == [4]


def test_earlier_questions_know_nothing_of_later_answers() -> None:
    events = log([1, 2, 3, 4, 5], [6, 7, 8])
    first = last_one(events, np.array([0, 1]), new_only=True)
    lessons = earlier(events, first, 3, spare=2)
    assert lessons[0] is first
    assert [[rows.tolist() for rows in one.truth] for one in lessons] == [[[5], [8]], [[4]], [[3]]]
    assert [rows_of(one.before, 0) for one in lessons] == [[1, 2, 3, 4], [1, 2, 3], [1, 2]]
    assert rows_of(lessons[2].before, 1) == [6, 7]  # too short a history to be asked again


def test_earlier_questions_end_where_nobody_has_history_to_spare() -> None:
    events = log([1, 2, 3])
    assert len(earlier(events, last_one(events, np.array([0]), new_only=True), 5, spare=1)) == 2


def test_earlier_questions_take_one_interaction_each_however_many_are_not_known_yet() -> None:
    events = log([1, 2, 3, 4, 5, 6])
    first = last_one(events, np.array([0]), new_only=True, unseen=2)
    lessons = earlier(events, first, 9, spare=1, unseen=2)
    assert [one.truth[0].tolist() for one in lessons] == [[6], [5], [4]]
    assert [rows_of(one.before, 0) for one in lessons] == [[1, 2, 3], [1, 2], [1]]


def test_a_split_by_time_asks_for_everything_that_is_new_to_the_user() -> None:
    times = [[0, 30, 81, 82], [10, 70, 90]]
    split = by_time(log([1, 2, 2, 3], [4, 5, 6], times=times), 80)
    assert [rows.tolist() for rows in split.test.truth] == [[3], [6]]
    assert split.test.now_ms.tolist() == [81, 90]
    assert split.valid.user.tolist() == [1]
    assert len(split.train) == 3
    seen = by_time(log([1, 2, 2, 3], [4, 5, 6], times=times), 80, keep_seen=True)
    assert seen.test.truth[0].tolist() == [2, 3]


def test_a_validation_reaches_back_for_people_where_the_test_is_short() -> None:
    split = by_time(log([1, 2, 3], [4, 5], times=[[0, 75, 99], [10, 80]]), 96)
    assert split.test.user.tolist() == [0]
    assert split.valid.user.tolist() == [0, 1], "in the last 4 ms before the moment nobody did anything"
    assert split.train.time_ms.tolist() == [0, 10]


def test_a_moment_outside_the_log_is_refused() -> None:
    with pytest.raises(DataError, match="split it at a moment inside"):
        by_time(log([1, 2, 3]), 99)


HISTORIES = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=6)


@given(HISTORIES)
def test_nothing_that_is_asked_for_is_known_before(histories: list[list[int]]) -> None:
    events = log(*histories)
    try:
        split = leave_one_out(events)
    except DataError:
        assert max(map(len, histories)) < 3
        return
    for asked, left in ((split.valid, 2), (split.test, 1)):
        for user, truth in zip(asked.user.tolist(), asked.truth, strict=True):
            assert [*rows_of(asked.before, user), *truth.tolist()] == histories[user][
                : len(histories[user]) - left + 1
            ]
    assert _count(split) == sum(len(history) - 2 * (len(history) >= 3) for history in histories)


def _count(split: Split) -> int:
    return len(split.train)


@given(HISTORIES)
def test_places_from_the_end_count_down_to_the_last(histories: list[list[int]]) -> None:
    events = log(*histories)
    for user, history in enumerate(histories):
        assert places_from_end(events)[events.user == user].tolist() == list(range(len(history)))[::-1]
