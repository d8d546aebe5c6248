"""What people asked for, in a dataset: whose it is, where it stands, and that no shard or file changes it."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.dataset.build import Dataset, build
from raysys.dataset.prepare import prepare
from raysys.dataset.queries import QUERIES
from raysys.dataset.read import of_events, read
from raysys.dataset.stream import user_chunks
from raysys.events import Event, Forget, Impression, Interaction, ItemUpdate, UserUpdate, encode_event
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.log import streamed
from raysys.interest.queries import Queries
from raysys.state.memory import MemoryStore
from raysys.types import DAY_MS, key_of

START = 19_000 * DAY_MS
ITEMS = [ItemUpdate(item_id=f"i{n}", title=f"thing {n}") for n in range(5)]


def deed(item: int, time_ms: int, user: str | None = "ann", **more: Any) -> Interaction:
    return Interaction(kind="click", item_id=f"i{item}", time_ms=START + time_ms, user_id=user, **more)


def asked(query: str, time_ms: int, user: str | None = "ann", **more: Any) -> Impression:
    more.setdefault("query_id", f"{query}-{time_ms}")
    return Impression(
        surface="search", item_ids=["i0"], time_ms=START + time_ms, user_id=user, query=query, **more
    )


def told(data: Dataset, user: str = "u:ann") -> list[tuple[int, int, str]]:
    """Time, number of earlier interactions, and text."""
    mine = data.queries.filter(pl.col("user") == user)
    return [(time_ms - START, after, query) for time_ms, after, query in mine.drop("user").rows()]


def test_queries_stand_where_they_were_asked_at_one_time_in_order_of_arrival() -> None:
    events: list[Event] = [
        deed(1, 10), asked("tea", 10), deed(2, 10), asked("rum", 10), asked("", 10), asked("last", 30),
        asked("late", 5), deed(3, 7),
    ]  # fmt: skip
    data = build([of_events(events[:3]), of_events(events[3:])])
    assert told(data) == [(5, 0, "late"), (10, 2, "tea"), (10, 3, "rum"), (30, 3, "last")]
    assert data.report["queries"] == 4


def test_the_first_lines_of_a_file_come_first_in_whatever_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = [deed(1, 10), asked("tea", 10), deed(2, 10), asked("rum", 10), deed(3, 10)]
    lines = b"".join(encode_event(event) + b"\n" for event in events)
    (tmp_path / "events.jsonl").write_bytes(lines)
    found = []
    for size in (1, 2, 100):
        monkeypatch.setattr("raysys.dataset.read.CHUNK", size)
        found.append(told(build(read([tmp_path / "events.jsonl"]))))
    assert found == [[(10, 1, "tea"), (10, 2, "rum")]] * 3


def test_nothing_is_kept_of_who_refused_or_was_forgotten_nor_of_nobody() -> None:
    events: list[Event] = [
        *(deed(n, n, user) for n, user in enumerate(("ann", "bob", "cid", "dee"))),
        *(asked("rum", 9, user) for user in ("ann", "bob", "cid", "dee", None)),
        asked("from before", 8, None, session_id="s1"),
        asked("mine", 9, "bob", session_id="s1"),
        asked("mine too", 9, "ann", session_id="s2"),
        asked("later", 10, None, session_id="s2"),
        UserUpdate(user_id="bob", consent=False, time_ms=START + 50),
        Forget(user_id="cid", time_ms=START + 60),
        asked("again", 70, "cid"),
        deed(1, 71, "cid"),
    ]
    data = build([of_events(events)])
    assert set(data.queries["user"]) == {"u:ann", "u:cid", "u:dee"}
    assert told(data, "u:cid") == [(70, 0, "again")]
    assert [query for _, _, query in told(data)] == ["rum", "mine too", "later"]


def test_an_impression_that_was_sent_twice_asked_once() -> None:
    once = asked("tea", 5, event_id="e1")
    assert told(build([of_events([once, deed(1, 7), once, asked("rum", 5)])])) == [
        (5, 0, "tea"),
        (5, 0, "rum"),
    ]


def test_what_a_robot_asked_is_left_out_from_when_it_is_one_and_so_is_who_did_nothing() -> None:
    hasty = [deed(n % 5, 100 + n) for n in range(70)]  # the 61st within a minute makes a robot
    events: list[Event] = [asked("before", 0), *hasty, asked("then", 165), asked("alone", 5, "eve")]
    assert told(build([of_events(events)])) == [(0, 0, "before")]
    assert told(build([of_events(events)]), "u:eve") == []


LINES = st.lists(
    st.tuples(
        st.integers(0, 4), st.integers(0, 3), st.integers(0, 4) | st.sampled_from(["tea", "rum", "green tea"])
    ),
    min_size=1,
    max_size=60,
)


def events_of(lines: list[tuple[int, int, int | str]]) -> list[Event]:
    """Lines of (user, day, item or query), in order of the day."""
    found: list[Event] = list(ITEMS)
    for number, (user, day, what) in enumerate(sorted(lines, key=lambda line: line[1])):
        if isinstance(what, str):
            found.append(asked(what, day * DAY_MS, f"u{user}", query_id=f"q{number}"))
        else:
            found.append(deed(what, day * DAY_MS, f"u{user}", event_id=f"e{number}"))
    return found


@settings(max_examples=15, deadline=None)
@given(lines=LINES, file_rows=st.sampled_from([1, 1000]), batch_rows=st.integers(1, 9))
def test_a_dataset_tells_what_the_live_state_tells_in_memory_and_streamed(
    lines: list[tuple[int, int, int | str]],
    file_rows: int,
    batch_rows: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    events, store = events_of(lines), MemoryStore()
    store.append(events, START)
    folder = tmp_path_factory.mktemp("data")
    report = prepare([of_events(events)], folder, file_rows=file_rows, batch_rows=batch_rows)
    data, catalog = Dataset.load(folder), Catalog.of(ITEMS)
    assert report == build([of_events(events)]).report
    logs = [Interactions.of(data, catalog)]
    logs += [Interactions.joined(list(streamed(folder, catalog, 2)(0)))] if len(data.interactions) else []
    users = sorted({line[0] for line in lines if not isinstance(line[2], str)})
    for log in logs:
        swept = habits_of(log)
        found = sorted(map(shown, swept.values()))
        live = [Habits.of(store.live(key_of(f"u{user}", None)), catalog) for user in users]
        assert found == sorted(map(shown, live))


def shown(habits: Habits) -> list[Any]:
    queries = [getattr(habits.queries, name).tolist() for name in Queries.__slots__]
    return [habits.history_rows.tolist(), habits.history_ms.tolist(), *queries]


def test_queries_count_in_the_fingerprint_and_without_any_nothing_is_written(tmp_path: Path) -> None:
    plain: list[Event] = [*ITEMS, *(deed(n, n) for n in range(5))]
    first = prepare([of_events(plain)], tmp_path / "plain")
    assert list((tmp_path / "plain" / QUERIES).iterdir()) == []
    assert len(Dataset.load(tmp_path / "plain").queries) == 0
    second, third = (build([of_events([*plain, asked(word, 2)])]).report for word in ("tea", "rum"))
    assert len({report["fingerprint"] for report in (first, second, third)}) == 3


def test_a_chunk_has_the_queries_of_its_users_alone(tmp_path: Path) -> None:
    events: list[Event] = []
    for user in range(20):
        events += [asked(f"word{user}", 0, f"u{user}"), deed(user % 5, 1, f"u{user}")]
        events += [asked(f"trailing{user}", 2, f"u{user}")]
    prepare([of_events(events)], tmp_path, file_rows=4)
    for chunk in user_chunks(tmp_path, 3, 0, queries=True):
        assert chunk["user"].n_unique() <= 3
        for (user,), rows in chunk.group_by("user", maintain_order=True):
            number = int(str(user).removeprefix("u:u"))
            assert rows["query"].to_list() == [f"word{number}", None, f"trailing{number}"]
            assert rows["item"].to_list() == [None, f"i{number % 5}", None]
        np.testing.assert_array_equal(chunk["user"].rle_id().n_unique(), chunk["user"].n_unique())
