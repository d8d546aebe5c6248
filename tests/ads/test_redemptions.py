"""Training sees a household as it was the day before the campaign, and no redemption of the test's time."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from raysys.ads.features import FEATURES
from raysys.ads.redemptions import offered


def _at(month: int, day: int, hour: int = 12) -> datetime:
    return datetime(2017, month, day, hour)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Household 1 buys product 7 twice before campaign 5 and once on its first day; 2 does nothing."""
    bought = [_at(2, 1), _at(2, 3, 2), _at(3, 1)]
    tables = {
        "transactions": {
            "household_id": [1] * 3,
            "product_id": [7] * 3,
            "quantity": [1] * 3,
            "coupon_disc": [0.0, 0.5, 0.5],
            "transaction_timestamp": bought,
        },
        "campaign_descriptions": {
            "campaign_id": [5, 6],
            "start_date": [_at(3, 1, 0), _at(11, 1, 0)],
        },
        "campaigns": {"campaign_id": [5, 5, 6], "household_id": [1, 2, 1]},
        "coupons": {"coupon_upc": [70, 80, 70], "product_id": [7, 8, 7], "campaign_id": [5, 5, 6]},
        "coupon_redemptions": {
            "household_id": [1, 2],
            "coupon_upc": [70, 80],
            "campaign_id": [5, 5],
            "redemption_date": [_at(3, 5, 0), _at(11, 2, 0)],
        },
        "demographics": {"household_id": [2], "age": ["65+"]},
    }
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def _column(columns: np.ndarray, name: str) -> list[float]:  # type: ignore[type-arg]
    return [round(float(value), 4) for value in np.expm1(columns[:, FEATURES.index(name)])]


def test_the_first_day_of_a_campaign_is_not_yet_known(folder: Path) -> None:
    rows = offered(folder, "coupon", test=False)
    assert _column(rows.columns, "promoted_bought") == [2.0, 0.0, 0.0, 0.0]
    assert _column(rows.columns, "days") == [2.0, 2.0, 0.0, 0.0]
    decayed = 1 + 0.5 ** (1 / 112)  # 2 o'clock at night still belongs to the day before
    assert _column(rows.columns, "promoted_slow")[0] == pytest.approx(decayed, abs=1e-3)


def test_a_redemption_of_the_tests_time_is_no_training_label(folder: Path) -> None:
    assert offered(folder, "coupon", test=False).redeemed.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert offered(folder, "campaign", test=False).redeemed.tolist() == [1.0, 0.0]


def test_the_test_remembers_an_earlier_redemption(folder: Path) -> None:
    rows = offered(folder, "campaign", test=True)
    assert _column(rows.columns, "responses") == [1.0]
    assert rows.redeemed.tolist() == [0.0]
    assert rows.household.tolist() == [1]
    assert rows.campaign.tolist() == [6]


def test_a_coupon_on_a_receipt_is_an_answer_to_nobody_from_the_day_after(folder: Path) -> None:
    """The second of two days before the campaign had one, and its first day, which does not count yet."""
    assert _column(offered(folder, "campaign", test=False).columns, "coupons") == [1.0, 0.0]
    later = offered(folder, "campaign", test=True)
    assert (_column(later.columns, "coupons"), _column(later.columns, "responses")) == ([2.0], [1.0])


def test_an_earlier_cut_moves_labels_and_campaigns(folder: Path) -> None:
    early = offered(folder, "campaign", test=False, cut=_at(3, 4, 0))
    assert early.redeemed.tolist() == [0.0, 0.0]
