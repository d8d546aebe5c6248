"""The price of a place is the least bid that would still have won it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.ads.inventory import Inventory
from raysys.events import AdUpdate
from raysys.signals import SignalConstants
from raysys.surfaces.ads import AD_VALUE, Contest
from raysys.surfaces.offers import Offers
from raysys.types import MICROS, Floats

CONSTANTS = SignalConstants.default()


def _contest(
    bids: Sequence[int], probs: Sequence[float], others: Sequence[float], reserve: int = 0
) -> Contest:
    ads = tuple(
        AdUpdate(ad_id=f"a{n}", campaign_id="c", advertiser_id="v", bid_micros=bid, bid_for="click")
        for n, bid in enumerate(bids)
    )
    offers = Offers(Inventory.of(ads), np.arange(len(ads)), np.array(probs))
    utility = _signal(offers.value_micros) * 2.0 + np.array(others)
    return Contest(offers=offers, utility=utility, weight=2.0, constants=CONSTANTS, reserve_micros=reserve)


def _signal(value_micros: Floats) -> Floats:
    center, scale = CONSTANTS.center[AD_VALUE], CONSTANTS.scale[AD_VALUE]
    return np.clip((np.log1p(value_micros / MICROS) - center) / scale, -4.0, 4.0)


def test_with_nothing_but_bids_the_winner_pays_the_second_bid() -> None:
    contest = _contest([3_000_000, 2_000_000], [0.1, 0.1], [0.0, 0.0])
    assert contest.order().tolist() == [0, 1]
    assert contest.critical_micros(0, float(contest.utility[1])) == pytest.approx(2_000_000, abs=2)


def test_twice_the_chance_needs_half_the_bid() -> None:
    contest = _contest([3_000_000, 2_000_000], [0.2, 0.1], [0.0, 0.0])
    assert contest.critical_micros(0, float(contest.utility[1])) == pytest.approx(1_000_000, abs=2)


def test_without_a_rival_the_reserve_is_the_price_and_below_it_nobody_stands() -> None:
    contest = _contest([3_000_000, 400_000], [0.1, 0.1], [0.0, 0.0], reserve=500_000)
    assert contest.order().tolist() == [0]
    assert contest.critical_micros(0, -np.inf) == 500_000


BIDS = st.integers(1_000, 20_000_000)
PROBS = st.floats(0.01, 1.0)
OTHERS = st.floats(-1.0, 1.0)
OFFER = st.tuples(BIDS, PROBS, OTHERS)


@given(first=OFFER, second=OFFER)
def test_a_bid_above_the_price_wins_and_one_below_it_loses(
    first: tuple[int, float, float], second: tuple[int, float, float]
) -> None:
    bids, probs, others = zip(first, second, strict=True)
    contest = _contest(bids, probs, others)
    winner, rival = contest.order().tolist()
    price = contest.critical_micros(winner, float(contest.utility[rival]))
    assert 0 <= price <= bids[winner]

    def utility(bid: float) -> float:
        return 2.0 * float(_signal(np.array([bid * probs[winner]]))[0]) + others[winner]

    assert utility(price * 1.0001 + 1) >= float(contest.utility[rival]) - 1e-6
    if 1 < price < bids[winner]:
        assert utility(price * 0.999 - 2) <= float(contest.utility[rival]) + 1e-6
