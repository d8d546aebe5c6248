"""A response model scores each ad by itself, and survives being saved."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.ads.features import COUPON, FEATURES, SINCE_NEVER, features
from raysys.ads.fit import fit_response
from raysys.ads.inventory import About, Inventory
from raysys.ads.scorer import ResponseScorer
from raysys.errors import BundleError, DataError
from raysys.events import AdUpdate
from raysys.state.protocol import RESPONDED, State
from raysys.types import DAY_MS

LOYAL = State(
    days=3,
    last_ms=112 * DAY_MS,
    own_items=("milk", "ad:old", COUPON),
    own_bought=(3, 1, 4),
    own_slow=(2.0, 1.0, 1.0),
    own_fast=(1.0, 1.0, 1.0),
    own_last_ms=(0, 112 * DAY_MS, 112 * DAY_MS),
)


def _ad(name: str, *items: str) -> AdUpdate:
    return AdUpdate(
        ad_id=name,
        campaign_id="c",
        advertiser_id="v",
        bid_micros=1,
        bid_for="conversion",
        about=list(items),
    )


def test_features_are_what_the_hand_computes() -> None:
    row = dict(
        zip(
            FEATURES, features(LOYAL, About.of([{"milk", "tea"}]), LOYAL.last_ms + 9 * DAY_MS)[0], strict=True
        )
    )
    assert row["slow"] == pytest.approx(np.log1p(1.0))  # one half-life of 112 days halves 2.0
    assert row["fast"] == pytest.approx(np.log1p(2.0**-8))
    assert row["responses"] == pytest.approx(np.log1p(1))
    assert (row["promoted"], row["promoted_bought"]) == pytest.approx((np.log1p(2), np.log1p(3)))
    assert row["promoted_share"] == pytest.approx(1.0)
    assert (row["coupons"], row["recent_coupons"]) == pytest.approx((np.log1p(4), np.log1p(1)))
    assert row["away"] == pytest.approx(np.log1p(9))


def test_nobody_has_a_chance_too() -> None:
    ads = Inventory.of([_ad("a"), _ad("b", "x")])
    assert ResponseScorer.constant(0.02).probs(None, ads, np.arange(2), 0) == pytest.approx([0.02] * 2)


def test_an_ads_chance_ignores_the_others_and_survives_saving(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(400, len(FEATURES)))
    chance = 1 / (1 + np.exp(-2 * columns[:, FEATURES.index("promoted_bought")]))
    scorer = fit_response(columns, (rng.random(400) < chance).astype(float))
    assert int(np.argmax(scorer.weights)) == FEATURES.index("promoted_bought")
    scorer.save(tmp_path / "response")
    loaded = ResponseScorer.load(tmp_path / "response")
    ads = [_ad("a", "milk"), _ad("b", "tea"), _ad("c")]
    alone = [scorer.probs(LOYAL, Inventory.of([ad]), np.array([0]), 0)[0] for ad in ads]
    np.testing.assert_array_equal(loaded.probs(LOYAL, Inventory.of(ads), np.array([0, 1, 2]), 0), alone)
    np.testing.assert_array_equal(loaded.probs(LOYAL, Inventory.of(ads), np.array([2, 0]), 0), alone[2::-2])
    assert alone[0] > alone[1]


def test_no_response_at_all_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="0 responses in 5 showings"):
        fit_response(np.zeros((5, len(FEATURES))), np.zeros(5))


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    ResponseScorer.constant().save(tmp_path / "r")
    (tmp_path / "r" / "response.json").write_text('{"features": ["luck"], "bias": 0}')
    with pytest.raises(BundleError, match="luck"):
        ResponseScorer.load(tmp_path / "r")


def _dealings_by_hand(state: State, items: frozenset[str]) -> dict[str, float]:
    """The `promoted` columns of one ad, item by item."""
    own = {
        item: (
            state.own_bought[n],
            state.own_slow[n] * 0.5 ** (ago / 112),
            state.own_fast[n] * 0.5 ** (ago / 14),
            ago,
        )
        for n, item in enumerate(state.own_items)
        for ago in [(state.last_ms - state.own_last_ms[n]) / DAY_MS]
    }
    met = [own[item] for item in sorted(items & own.keys())]
    total = sum(slow for item, (_, slow, _, _) in own.items() if not item.startswith(RESPONDED))
    bought, slow, fast = (sum(row[n] for row in met) for n in range(3))
    return {
        "promoted": np.log1p(len(items)),
        "promoted_bought": np.log1p(bought),
        "promoted_items": np.log1p(len(met)),
        "promoted_slow": np.log1p(slow),
        "promoted_fast": np.log1p(fast),
        "promoted_share": slow / max(total, 1e-9),
        "promoted_best": np.log1p(max((row[1] for row in met), default=0.0)),
        "promoted_since": np.log1p(min(row[3] for row in met)) if met else SINCE_NEVER,
        "any_promoted": float(bool(met)),
    }


NAMES = ["milk", "tea", "cup", "rice", "ad:old", "ad:new"]


@given(
    own=st.lists(st.sampled_from(NAMES), unique=True),
    sets=st.lists(st.frozensets(st.sampled_from(NAMES)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_all_ads_at_once_are_what_each_is_by_hand(
    own: list[str], sets: list[frozenset[str]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    state = State(
        days=3,
        last_ms=300 * DAY_MS,
        own_items=tuple(own),
        own_bought=tuple(rng.integers(0, 9, len(own)).tolist()),
        own_slow=tuple(rng.random(len(own)).tolist()),
        own_fast=tuple(rng.random(len(own)).tolist()),
        own_last_ms=tuple((rng.integers(0, 300, len(own)) * DAY_MS).tolist()),
    )
    columns = features(state, About.of(sets), state.last_ms)
    for row, items in zip(columns, sets, strict=True):
        found = dict(zip(FEATURES, row.tolist(), strict=True))
        for name, value in _dealings_by_hand(state, items).items():
            assert found[name] == pytest.approx(value, rel=1e-12, abs=1e-15), name
