"""A response model scores each ad by itself, and survives being saved."""

from pathlib import Path

import numpy as np
import pytest

from raysys.ads.features import FEATURES, features
from raysys.ads.fit import fit_response
from raysys.ads.scorer import ResponseScorer
from raysys.errors import BundleError, DataError
from raysys.events import AdUpdate
from raysys.state.protocol import State
from raysys.types import DAY_MS

LOYAL = State(
    days=3,
    last_ms=112 * DAY_MS,
    own_items=("milk", "ad:old"),
    own_bought=(3, 1),
    own_slow=(2.0, 1.0),
    own_fast=(1.0, 1.0),
    own_last_ms=(0, 112 * DAY_MS),
)


def _ad(name: str, *items: str) -> AdUpdate:
    return AdUpdate(
        ad_id=name,
        campaign_id="c",
        advertiser_id="v",
        bid_micros=1,
        bid_for="conversion",
        targeting={"item_ids": list(items)},
    )


def test_features_are_what_the_hand_computes() -> None:
    row = dict(zip(FEATURES, features(LOYAL, [{"milk", "tea"}])[0], strict=True))
    assert row["slow"] == pytest.approx(np.log1p(1.0))  # one half-life of 112 days halves 2.0
    assert row["fast"] == pytest.approx(np.log1p(2.0**-8))
    assert row["responses"] == pytest.approx(np.log1p(1))
    assert (row["promoted"], row["promoted_bought"]) == pytest.approx((np.log1p(2), np.log1p(3)))
    assert row["promoted_share"] == pytest.approx(1.0)


def test_nobody_has_a_chance_too() -> None:
    assert ResponseScorer.constant(0.02).probs(None, [_ad("a"), _ad("b", "x")]) == pytest.approx([0.02] * 2)


def test_an_ads_chance_ignores_the_others_and_survives_saving(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(400, len(FEATURES)))
    chance = 1 / (1 + np.exp(-2 * columns[:, FEATURES.index("promoted_bought")]))
    scorer = fit_response(columns, (rng.random(400) < chance).astype(float))
    assert int(np.argmax(scorer.weights)) == FEATURES.index("promoted_bought")
    scorer.save(tmp_path / "response")
    loaded = ResponseScorer.load(tmp_path / "response")
    ads = [_ad("a", "milk"), _ad("b", "tea"), _ad("c")]
    alone = [scorer.probs(LOYAL, [ad])[0] for ad in ads]
    np.testing.assert_array_equal(loaded.probs(LOYAL, ads), alone)
    assert alone[0] > alone[1]


def test_no_response_at_all_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="0 responses in 5 showings"):
        fit_response(np.zeros((5, len(FEATURES))), np.zeros(5))


def test_a_model_of_other_features_is_refused(tmp_path: Path) -> None:
    ResponseScorer.constant().save(tmp_path / "r")
    (tmp_path / "r" / "response.json").write_text('{"features": ["luck"], "bias": 0}')
    with pytest.raises(BundleError, match="luck"):
        ResponseScorer.load(tmp_path / "r")
