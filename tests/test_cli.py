"""`raysys check` says what is wrong with a file; `raysys forget` deletes a user."""

from dataclasses import replace
from pathlib import Path

import pytest

from raysys.cli import main
from raysys.events import Interaction
from raysys.log import RecordWriter, read_records
from raysys.state.open import open_store
from raysys.types import key_of
from tests.test_log import record


def test_check_names_the_line_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"type":"interaction","kind":"click","item_id":"a","user_id":"u","time_ms":1700000000000}\n{"type":1}\n'
    )
    assert main(["check", str(path), "--quarantine", str(tmp_path / "bad.jsonl")]) == 1
    assert "x.jsonl:2:" in capsys.readouterr().out
    assert (tmp_path / "bad.jsonl").exists()


def test_check_is_content_with_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("kind,item_id,user_id,time_ms\nclick,a,u,1700000000000\n")
    assert main(["check", str(path)]) == 0


def test_an_absent_file_is_an_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere.csv"]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_forget_leaves_nothing_of_the_user(tmp_path: Path) -> None:
    uri = f"sqlite:{tmp_path / 'state.db'}"
    store = open_store(uri)
    store.append([Interaction(kind="click", item_id="a", user_id="ann", time_ms=1)], 2)
    assert store.live(key_of("ann", None))
    store.close()
    assert main(["forget", "ann", "--state", uri]) == 0
    store = open_store(uri)
    assert store.live(key_of("ann", None)) is None
    store.close()


def test_forget_takes_the_name_out_of_ranking_records(tmp_path: Path) -> None:
    uri, records = f"sqlite:{tmp_path / 'state.db'}", tmp_path / "records"
    writer = RecordWriter(records)
    writer.write(replace(record(1), key="u:ann"))
    writer.write(replace(record(2), key="u:bob"))
    writer.close()
    assert main(["forget", "ann", "--state", uri, "--records", str(records)]) == 0
    assert [kept.key for kept in read_records(records)] == [None, "u:bob"]
