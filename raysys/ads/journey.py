"""Complete Journey's campaigns as ads, and who responded to them, for the demo."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from raysys.ads.fit import fit_response
from raysys.ads.redemptions import DAY_STARTS, TEST_FROM, offered, receipts
from raysys.ads.scorer import ResponseScorer
from raysys.dataset.build import Dataset
from raysys.dataset.complete_journey import package_folder
from raysys.events import AdUpdate, Interaction
from raysys.state.protocol import RESPONDED
from raysys.types import DAY_MS

PRICE_SHARE = 0.5
CONVERSIONS = 300
CAP = 3
ASSUMPTIONS = (
    "Complete Journey has no bid, budget, price or showing of an ad; an ad is one of its coupon campaigns.",
    f"ASSUMED: a campaign bids {PRICE_SHARE:.0%} of the median price of its products for a conversion.",
    f"ASSUMED: its budget pays for {CONVERSIONS} conversions; nobody sees an ad more than {CAP} times a day.",
    "ASSUMED: the advertiser is the campaign's type; the ad shows its product that sells best.",
    "A redeemed coupon is a conversion on its campaign; a discount on a receipt is one on nobody's ad.",
)


def journey_ads(data: Dataset, folder: Path | None = None, *, later_ms: int = 0) -> list[AdUpdate]:
    """One ad for each campaign that has a product in `data`, about the products of its coupons.

    Args:
        data: decides which products are listed, and which of them sells best.
        folder: with the package's Parquet files; the installed package's, if absent.
        later_ms: how much later than in the data everything is to happen.
    """
    folder = folder or package_folder()
    campaigns = pl.read_parquet(folder / "campaign_descriptions.parquet").sort("campaign_id")
    coupons = pl.read_parquet(folder / "coupons.parquet").select(
        "campaign_id", item=pl.col("product_id").cast(pl.String)
    )
    listed = _listed(data)
    offered_items = coupons.unique().join(listed, on="item").sort("campaign_id", "sold", "item")
    ads = []
    for campaign, kind, first, last in campaigns.select(
        "campaign_id", "campaign_type", "start_date", "end_date"
    ).iter_rows():
        about = offered_items.filter(pl.col("campaign_id") == campaign)
        if len(about):
            ads.append(_ad(campaign, kind, (_day_ms(first), _day_ms(last) + DAY_MS), about, later_ms))
    return ads


def journey_conversions(
    folder: Path | None = None, *, before: datetime = TEST_FROM, later_ms: int = 0
) -> Iterator[Interaction]:
    """What households answered before a day: campaigns redeemed, and coupons on receipts, once a day each."""
    folder = folder or package_folder()
    redeemed = pl.read_parquet(folder / "coupon_redemptions.parquet").select(
        day="redemption_date", household="household_id", ad=pl.format("campaign-{}", "campaign_id")
    )
    used = receipts(folder).filter("coupon").select("day", household="household_id", ad=pl.lit("coupon"))
    both = pl.concat([redeemed, used.collect().cast(redeemed.schema)]).unique().sort("day", "household", "ad")
    for day, household, ad in both.filter(pl.col("day") < before).iter_rows():
        yield Interaction(
            kind="conversion",
            item_id=f"{RESPONDED}{ad}",
            ad_id=ad,
            user_id=str(household),
            time_ms=_day_ms(day) + later_ms,
        )


def journey_response(folder: Path | None = None, *, before: datetime = TEST_FROM) -> ResponseScorer:
    """Who responds to a campaign, learned from what was known and redeemed before a day.

    Response, not uplift; all households of the data, however many the demo serves.
    """
    rows = offered(folder or package_folder(), "campaign", test=False, cut=before)
    return fit_response(rows.columns, rows.redeemed)


def _listed(data: Dataset) -> pl.DataFrame:
    """Items of the catalog with price, category and the number of times they were bought."""
    sold = data.interactions["item"].value_counts(name="sold")
    items = pl.DataFrame(
        {
            "item": [item.item_id for item in data.items],
            "price": [item.price_micros for item in data.items],
            "category": [(item.category or "").split("/")[1:2] for item in data.items],
        },
        schema={"item": pl.String, "price": pl.Int64, "category": pl.List(pl.String)},
    )
    return (
        items.with_columns(pl.col("category").list.first())
        .join(sold.with_columns(pl.col("sold").cast(pl.Int64)), on="item", how="left")
        .with_columns(pl.col("sold").fill_null(0))
    )


def _ad(campaign: int, kind: str, times: tuple[int, int], about: pl.DataFrame, later_ms: int) -> AdUpdate:
    prices = about["price"].drop_nulls()
    bid = round(PRICE_SHARE * float(prices.median() or 0.0)) if len(prices) else 0  # type: ignore[arg-type]
    main = about["category"].drop_nulls().value_counts().sort("count", "category", descending=[True, False])
    return AdUpdate(
        ad_id=f"campaign-{campaign}",
        campaign_id=str(campaign),
        advertiser_id=kind.lower().replace(" ", "-"),
        bid_micros=bid,
        bid_for="conversion",
        item_id=about["item"][-1],
        title=f"save on {main['category'][0]}" if len(main) else f"campaign {campaign}",
        budget_micros=bid * CONVERSIONS,
        cap=CAP,
        starts_ms=times[0] + later_ms,
        ends_ms=times[1] + later_ms,
        about=sorted(about["item"].to_list()),
    )


def _day_ms(day: datetime) -> int:
    """The moment at which a shop day of the data begins."""
    return int((day.replace(tzinfo=UTC) + DAY_STARTS).timestamp() * 1000)
