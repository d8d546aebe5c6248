"""The reader of Complete Journey, on a small fixture of the project's own."""

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from raysys.dataset.build import build
from raysys.dataset.complete_journey import JourneySettings, cuts_ms, events
from raysys.dataset.read import read

WEEKS = {1: 2, 44: 303, 45: 310, 48: 337, 49: 338}
"""First day of the year of some weeks (2017 begins on a Sunday)."""


def line(household: int, product: int, week: int, hour: int = 12, quantity: int = 1) -> dict[str, object]:
    day = datetime.fromordinal(datetime(2017, 1, 1).toordinal() + WEEKS[week] - 1)
    return {
        "household_id": household, "product_id": product, "week": week, "basket_id": 1,
        "quantity": quantity, "sales_value": 2.0, "transaction_timestamp": day.replace(hour=hour),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [line(household, 1, week) for household in (1, 2) for week in WEEKS]
    lines += [line(1, 1, 1, hour=13), line(1, 2, 1), line(1, 3, 1), line(2, 3, 1), line(2, 9, 1)]
    lines += [line(1, 1, 44, quantity=0), line(1, 1, 49, hour=3), line(2, 4, 49), line(1, 4, 49)]
    pl.DataFrame(lines).write_parquet(tmp_path / "transactions.parquet")
    named = {
        "brand": "National",
        "product_category": "SOUP",
        "product_type": "RED SOUP",
        "package_size": None,
    }
    products = [{"product_id": n, "department": "GROCERY", **named} for n in (1, 2, 4)]
    products.append({"product_id": 3, "department": "FUEL", **named})
    pl.DataFrame(products).write_parquet(tmp_path / "products.parquet")
    return tmp_path


def test_the_protocol_keeps_what_it_says(folder: Path, tmp_path: Path) -> None:
    counts = events(tmp_path / "out", JourneySettings(min_households=2), folder)
    kept = pl.read_parquet(tmp_path / "out" / "interactions.parquet")
    assert set(kept["item_id"]) == {"1"}  # 2: one household; 3: fuel; 4: not before week 49; 9: unknown
    assert len(kept) == 10  # the second line of a shop day merged, the one at 03:00 is of the day before
    assert kept.filter(pl.col("user_id") == "1")["time_ms"].is_sorted()
    assert counts["items"] == 1
    assert counts["test_coverage"] == 0.5


def test_its_files_are_valid_events(folder: Path, tmp_path: Path) -> None:
    events(tmp_path / "out", JourneySettings(min_households=2), folder)
    report = build(read([tmp_path / "out"])).report
    assert (report["refused"], report["unknown_items"], report["click_only"]) == (0, 0, True)
    assert report["kinds"] == {"purchase": 10}


def test_the_cuts_are_the_first_moments_of_their_weeks(folder: Path) -> None:
    tune, test = cuts_ms(folder)
    assert test - tune == 28 * 86_400_000  # the line at 03:00 does not begin week 49 a day early
    assert tune % 86_400_000 == 5 * 3_600_000


def test_what_one_household_buys_on_a_day_has_one_time(folder: Path, tmp_path: Path) -> None:
    events(tmp_path / "out", JourneySettings(min_households=1), folder)
    kept = pl.read_parquet(tmp_path / "out" / "interactions.parquet").with_columns(
        day=(pl.col("time_ms") - 5 * 3_600_000) // 86_400_000
    )
    assert len(kept) > kept.select("user_id", "time_ms").n_unique()
    assert kept.select("user_id", "time_ms").n_unique() == kept.select("user_id", "day").n_unique()
