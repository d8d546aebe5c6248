"""How likely a ranking that was drawn before is under other utilities: its picks, one by one."""

from collections.abc import Iterable, Sequence

import numpy as np

from raysys.policy.draw import COLDEST, Cap, Window
from raysys.types import Bools, Floats, Ints


def pick_odds(
    utility: Floats,
    order: Ints,
    *,
    temperature: float,
    pinned: Iterable[int] = (),
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
    fixed = set(pinned)
    values = utility / temperature if temperature >= COLDEST else utility
    odds = np.zeros((len(order), len(utility)))
    for position, allowed in enumerate(_allowed(len(utility), order, fixed, caps)):
        if int(order[position]) in fixed:
            odds[position, order[position]] = 1.0
        elif temperature >= COLDEST:
            shares = np.exp(values[allowed] - values[allowed].max())
            odds[position, allowed] = shares / shares.sum()
        else:
            odds[position, np.flatnonzero(allowed)[np.argmax(values[allowed])]] = 1.0
    return odds


def _allowed(size: int, order: Ints, pinned: set[int], caps: Sequence[Cap]) -> Iterable[Bools]:
    """Which candidates (C,) the draw could choose from at each position."""
    left = np.ones(size, np.bool_)
    left[list(pinned)] = False
    windows = [Window(cap) for cap in caps]
    for pick in order.tolist():
        allowed = left.copy()
        for window in windows:
            allowed &= ~window.barred()
        yield allowed if allowed.any() else left.copy()
        left[pick] = False
        for window in windows:
            window.push(pick)


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
