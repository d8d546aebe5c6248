"""Files of other people's making are read as they are, and one that is broken says how."""

import gzip
import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raysys.dataset.mapping import Mapping
from raysys.dataset.read import read, together
from raysys.errors import ConfigError, DataError
from raysys.types import DAY_MS

MS = 1_700_000_000_000
CSV = f"type,kind,user_id,item_id,time_ms\ninteraction,view,a,x,{MS}\ninteraction,view,b,y,{MS + 1}\n"


def told(path: Path, mapping: Mapping | None = None) -> list[tuple[str, str, int]]:
    found = together(read([path], mapping))
    assert not found.refused
    return found.interactions.select("user_id", "item_id", "time_ms").rows()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("e.csv.gz", gzip.compress(CSV.encode())),
        ("e.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("e.tsv", CSV.replace(",", "\t").encode()),
        ("E.CSV", CSV.replace("\n", "\r\n").encode()),
        ("e.csv", CSV.replace("user_id", '"user_id"').rstrip().encode()),
        ("e.csv", CSV.replace(",a,", ',"a",').encode()),
    ],
)
def test_packed_marked_tabbed_and_quoted_files_say_the_same(
    name: str, content: bytes, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert told(tmp_path / name) == [("a", "x", MS), ("b", "y", MS + 1)]


@pytest.mark.parametrize("separator", ["\t", "::", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_without_a_header_is_read_with_one_from_the_mapping(
    separator: str, ending: str, tmp_path: Path
) -> None:
    rows = [("196", "242", "3", "881250949"), ("186", "302", "4", "891717742")]
    (tmp_path / "u.data").write_text("".join(separator.join(row) + ending for row in rows), newline="")
    mapping = Mapping(
        separator=separator,
        header=("user", "movie", "stars", "time"),
        columns={"user_id": "user", "item_id": "movie", "value": "stars", "time_ms": "time"},
        constants={"kind": "rating"},
        time_unit="s",
    )
    assert told(tmp_path / "u.data", mapping) == [
        ("196", "242", 881250949000),
        ("186", "302", 891717742000),
    ]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("2023-11-14T22:13:20Z", "iso"),
        ("2023-11-14T22:13:20.000Z", "iso"),
        ("2023-11-14 22:13:20", "iso"),
        ("2023-11-14 22:13:20 UTC", "iso"),
        ("2023-11-15T00:13:20+02:00", "iso"),
        ("2023-11-14 17:13:20.0-0500", "iso"),
        ("14.11.23 22:13:20", "%d.%m.%y %H:%M:%S"),
        ("1700000000", "s"),
        ("1700000000.0", "s"),
    ],
)
def test_times_are_read_in_every_usual_way(text: str, unit: str, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(f"user_id,item_id,kind,time_ms\na,x,view,{text}\n")
    assert told(tmp_path / "e.csv", Mapping(time_unit=unit)) == [("a", "x", MS)]


def test_a_day_is_its_first_moment(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user_id,item_id,kind,time_ms\na,x,view,1970-01-03\n")
    assert told(tmp_path / "e.csv", Mapping(time_unit="iso")) == [("a", "x", 2 * DAY_MS)]


def test_a_parquet_file_may_have_whole_numbers_as_ids_and_times_of_its_own_kind(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "user_id": [7.0, None, float("nan")],  # what pandas makes of whole numbers beside a hole
            "session_id": [None, "s", "t"],
            "item_id": [1, 2, 3],
            "time_ms": [datetime(1970, 1, 2, tzinfo=UTC)] * 3,
        }
    )
    frame.write_parquet(tmp_path / "e.parquet")
    mapping = Mapping(constants={"kind": "view"})
    assert told(tmp_path / "e.parquet", mapping) == [
        ("7", "1", DAY_MS),
        (None, "2", DAY_MS),
        (None, "3", DAY_MS),
    ]
    frame.with_columns(time_ms=date(1970, 1, 2)).write_parquet(tmp_path / "e.parquet")
    assert told(tmp_path / "e.parquet", mapping)[0] == ("7", "1", DAY_MS)


@pytest.mark.parametrize("column", [timedelta(hours=3), time(3)])
def test_how_long_and_at_what_hour_are_no_moments(tmp_path: Path, column: timedelta | time) -> None:
    pl.DataFrame({"user_id": ["a"], "item_id": "x", "kind": "view", "time_ms": [column]}).write_parquet(
        tmp_path / "e.parquet"
    )
    with pytest.raises(ConfigError, match=r"e\.parquet: its times are of type .* expected moments"):
        told(tmp_path / "e.parquet")


def test_ids_that_are_no_whole_numbers_stay_apart(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [1.5, 1.0], "item_id": "x", "kind": "view", "time_ms": 1}).write_parquet(
        tmp_path / "e.parquet"
    )
    assert told(tmp_path / "e.parquet") == [("1.5", "x", 1), ("1", "x", 1)]


def test_a_list_where_a_word_belongs_costs_its_row(tmp_path: Path) -> None:
    pl.DataFrame({"item_id": ["x"], "title": ["x"], "category": [["a", "b"]]}).write_parquet(
        tmp_path / "i.parquet"
    )
    found = together(read([tmp_path / "i.parquet"], Mapping(type="item")))
    assert [(refusal.line, refusal.field) for refusal in found.refused] == [(1, "category")]


def test_an_object_where_a_column_is_plain_costs_its_row(tmp_path: Path) -> None:
    """As databases of documents write ids and dates."""
    rows = [{"u": {"$oid": "a"}, "i": "x", "t": 1}, {"u": "b", "i": "x", "t": {"$date": 2}}]
    mapping = Mapping(
        columns={"user_id": "u", "item_id": "i", "time_ms": "t"},
        constants={"kind": "view"},
        kinds={"x": "view"},
    )
    for row in rows:
        (tmp_path / "e.jsonl").write_text(json.dumps(row))
        pl.DataFrame([row]).write_parquet(tmp_path / "e.parquet")
        for name in ("e.jsonl", "e.parquet"):
            found = together(read([tmp_path / name], mapping))
            assert (len(found.interactions), [refusal.line for refusal in found.refused]) == (0, [1])


def test_a_row_whose_end_is_not_told_costs_its_lines_and_no_others(tmp_path: Path) -> None:
    head, row = "user_id,item_id,kind,time_ms\n", "a,x,view,1\n"
    (tmp_path / "e.csv").write_text(head + row + "a,x\ry,view,1\n" + row, newline="")
    found = together(read([tmp_path / "e.csv"]))
    assert (len(found.interactions), [refusal.line for refusal in found.refused]) == (2, [3])
    (tmp_path / "e.csv").write_text(head + row + 'a,"x,view,1\n' + 2 * row)
    found = together(read([tmp_path / "e.csv"]))
    assert (len(found.interactions), [refusal.line for refusal in found.refused]) == (1, [3, 4, 5])
    assert "on the lines 3 to 5; is a quote not closed?" in found.refused[0].reason


def test_a_damaged_page_of_a_parquet_file_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    pl.DataFrame({"user_id": [f"u{n}" for n in range(99)]}).write_parquet(tmp_path / "e.parquet")
    whole = (tmp_path / "e.parquet").read_bytes()
    (tmp_path / "e.parquet").write_bytes(b"PAR1" + bytes(60) + whole[64:])
    with pytest.raises(DataError, match="write or copy it again"):
        list(read([tmp_path / "e.parquet"]))


@pytest.mark.parametrize("made", ["day=1", ""])
def test_a_folder_without_files_is_an_error_that_names_the_folders_in_it(made: str, tmp_path: Path) -> None:
    (tmp_path / "log" / made).mkdir(parents=True)
    (tmp_path / "log" / "_SUCCESS").touch()
    with pytest.raises(DataError, match=rf"no files in the folder .*log; .* {made or 'none'}"):
        list(read([tmp_path / "log"]))


def test_a_folder_is_read_without_what_its_writer_left_there(tmp_path: Path) -> None:
    (tmp_path / "part.csv").write_text(CSV)
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part.csv.crc").write_text("x")
    assert len(told(tmp_path)) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.parquet", b"hello", "e.parquet: .*write or copy it again"),
        ("e.csv.gz", gzip.compress(CSV.encode())[:40], "e.csv.gz: .*pack or copy it again"),
        ("e.csv.gz", CSV.encode(), "e.csv.gz: Not a gzipped file"),
        ("e.csv", b"kind,kind\nview,view\n", r"two columns \['kind'\]"),
        ("e.csv", gzip.compress(CSV.encode()), r"begins with b'\\x1f\\x8b.*call it .gz"),
        ("e.csv", CSV.encode("utf-16"), "e.csv begins with .* expected text in UTF-8"),
        ("e.csv", CSV.replace("\n", "\r").encode(), "ends lines by a carriage return alone"),
        ("e.json", b'[{"type": "interaction"}]', r"e.json is one JSON array, expected an object a line"),
        ("u.data", b"1\t2\n", "no known format; expected .*a mapping that says what the separator"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_an_error_with_the_remedy(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read([tmp_path / name]))


def test_a_column_that_is_not_there_may_mean_another_separator(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("user;item\na;x\n")
    with pytest.raises(
        ConfigError, match=r"e.csv: the file has no column \['user'\]; it has \['user;item'\].*separator"
    ):
        list(read([tmp_path / "e.csv"], Mapping(columns={"user_id": "user"})))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"columns": ("user",)}, r"columns is \('user',\), expected a table"),
        ({"header": "a,b"}, "expected a list"),
    ],
)
def test_a_mapping_of_another_form_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Mapping(**told)


def test_a_unit_of_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"time_unit is 'days', expected one of .* or a pattern"):
        Mapping(time_unit="days")
