"""How likely a ranking that was drawn before is under other utilities: its picks, one by one."""

from collections.abc import Collection, Sequence

import numpy as np

from raysys.policy.draw import COLDEST, Cap, Window
from raysys.types import Bools, Floats, Ints


def pick_odds(
    utility: Floats,
    order: Ints,
    *,
    temperature: float,
    pinned: Collection[int] = (),
    caps: Sequence[Cap] = (),
) -> Floats:
    """Odds (K, C) of every candidate at each position, given that `order` stands above it.

    The logged pick's own odds are `odds[arange(K), order]`. A pinned candidate has no odds but at
    the position where `order` has it; there it is certain.

    Args:
        utility: (C,), of candidates in the engine's order.
        order: (K,) distinct candidates, from the first position on.
        temperature: below COLDEST the best of the allowed is certain.
        pinned: candidates that a rule has put into their places, also those below `order`.
    """
    fixed = np.isin(order, list(pinned))
    allowed = _allowed(len(utility), order, pinned, caps)
    if temperature >= COLDEST:
        values = np.where(allowed, utility / temperature, -np.inf)
        highest = values.max(axis=1, initial=-np.finfo(np.float64).max, keepdims=True)
        shares = np.exp(values - highest)
        odds = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
    else:
        best = np.where(allowed, utility, -np.inf).argmax(axis=1) if len(utility) else order
        odds = (np.arange(len(utility)) == best[:, None]).astype(np.float64)
    odds[fixed] = np.arange(len(utility)) == order[fixed, None]
    return np.asarray(odds)


def _allowed(size: int, order: Ints, pinned: Collection[int], caps: Sequence[Cap]) -> Bools:
    """Which candidates (K, C) the draw could choose from at each position."""
    free = np.ones(size, np.bool_)
    free[list(pinned)] = False
    left = np.tile(free, (len(order), 1))
    for position, pick in enumerate(order.tolist()):
        left[position + 1 :, pick] = False
    if not caps:
        return left
    windows = [Window(cap) for cap in caps]
    for position, pick in enumerate(order.tolist()):
        allowed = left[position] & ~np.logical_or.reduce([window.barred() for window in windows])
        if allowed.any():
            left[position] = allowed
        for window in windows:
            window.push(pick)
    return left


def mixed_odds(profile_probs: Floats, odds: Floats, order: Ints) -> Floats:
    """Odds (K, C) when the profile is drawn first: `profile_probs` (A,) by `odds` (A, K, C).

    The picks above tell which profile it may have been, so every position has its own mixture.
    Where no profile would have drawn what stands above, the odds are 0: the target never comes here.
    """
    own = odds[:, np.arange(len(order)), order]  # (A, K)
    above = np.concatenate([np.ones((len(odds), 1)), np.cumprod(own, axis=1)[:, :-1]], axis=1)
    belief = profile_probs[:, None] * above
    total = belief.sum(axis=0)
    belief = np.divide(belief, total, out=np.zeros_like(belief), where=total > 0)
    return np.asarray(np.einsum("ak,akc->kc", belief, odds))
