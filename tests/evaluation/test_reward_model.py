"""The reward model finds a linear truth, and knows nothing of whom it will be asked about."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raysys.evaluation.reward_model import attention, fit_rewards, folds_of


def test_attention_is_the_discount_of_dcg() -> None:
    np.testing.assert_allclose(attention(3), [1.0, 1 / np.log2(3), 0.5])


def test_a_linear_reward_is_found_and_what_lies_below_is_added() -> None:
    """Reward .2 + x at the first position and .1 + x at the second: below the first lies .1 on average."""
    rng = np.random.default_rng(0)
    signals = rng.normal(size=(50_000, 2, 1))
    reward = signals[..., 0] + np.array([0.2, 0.1])
    model = fit_rewards(signals, reward, np.ones((50_000, 2), bool))
    expected = np.array([[0.2 + 0.1, 1.2 + 0.1], [0.1, 1.1]])
    np.testing.assert_allclose(model.at(np.array([[0.0], [1.0]])), expected, atol=0.02)


def test_what_was_not_shown_teaches_nothing() -> None:
    rng = np.random.default_rng(1)
    signals, shown = rng.normal(size=(200, 3, 2)), rng.random((200, 3)) < 0.7
    reward = np.where(shown, rng.normal(size=(200, 3)), 0.0)
    one = fit_rewards(signals, reward, shown)
    other = fit_rewards(np.where(shown[..., None], signals, 9.0), reward, shown)
    np.testing.assert_array_equal(one.plain, other.plain)


def test_many_pages_at_once_are_each_page_alone() -> None:
    rng = np.random.default_rng(2)
    signals = rng.normal(size=(4, 3, 2))
    model = fit_rewards(signals, rng.random((4, 3)), np.ones((4, 3), bool))
    pages = rng.normal(size=(5, 7, 2))
    np.testing.assert_allclose(model.at(pages), [model.at(page) for page in pages])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.integers(2, 5))
def test_all_rows_of_a_user_are_in_one_fold(users: list[int], folds: int) -> None:
    fold = folds_of(np.array(users), folds)
    assert all(0 <= number < folds for number in fold)
    assert len({(user, int(number)) for user, number in zip(users, fold, strict=True)}) == len(set(users))
