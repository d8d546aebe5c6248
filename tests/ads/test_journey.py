"""Campaigns of the data as ads: what is the data's is the data's, what is assumed is named."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from raysys.ads.features import COUPON
from raysys.ads.inventory import Inventory
from raysys.ads.journey import ASSUMPTIONS, CONVERSIONS, journey_ads, journey_conversions, journey_response
from raysys.dataset.build import Dataset, build
from raysys.dataset.read import of_events
from raysys.events import Interaction, ItemUpdate
from raysys.state.memory import MemoryStore
from raysys.types import DAY_MS, Key


def _ms(*day: int) -> int:
    return int(datetime(2017, *day, 5, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Campaign 5 is for products 7, 8 and the unlisted 9; campaign 6 for 9 alone; 1 redeems, 2 never does."""
    days = [datetime(2017, 2, day, 12) for day in (1, 3)]
    tables = {
        "transactions": {
            "household_id": [1, 2],
            "product_id": [7, 8],
            "quantity": [1, 0],
            "coupon_disc": [0.0, 0.5],
            "transaction_timestamp": days,
        },
        "campaign_descriptions": {
            "campaign_id": [5, 6],
            "campaign_type": ["Type A", "Type B"],
            "start_date": [datetime(2017, 3, 1), datetime(2017, 11, 1)],
            "end_date": [datetime(2017, 3, 31), datetime(2017, 11, 30)],
        },
        "campaigns": {"campaign_id": [5, 5], "household_id": [1, 2]},
        "coupons": {"coupon_upc": [70, 70, 80, 90], "product_id": [7, 8, 9, 9], "campaign_id": [5, 5, 5, 6]},
        "coupon_redemptions": {
            "household_id": [1, 1, 1],
            "coupon_upc": [70, 80, 70],
            "campaign_id": [5, 5, 5],
            "redemption_date": [datetime(2017, 3, 5), datetime(2017, 3, 5), datetime(2017, 11, 2)],
        },
        "demographics": {"household_id": [2], "age": ["65+"]},
    }
    for name, columns in tables.items():
        pl.DataFrame(columns).write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.fixture
def data() -> Dataset:
    items = [
        ItemUpdate(item_id="7", title="milk", category="grocery/dairy/milk", price_micros=2_000_000),
        ItemUpdate(item_id="8", title="tea", category="grocery/tea/bags", price_micros=4_000_000),
    ]
    bought = [
        Interaction(kind="purchase", item_id=item, user_id=user, time_ms=_ms(2, 1))
        for item, user in (("7", "1"), ("8", "1"), ("8", "2"))
    ]
    return build([of_events([*items, *bought])])


def test_a_campaign_is_an_ad_about_its_listed_products(folder: Path, data: Dataset) -> None:
    (ad,) = journey_ads(data, folder)
    assert (ad.ad_id, ad.campaign_id, ad.item_id, ad.about) == ("campaign-5", "5", "8", ["7", "8"])
    assert (ad.starts_ms, ad.ends_ms) == (_ms(3, 1), _ms(4, 1))
    assert (ad.title, ad.bid_for, ad.targeting) == ("save on dairy", "conversion", None)
    assert (ad.bid_micros, ad.budget_micros) == (1_500_000, 1_500_000 * CONVERSIONS)
    assert sum(line.startswith("ASSUMED") for line in ASSUMPTIONS) == 3
    (moved,) = journey_ads(data, folder, later_ms=DAY_MS)
    assert (moved.starts_ms, moved.ends_ms) == (_ms(3, 2), _ms(4, 2))


def test_a_redemption_is_a_conversion_once_a_day_and_counts_in_the_state_as_in_training(
    folder: Path, data: Dataset
) -> None:
    coupon, conversion = journey_conversions(folder)
    assert (coupon.ad_id, coupon.user_id, coupon.time_ms) == ("coupon", "2", _ms(2, 3))
    assert (conversion.ad_id, conversion.user_id, conversion.time_ms) == ("campaign-5", "1", _ms(3, 5))
    store = MemoryStore()
    store.append([coupon, conversion], conversion.time_ms)
    kept = [store.live(Key(key)) for key in ("u:1", "u:2")]
    assert [state and state.own_items for state in kept] == [("ad:campaign-5",), (COUPON,)]
    assert [state and state.own_bought for state in kept] == [(1,), (1,)]


def test_the_model_of_the_campaigns_scores_their_ads(folder: Path, data: Dataset) -> None:
    inventory = Inventory.of(journey_ads(data, folder))
    scorer = journey_response(folder)
    prob = scorer.probs(None, inventory, np.array([0]), _ms(3, 1))
    assert prob.shape == (1,)
    assert 0 < prob[0] < 1
