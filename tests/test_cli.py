"""`raysys check` says what is wrong with a file; `raysys forget` deletes a user."""

from pathlib import Path

import pytest

from raysys.cli import main


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
