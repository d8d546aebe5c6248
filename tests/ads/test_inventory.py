"""Eligibility by arrays is eligibility ad by ad."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raysys.ads.inventory import Inventory, promoted
from raysys.events import AdUpdate
from raysys.state.protocol import State
from raysys.types import DAY_MS, PageContext, Query
from tests.fakes import NOW_MS, ask

PATHS = ["", "a", "a/b", "a/bc", "a/b/c", "/a", "a/"]
VALUES: dict[str, list[str]] = {
    "surfaces": ["ads", "feed"],
    "channels": ["", "pc", "app"],
    "categories": PATHS,
    "item_ids": ["x", "y"],
    "keywords": ["Milk", "tea"],
}
TARGETING = st.fixed_dictionaries(
    {}, optional={name: st.lists(st.sampled_from(values), max_size=2) for name, values in VALUES.items()}
)
MOMENTS = st.sampled_from([None, NOW_MS - 1, NOW_MS, NOW_MS + 1])
ADS = st.lists(
    st.builds(
        AdUpdate,
        ad_id=st.sampled_from([f"ad{n}" for n in range(12)]),
        campaign_id=st.just("c"),
        advertiser_id=st.just("v"),
        bid_micros=st.just(1),
        bid_for=st.just("click"),
        cap=st.sampled_from([None, 0, 1, 2]),
        starts_ms=MOMENTS,
        ends_ms=MOMENTS,
        targeting=st.none() | TARGETING,
    ),
    max_size=8,
    unique_by=lambda ad: ad.ad_id,
)
TODAY = NOW_MS // DAY_MS
SHOWN = st.dictionaries(
    st.sampled_from([f"ad{n}" for n in range(12)]),
    st.tuples(st.sampled_from([TODAY, TODAY - 1]), st.integers(1, 3)),
)
QUERIES = st.builds(
    lambda text, channel, category, item: replace(
        ask("ads", text=text), channel=channel, context=PageContext(category=category, item_id=item)
    ),
    st.sampled_from(["", "MILK fresh", "teapot"]),
    st.sampled_from(["", "pc"]),
    st.sampled_from(PATHS),
    st.sampled_from([None, "x", "z"]),
)


def _by_hand(ad: AdUpdate, query: Query, state: State | None) -> bool:
    """The contract, word by word."""
    place, words = query.context, set(query.text.lower().split())
    meets: dict[str, Any] = {
        "surfaces": lambda wanted: query.surface in wanted,
        "channels": lambda wanted: query.channel in wanted,
        "categories": lambda wanted: any(f"{place.category}/".startswith(f"{w}/") for w in wanted),
        "item_ids": lambda wanted: place.item_id in wanted,
        "keywords": lambda wanted: any(w.lower() in words for w in wanted),
    }
    day, count = (state.ads if state else {}).get(ad.ad_id, (0, 0))
    return (
        (ad.starts_ms is None or ad.starts_ms <= query.time_ms)
        and (ad.ends_ms is None or query.time_ms < ad.ends_ms)
        and (ad.cap is None or (count if day == TODAY else 0) < ad.cap)
        and all(meets[name](wanted) for name, wanted in (ad.targeting or {}).items())
    )


@given(ads=ADS, shown=st.none() | SHOWN, query=QUERIES)
def test_who_may_stand_is_what_the_contract_says_ad_by_ad(
    ads: list[AdUpdate], shown: dict[str, tuple[int, int]] | None, query: Query
) -> None:
    state = None if shown is None else State(ads=shown)
    inventory = Inventory.of(ads)
    found = {inventory.ads[row].ad_id for row in inventory.eligible(query, state)}
    assert found == {ad.ad_id for ad in ads if _by_hand(ad, query, state)}


def test_what_an_ad_is_about_is_not_where_it_may_stand() -> None:
    ad = AdUpdate(
        ad_id="a",
        campaign_id="c",
        advertiser_id="v",
        bid_micros=1,
        bid_for="click",
        item_id="cup",
        about=["tea"],
        targeting={"item_ids": ["kettle"]},
    )
    assert promoted(ad) == {"cup", "tea"}
    inventory = Inventory.of([ad])
    stands = [
        len(inventory.eligible(replace(ask("ads"), context=PageContext(item_id=item)), None))  # type: ignore[arg-type]
        for item in ("kettle", "tea", "cup")
    ]
    assert stands == [1, 0, 0]
