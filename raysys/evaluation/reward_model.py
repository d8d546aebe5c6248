"""What a position of a ranking is worth, as a ridge regression: the model of doubly robust estimates."""

from dataclasses import dataclass

import numpy as np

from raysys.types import Bools, Floats, Ints

RIDGE = 10.0
"""Rows' worth of pull towards 0 for every coefficient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    """Reward to go of any candidate at any position, given nothing but its signals."""

    base: Floats
    """(K,) reward of each position whatever stands there, and of all below it."""
    plain: Floats
    """(S,)"""
    looked_at: Floats
    """(S,) times how much a position is looked at, 1 / log2(2 + position)."""

    def at(self, signals: Floats) -> Floats:
        """Reward to go (..., K, C) of candidates (..., C, S) at each position."""
        anywhere, looked_at = (signals @ by for by in (self.plain, self.looked_at))
        seen = attention(len(self.base))[:, None] * looked_at[..., None, :]
        return np.asarray(self.base[:, None] + anywhere[..., None, :] + seen)


def attention(length: int) -> Floats:
    """How much each position (K,) is looked at, as DCG has it."""
    return np.asarray(1.0 / np.log2(np.arange(length) + 2.0))


def fit_rewards(signals: Floats, reward: Floats, shown: Bools) -> RewardModel:
    """Fit what was shown: least squares with a ridge, which rare rewards need.

    Args:
        signals: (N, K, S) of each pick.
        reward: (N, K)
        shown: (N, K)
    """
    size, length, width = signals.shape
    row, position = np.nonzero(shown)
    picked = signals[row, position].astype(np.float64)
    columns = np.hstack([np.eye(length)[position], picked, picked * attention(length)[position][:, None]])
    square = columns.T @ columns + RIDGE * np.eye(columns.shape[1])
    solved = np.linalg.solve(square, columns.T @ reward[row, position])
    below = np.append(np.cumsum(reward.mean(axis=0)[::-1])[::-1][1:], 0.0) if size else np.zeros(length)
    return RewardModel(
        base=solved[:length] + below,
        plain=solved[length : length + width],
        looked_at=solved[length + width :],
    )


def folds_of(clusters: Ints, folds: int, seed: int = 0) -> Ints:
    """A fold (N,) for each row, one for all rows of a cluster."""
    _, group = np.unique(clusters, return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    return np.asarray(np.random.default_rng(seed).permutation(count)[group] % folds)
