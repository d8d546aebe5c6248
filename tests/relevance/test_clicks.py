"""Where people look and what attracts them are told apart, in a log where both are known."""

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.relevance.clicks import DEEPEST, ClickModel, Clicks, harvested, judgements_of

LOOKED = 1.0 / np.log2(np.arange(8) + 2.0)
SHOWINGS = 60_000


def log(seed: int = 0) -> tuple[Clicks, np.ndarray]:  # type: ignore[type-arg]
    """Clicks on eight items that a good engine shows at nearly the same places, and what attracts truly."""
    rng = np.random.default_rng(seed)
    attracts = np.array([0.2, 0.5, 0.1, 0.4, 0.3, 0.6, 0.05, 0.35])
    order = np.argsort(np.arange(8) + rng.normal(0, 1.5, (SHOWINGS // 8, 8)), axis=1)
    position = np.tile(np.arange(8), len(order))
    pair = order.ravel()
    clicked = rng.random(len(pair)) < LOOKED[position] * attracts[pair]
    return Clicks.of(pair, position, clicked), attracts


def test_attraction_and_examination_are_found_again() -> None:
    clicks, attracts = log()
    model = ClickModel.fit(clicks)
    np.testing.assert_allclose(model.examined, LOOKED, atol=0.06)
    np.testing.assert_allclose(model.attracts, attracts, atol=0.05)
    assert np.array_equal(np.argsort(model.attracts), np.argsort(attracts))
    assert not np.array_equal(np.argsort(clicks.rates()), np.argsort(attracts))


def test_harvesting_finds_the_same_examination_without_a_model_of_items() -> None:
    clicks, _ = log(1)
    np.testing.assert_allclose(harvested(clicks), LOOKED, atol=0.08)


def test_rates_and_evidence_by_hand() -> None:
    clicks = Clicks.of(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 0]), np.array([True, False, False, False]))
    assert clicks.shown.tolist() == [2.0, 1.0, 1.0]
    assert clicks.rates() == pytest.approx([(1 + 0.25) / 4, 0.25 / 2])


def test_clicks_become_judgements() -> None:
    rng = np.random.default_rng(0)
    position = np.tile(np.arange(2), 2_000)
    texts = ["good" if (n // 2 + n) % 2 else "bad" for n in range(4_000)]
    chance = np.where(np.array(texts) == "good", 0.6, 0.1) * np.where(position == 0, 1.0, 0.4)
    found = judgements_of(["milk"] * 4_000, texts, position, rng.random(4_000) < chance)
    assert found.queries == ["milk"]
    relevant = {found.texts[text]: value for text, value in zip(found.text, found.relevant, strict=True)}
    assert relevant["good"] == 1.0
    assert relevant["bad"] == pytest.approx(1 / 6, abs=0.04)
    assert found.weight is not None


def test_a_log_without_clicks_is_refused() -> None:
    with pytest.raises(DataError, match=r"click rate 0\.0, expected some clicks"):
        Clicks.of(np.zeros(3, int), np.arange(3), np.zeros(3, bool))


@pytest.mark.parametrize("position", [-1, DEEPEST, 2**53])
def test_a_position_that_no_list_has_is_refused(position: int) -> None:
    with pytest.raises(DataError, match=r"positions from -?\d+ to \d+, expected 0 to 9999"):
        Clicks.of(np.zeros(2, int), np.array([0, position]), np.array([True, False]))
