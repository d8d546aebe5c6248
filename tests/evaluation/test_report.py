"""The report is one file, escaped, and refuses tables that do not fit."""

from pathlib import Path

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.evaluation.report import (
    Section,
    bars,
    calibration,
    lines,
    render,
    trade_off,
    write_report,
)

PNG = b"\x89PNG"


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    plot = bars(["own", "raysys"], [0.2, 0.3], [0.01, 0.01], unit="NDCG@10")
    write_report(tmp_path / "report.html", "Demo", [Section(title="Quality", png=plot)])
    page = (tmp_path / "report.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_what_comes_from_data_is_escaped() -> None:
    page = render("<a>", [Section(title="t", text="<b>", head=["<c>"], rows=[["<script>"]])])
    assert not any(tag in page for tag in ("<a>", "<b>", "<c>", "<script>"))


def test_a_short_row_is_named() -> None:
    with pytest.raises(DataError, match="row 1 has 1 cells, the head has 2"):
        render("t", [Section(title="t", head=["a", "b"], rows=[[1, 2.0], [1]])])


@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_calibration_is_drawn_for_any_number_of_cases(count: int) -> None:
    rng = np.random.default_rng(0)
    prob, done = rng.random(count), rng.random(count) < 0.5
    for logarithmic in (False, True):
        assert calibration(prob, done, weight=1.0 + prob, logarithmic=logarithmic).startswith(PNG)


def test_lines_are_drawn_even_when_there_are_none() -> None:
    assert lines({}, across="epoch", unit="loss").startswith(PNG)
    assert lines({"a": [1.0, 0.5]}, across="epoch", unit="loss").startswith(PNG)


def test_columns_of_unlike_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 labels, 1 values and 1 errors"):
        bars(["a", "b"], [0.1], [0.1], unit="x")
    with pytest.raises(DataError, match="expected one shape"):
        calibration(np.zeros(2), np.zeros(3, np.bool_))


def test_a_trade_off_is_drawn_with_its_front_which_names_points() -> None:
    points = {"full": (100.0, 0.3, 0.01), "small": (10.0, 0.29, 0.01), "bad": (50.0, 0.2, 0.01)}
    assert trade_off(points, ["small", "full"], cost="µs", unit="NDCG@10").startswith(PNG)
    with pytest.raises(DataError, match=r"front names \['tiny'\]"):
        trade_off(points, ["tiny"], cost="µs", unit="NDCG@10")
