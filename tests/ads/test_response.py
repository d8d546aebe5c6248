"""Who responds is learned from who did, and a probability means what it says."""

from pathlib import Path

import numpy as np
import pytest

from raysys.ads.fit import fit_response
from raysys.ads.scorer import ResponseScorer
from raysys.errors import DataError
from raysys.events import AdUpdate
from raysys.state.protocol import State

AD = AdUpdate(ad_id="ad", campaign_id="c", advertiser_id="a", bid_micros=1, bid_for="click", item_id="tea")
BUYER = State(days=5, own_items=("tea",), own_bought=(4,), own_touched=(0,))
OTHER = State(days=5, own_items=("rum",), own_bought=(4,), own_touched=(0,))


@pytest.fixture(scope="module")
def scorer() -> ResponseScorer:
    """Buyers of the item respond to half of the showings, others to one in ten."""
    showings = [(BUYER, AD)] * 400 + [(OTHER, AD)] * 400
    responded = np.array([n % 2 == 0 for n in range(400)] + [n % 10 == 0 for n in range(400)])
    return fit_response(showings, responded)


def test_a_probability_is_the_share_that_responds(scorer: ResponseScorer) -> None:
    assert scorer.probs(BUYER, [AD])[0] == pytest.approx(0.5, abs=0.03)
    assert scorer.probs(OTHER, [AD])[0] == pytest.approx(0.1, abs=0.03)


def test_an_unknown_person_has_a_probability_too(scorer: ResponseScorer) -> None:
    assert 0 < scorer.probs(None, [AD])[0] < 1
    assert scorer.probs(None, []).shape == (0,)


def test_a_saved_model_answers_alike(scorer: ResponseScorer, tmp_path: Path) -> None:
    scorer.save(tmp_path / "response")
    again = ResponseScorer.load(tmp_path / "response")
    np.testing.assert_array_equal(again.probs(BUYER, [AD]), scorer.probs(BUYER, [AD]))


def test_showings_that_all_ended_alike_are_refused() -> None:
    with pytest.raises(DataError, match="only one kind"):
        fit_response([(BUYER, AD)], np.array([True]))
