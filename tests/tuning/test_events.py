"""Files of events become arrays: whole, in order, and with every refusal told."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.dataset.prepare import prepare
from raysys.dataset.read import read
from raysys.errors import ConfigError, DataError
from raysys.events import KINDS
from raysys.interest.queries import hashed
from tuning.events import EventLog, parse_split, read_events, split_log
from tuning.log import read_log
from tuning.questions import read_asked

DAY = 86_400_000


def deed(user: str, item: str, time_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "interaction", "kind": "view", "user_id": user, "item_id": item, "time_ms": time_ms, **more
    }  # fmt: skip


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def told(log: EventLog) -> list[tuple[str, str, str, int]]:
    """(user key, item, kind, time) of every interaction, in order."""
    key = {code: name for name, code in log.users.items()}
    e = log.events
    return [
        (key[user], log.catalog.item_ids[row], KINDS[kind], time)
        for user, row, kind, time in zip(
            e.user.tolist(), e.row.tolist(), e.kind.tolist(), e.time_ms.tolist(), strict=True
        )
    ]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers(0, 2)), min_size=1, max_size=30
    )
)
def test_all_formats_tell_the_same_and_equal_times_keep_the_order_of_lines(
    rows: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    events = [deed(user, item, day * DAY) for user, item, day in rows]
    frame = pl.DataFrame(events)
    frame.write_csv(folder / "e.csv")
    frame.write_parquet(folder / "e.parquet")
    expected = [(f"u:{u}", i, "view", d * DAY) for u, i, d in sorted(rows, key=lambda row: row[2])]
    for path in (lines(folder / "e.jsonl", events), folder / "e.csv", folder / "e.parquet"):
        assert told(read_events([path])) == expected


def page(user: str, query: str, time_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "impression", "query_id": f"{user}{query}{time_ms}", "surface": "search", "item_ids": ["x"],
        "user_id": user, "query": query, "time_ms": time_ms, **more,
    }  # fmt: skip


def test_what_people_asked_for_stands_between_what_they_did(tmp_path: Path) -> None:
    rows = [
        deed("a", "x", DAY), page("a", "tea", DAY), deed("a", "y", DAY), page("b", "rum", 0),
        deed("b", "x", 5), page("a", "early", 3), page("gone", "tea", 3), deed("gone", "x", 4),
        page("nobody", "tea", 3),
        page("a", "twice", 7, event_id="e"), page("a", "twice", 7, event_id="e"), page("a", "", 9),
        {"type": "forget", "user_id": "gone"},
    ]  # fmt: skip
    log = read_events([lines(tmp_path / "e.jsonl", rows)])
    found = log.events.queries
    key = {code: name for name, code in log.users.items()}
    where = zip(found.user.tolist(), found.time_ms.tolist(), found.after.tolist(), strict=True)
    assert [(key[user], *rest) for user, *rest in where] == [
        ("u:a", 3, 0), ("u:a", 7, 0), ("u:a", DAY, 1), ("u:b", 0, 0)
    ]  # fmt: skip
    texts = ["early", "twice", "tea", "rum"]
    assert found.word.tolist() == [word for text in texts for word in hashed(text)]
    assert log.report["queries"] == 4
    assert log.events.before(DAY).queries.time_ms.tolist() == [3, 7, 0]


def test_a_busy_user_is_not_taken_for_a_robot(tmp_path: Path) -> None:
    """A benchmark may have thousands of events at one time, and the same one twice."""
    path = lines(tmp_path / "e.jsonl", [deed("a", f"i{n % 700}", 5) for n in range(2_000)])
    log = read_events([path])
    assert len(log.events) == 2_000
    assert log.report["left_out"] == {}


def test_bad_rows_are_counted_and_quarantined_and_the_good_ones_go_on(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "e.jsonl",
        [deed("a", "x", 1), deed("a", "", 2), "{broken", deed("a", "y", 3, kind="stare"), deed("b", "y", 4)],
    )
    log = read_events([path], quarantine=tmp_path / "out" / "quarantine.jsonl")
    assert [row[1] for row in told(log)] == ["x", "y"]
    assert (log.report["rows"], log.report["refused"]) == (5, 3)
    refused = [json.loads(row) for row in (tmp_path / "out" / "quarantine.jsonl").read_text().splitlines()]
    assert [row["line"] for row in refused] == [2, 3, 4]


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "e.jsonl",
        [
            deed("a", "x", 1, event_id="1"),
            deed("a", "x", 1, event_id="1"),
            deed("a", "y", 2, kind="hide"),
            {"type": "interaction", "kind": "view", "item_id": "x", "time_ms": 3},
            deed("gone", "x", 4),
            {"type": "forget", "user_id": "gone"},
        ],
    )
    log = read_events([path])
    assert told(log) == [("u:a", "x", "view", 1)]
    assert log.report["left_out"] == {
        "forgotten or without consent": 1,
        "of kind hide": 1,
        "of nobody: neither user_id nor session_id": 1,
        "sent twice": 1,
    }


def test_a_session_is_its_own_key_until_a_user_is_seen_in_it(tmp_path: Path) -> None:
    visit = {"type": "interaction", "kind": "view", "session_id": "s1"}
    path = lines(
        tmp_path / "e.jsonl",
        [visit | {"item_id": "x", "time_ms": 1}, deed("a", "y", 2, session_id="s1"),
         visit | {"item_id": "z", "time_ms": 3}],
    )  # fmt: skip
    assert [row[:2] for row in told(read_events([path]))] == [("s:s1", "x"), ("u:a", "y"), ("u:a", "z")]


def test_every_item_has_a_row_and_one_without_a_title_is_named_by_its_id(tmp_path: Path) -> None:
    events = lines(
        tmp_path / "e.jsonl",
        [deed("a", "bare", 1), {"type": "item", "item_id": "half", "brand": "b"}, deed("a", "whole", 2)],
    )
    items = lines(
        tmp_path / "i.jsonl",
        [{"type": "item", "item_id": "whole", "title": "A whole one"},
         {"type": "item", "item_id": "never", "title": "Never seen"}],
    )  # fmt: skip
    log = read_events([events], [items])
    named = dict(
        zip(log.catalog.item_ids, zip(log.catalog.titles, log.catalog.brands, strict=True), strict=True)
    )
    assert named == {
        "half": ("half", "b"), "whole": ("A whole one", ""), "never": ("Never seen", ""), "bare": ("bare", "")
    }  # fmt: skip
    assert log.report["items_never_seen"] == 2


def test_a_table_of_items_needs_no_column_that_says_so(tmp_path: Path) -> None:
    events = lines(tmp_path / "e.jsonl", [deed("a", "7", 1)])
    pl.DataFrame({"item_id": ["7"], "title": ["Seven"], "category": ["numbers"]}).write_csv(
        tmp_path / "i.csv"
    )
    log = read_events([events], [tmp_path / "i.csv"])
    assert (log.catalog.titles, log.catalog.categories) == (("Seven",), ("numbers",))


def test_other_peoples_columns_come_in_through_a_mapping(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("visitorid,itemid,timestamp,event\n1,10,2,transaction\n1,11,1,view\n")
    (tmp_path / "m.toml").write_text(
        'time_unit = "s"\n[columns]\nuser_id = "visitorid"\nitem_id = "itemid"\ntime_ms = "timestamp"\n'
        'kind = "event"\n[kinds]\ntransaction = "purchase"\n'
    )
    log = read_events([tmp_path / "e.csv"], mapping=tmp_path / "m.toml")
    assert told(log) == [("u:1", "11", "view", 1_000), ("u:1", "10", "purchase", 2_000)]


def test_a_log_with_nothing_usable_says_why(tmp_path: Path) -> None:
    path = lines(tmp_path / "e.jsonl", [deed("a", "x", 2, kind="hide")])
    with pytest.raises(DataError, match=r"1 rows hold no interaction .* left out: \{'of kind hide': 1\}"):
        read_events([path])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("i.csv", "movieId,name\n1,x\n", r"i.csv: all of its 1 rows .* field `movieId` .*--items-mapping"),
        ("i.jsonl", '{"item_id": 1, "title": "x"}\n', r"line 1 of i.jsonl for its item_id: .* got `int`"),
    ],
)
def test_a_file_of_which_no_row_is_good_is_an_error_and_not_a_study_without_it(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_events([lines(tmp_path / "e.jsonl", [deed("a", "1", 1)])], [tmp_path / name])


def test_items_need_not_say_that_they_are_and_may_have_columns_of_their_own(tmp_path: Path) -> None:
    events = lines(tmp_path / "e.jsonl", [deed("a", "1", 1), deed("a", "2", 1)])
    own = lines(tmp_path / "i.jsonl", [{"item_id": "1", "title": "茶壶", "attributes": {"ml": 900}}])
    (tmp_path / "i.dat").write_text("2::Kettle::kitchen\n")
    (tmp_path / "i.toml").write_text(
        'separator = "::"\nheader = ["id", "name", "genre"]\n'
        '[columns]\nitem_id = "id"\ntitle = "name"\ncategory = "genre"\n'
    )
    assert read_events([events], [own]).catalog.titles == ("茶壶", "2")
    catalog = read_events([events], [tmp_path / "i.dat"], items_mapping=tmp_path / "i.toml").catalog
    found = dict(zip(catalog.titles, catalog.categories, strict=True))
    assert found == {"Kettle": "kitchen", "1": ""}


def test_who_sent_seconds_or_refused_rows_is_told(tmp_path: Path) -> None:
    seconds = 1_700_000_000
    log = read_events([lines(tmp_path / "e.jsonl", [deed("a", "x", seconds), deed("a", "", seconds + 9)])])
    assert [remark.split(";")[0] for remark in log.remarks()] == ["1 of 2 rows were refused: {'item_id': 1}"]
    log = read_events([lines(tmp_path / "e.jsonl", [deed("a", "x", seconds + n) for n in (0, 9)])])
    assert [remark[:46] for remark in log.remarks()] == ["the last time_ms is 1700000009, which is in 19"]
    log = read_events(
        [lines(tmp_path / "e.jsonl", [deed("a", "x", seconds * 1_000_000 + n) for n in (0, 9)])]
    )
    (remark,) = log.remarks()
    assert remark.startswith("the last time_ms is 1700000000000009, which is in 55")
    assert remark.endswith("if these are microseconds, say time_unit = 'us' in a mapping")
    log = read_events([lines(tmp_path / "e.jsonl", [deed("a", "x", seconds * 1000 + n) for n in (0, 9)])])
    assert list(log.remarks()) == []


def test_who_named_a_file_twice_is_told(tmp_path: Path) -> None:
    path = lines(tmp_path / "e.jsonl", [deed("a", "x", n * 1000 * DAY) for n in (9, 10)])
    assert [*read_events([path]).remarks()] == []
    (remark,) = read_events([path, path]).remarks()
    assert remark.startswith("2 of 4 interactions have the person, item, kind and time of another")


def test_items_of_which_none_was_touched_may_be_written_otherwise(tmp_path: Path) -> None:
    events = lines(tmp_path / "e.jsonl", [deed("a", "1", 1)])
    items = lines(
        tmp_path / "i.jsonl", [{"item_id": "1.0", "title": "one"}, {"item_id": "2.0", "title": "two"}]
    )
    assert [*read_events([events], [items]).remarks()] == [
        "none of 2 described items is in any interaction; are ids written alike?"
    ]
    more = lines(tmp_path / "more.jsonl", [{"item_id": "1", "title": "one"}])
    assert [*read_events([events], [items, more]).remarks()] == []


def test_a_log_without_times_keeps_the_order_of_its_rows(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id\n" + "".join(f"a,i{n}\n" for n in (3, 1, 2)))
    (tmp_path / "m.toml").write_text('[constants]\ntime_ms = 0\nkind = "view"\n')
    assert [row[1] for row in told(read_events([tmp_path / "e.csv"], mapping=tmp_path / "m.toml"))] == [
        "i3", "i1", "i2"
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["", "time", "time:", "time:-1", "time:1e3", "loo", "leave_one_out"])
def test_a_split_that_is_none_is_refused(how: str) -> None:
    with pytest.raises(ConfigError, match="expected 'leave-one-out' or 'time:MS'"):
        parse_split(how)


def test_a_split_is_by_user_or_by_time(tmp_path: Path) -> None:
    path = lines(tmp_path / "e.jsonl", [deed("a", f"i{n}", n * DAY) for n in range(1, 11)])
    log = read_events([path])
    last = split_log(log.events, "leave-one-out").test
    assert [log.catalog.item_ids[row] for row in last.truth[0]] == ["i10"]
    later = split_log(log.events, f"time:{9 * DAY}").test
    assert sorted(log.catalog.item_ids[row] for row in later.truth[0]) == ["i10", "i9"]


def test_users_may_be_asked_after_all_that_is_known_of_them(tmp_path: Path) -> None:
    rows = [deed("a", "x", 1), deed("b", "y", 2), deed("b", "z", 3), page("a", "tea", 3), page("a", "rum", 5)]
    log = read_events([lines(tmp_path / "e.jsonl", rows)])
    pl.DataFrame(
        {
            "user_id": ["b", "a", "b", "a"], "item_id": ["x", "z", "z", "y"],
            "time_ms": [9, 8, 9, 4], "known": [False, False, False, True],
        }
    ).write_parquet(tmp_path / "ask.parquet")  # fmt: skip
    asked = read_asked(tmp_path / "ask.parquet", log)
    assert asked.user.tolist() == [log.users["u:a"], log.users["u:b"]]
    assert asked.now_ms.tolist() == [8, 9]
    names = [[log.catalog.item_ids[row] for row in rows] for rows in asked.truth]
    assert names == [["z"], ["x", "z"]]
    history = asked.before.where(asked.before.user == log.users["u:a"])
    assert [log.catalog.item_ids[row] for row in history.row] == ["x", "y"]
    assert history.queries.after.tolist() == [1, 2]
    assert len(log.events) == 3, "what is known when asked is not learned from"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": ["q"], "item_id": ["x"], "time_ms": [1]}, "asks about 'q', which the log does not have"),
        ({"user_id": ["a"], "item_id": ["q"], "time_ms": [1]}, "asks about 'q', which the log does not have"),
        ({"user_id": ["a"], "item_id": ["x"]}, r"has no column \['time_ms'\]"),
        ({"user_id": ["a"], "item_id": ["x"], "time_ms": [1], "known": [True]}, "asks nothing"),
    ],
)
def test_a_question_that_the_log_cannot_answer_is_refused(
    columns: dict[str, list[Any]], message: str, tmp_path: Path
) -> None:
    log = read_events([lines(tmp_path / "e.jsonl", [deed("a", "x", 1)])])
    pl.DataFrame(columns).write_parquet(tmp_path / "ask.parquet")
    with pytest.raises(DataError, match=message):
        read_asked(tmp_path / "ask.parquet", log)


def test_codes_are_small_and_dense(tmp_path: Path) -> None:
    log = read_events([lines(tmp_path / "e.jsonl", [deed(u, u, 1) for u in ("zoe", "ann", "zoe")])])
    assert log.events.user.tolist() == [1, 0, 1]
    assert log.events.row.dtype == np.int64


def test_pictures_come_from_files_of_every_format_and_through_a_dataset(tmp_path: Path) -> None:
    seen = {"a": [0.5, 1.0], "b": None, "c": [2.0, -3.0]}
    items = [{"item_id": name, "title": name, "image_embedding": seen[name]} for name in seen]
    lines(
        tmp_path / "a.jsonl",
        [
            {"type": "item", **{name: value for name, value in row.items() if value is not None}}
            for row in items
        ],
    )
    pl.DataFrame(items).write_parquet(tmp_path / "b.parquet")
    texts = [row | {"image_embedding": json.dumps(row["image_embedding"] or [])} for row in items]
    pl.DataFrame(texts).write_csv(tmp_path / "c.csv")
    events = lines(tmp_path / "events.jsonl", [deed("u", "a", DAY), deed("u", "d", 2 * DAY)])
    for name in ("a.jsonl", "b.parquet", "c.csv"):
        catalog = read_events([events], [tmp_path / name]).catalog
        found = dict(zip(catalog.item_ids, catalog.image_vectors.tolist(), strict=True))
        assert found == {"a": [0.5, 1.0], "b": [0.0, 0.0], "c": [2.0, -3.0], "d": [0.0, 0.0]}
    prepare(read([events, tmp_path / "a.jsonl"]), tmp_path / "dataset")
    _, catalog = read_log(tmp_path / "dataset", None)
    assert catalog.image_vectors[catalog.rows(["c"])].tolist() == [[2.0, -3.0]]


def test_pictures_of_two_widths_in_the_files_are_an_error_that_names_the_item(tmp_path: Path) -> None:
    rows = [
        {"type": "item", "item_id": "a", "title": "a", "image_embedding": [1.0, 2.0]},
        {"type": "item", "item_id": "b", "title": "b", "image_embedding": [1.0]},
    ]
    with pytest.raises(DataError, match=r"item b: image_embedding has 1 numbers"):
        read_events([lines(tmp_path / "events.jsonl", [*rows, deed("u", "a", DAY)])])
