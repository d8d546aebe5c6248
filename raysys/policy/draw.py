"""Drawing a ranking from utilities under rules, and the odds of the draw (Plackett-Luce).

The noise of an item belongs to (seed, query_id, item_id), so neither the order of the
candidates, nor a retry, nor the replica changes a ranking, and a page is a slice of it.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from raysys.types import Bools, Floats, Ints, QueryId

COLDEST = 1e-6
"""Below this a temperature is 0: utilities divided by it would leave the range of a float."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most `max` picks of one group in any `within` consecutive positions."""

    groups: Ints
    """(C,) the group of each candidate; -1 is in no group and never capped."""
    max: int
    within: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Picks from the first position on, with the odds of each given those above it."""

    order: Ints
    """(K,) indices of candidates."""
    propensities: Floats
    """(K,) in (0, 1]"""
    forced: Bools
    """(K,) whether rules left no choice."""
    held: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """For candidates that a cap held back: the indices of those caps."""


def query_noise(seed: int, query_id: QueryId, hashes: npt.NDArray[np.uint64], epoch: int = 0) -> Floats:
    """Standard Gumbel noise (C,) of items with these 64-bit `hashes`, for one query.

    Two epochs of one query are independent of each other.
    """
    digest = hashlib.blake2b(
        f"{seed}/{epoch}/{query_id}".encode(errors="surrogatepass"), digest_size=16
    ).digest()
    first, second = (np.uint64(int.from_bytes(part, "little")) for part in (digest[:8], digest[8:]))
    mixed = _splitmix(_splitmix(hashes ^ first) ^ second)
    uniform = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return np.asarray(-np.log(-np.log(uniform)))


def _splitmix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The splitmix64 step: every input bit changes about half of the output bits."""
    mixed = state + _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def draw_ranking(
    utility: Floats,
    length: int,
    *,
    temperature: float,
    noise: Callable[[int], Floats],
    ties: Ints,
    pins: Mapping[int, int] | None = None,
    caps: Sequence[Cap] = (),
) -> Draw:
    """Draw up to `length` candidates without replacement, best first.

    Args:
        utility: (C,)
        length: K; the first K' < K picks of a draw are the draw of K'.
        temperature: below COLDEST it is a plain sort, in which every propensity is 1.
        noise: Gumbel noise (C,) of an epoch; called once unless caps let candidates come back.
        ties: (C,) the engine's positions; they order equal values.
        pins: candidate by position; a pinned candidate is allowed nowhere else.
        caps: a cap that would leave a position empty gives way.
    """
    size, pins = len(utility), dict(pins or {})
    length = min(length, size)
    by_position = _placed(pins, size)
    free = np.ones(size, np.bool_)
    free[list(by_position.values())] = False
    random = temperature >= COLDEST
    values = utility / temperature if random else utility
    room = length - sum(position < length for position in by_position)
    if caps:
        return _draw_capped(values, length, random, noise, ties, by_position, free, caps)
    rest = np.flatnonzero(free)
    noisy = values[rest] + noise(0)[rest] if random else values[rest]
    picks = rest[np.lexsort((ties[rest], -noisy))]
    odds = pick_propensities(values[picks], room) if random else np.ones(room)
    return _with_pins(picks[:room], odds, by_position, length)


def pick_propensities(values: Floats, length: int) -> Floats:
    """Odds (length,) of each of the first picks given those above, for `values` (C,) in picked order."""
    if not length:
        return np.zeros(0)
    log_left = np.logaddexp.accumulate(values[::-1].astype(np.float64))[::-1]
    return np.asarray(np.exp(np.minimum(values - log_left, 0.0))[:length]).clip(np.finfo(np.float64).tiny)


def _placed(pins: Mapping[int, int], size: int) -> dict[int, int]:
    """Pins moved up where the ranking is too short to reach their positions."""
    placed: dict[int, int] = {}
    last = size
    for position in sorted(pins, reverse=True):
        last = min(position, last - 1)
        placed[last] = pins[position]
    return placed


def _with_pins(picks: Ints, odds: Floats, pins: Mapping[int, int], length: int) -> Draw:
    """The picks in their order around the pins."""
    forced = np.zeros(length, np.bool_)
    order, propensities = np.empty(length, np.int64), np.ones(length)
    for position, candidate in pins.items():
        if position < length:
            forced[position], order[position] = True, candidate
    order[~forced], propensities[~forced] = picks, odds
    return Draw(order=order, propensities=propensities, forced=forced)


def _draw_capped(
    values: Floats,
    length: int,
    random: bool,
    noise: Callable[[int], Floats],
    ties: Ints,
    pins: Mapping[int, int],
    left: Bools,
    caps: Sequence[Cap],
) -> Draw:
    """One position at a time among the allowed.

    One draw of noise serves as long as the allowed only get fewer (what lost to a pick says
    nothing of the order among the rest); when a candidate comes back, a new epoch begins.
    """
    order, odds = np.empty(length, np.int64), np.ones(length)
    forced, barred_before = np.zeros(length, np.bool_), np.zeros(len(values), np.bool_)
    held: dict[int, tuple[int, ...]] = {}
    windows = [Window(cap) for cap in caps]
    shares = np.exp(values - values.max()) if len(values) else values
    epoch, noisy = 0, values + noise(0) if random else values
    for position in range(length):
        if position in pins:
            pick, forced[position] = pins[position], True
        else:
            barred = [window.barred() for window in windows]
            allowed = left & ~np.logical_or.reduce(barred)
            if not allowed.any():
                allowed = left.copy()
            if random and np.any(allowed & barred_before):
                epoch, barred_before = epoch + 1, np.zeros(len(values), np.bool_)
                noisy = values + noise(epoch)
            barred_before |= left & ~allowed
            pick, wish = _best(noisy, ties, allowed), _best(noisy, ties, left)
            if wish != pick and wish not in held:
                held[wish] = tuple(number for number, bar in enumerate(barred) if bar[wish])
            forced[position] = allowed.sum() == 1 and left.sum() > 1
            if random:
                odds[position] = _share(shares, values, allowed, pick)
        order[position], left[pick] = pick, False
        for window in windows:
            window.push(pick)
    odds = np.clip(odds, np.finfo(np.float64).tiny, 1.0)
    return Draw(order=order, propensities=odds, forced=forced, held=held)


def _best(values: Floats, ties: Ints, allowed: Bools) -> int:
    """The allowed candidate of highest value, of equals the one that the engine has first."""
    top = np.flatnonzero(allowed & (values == values[allowed].max()))
    return int(top[np.argmin(ties[top])])


def _share(shares: Floats, values: Floats, allowed: Bools, pick: int) -> float:
    """The softmax share of `pick` among the allowed; by logarithms where `shares` have run dry."""
    total = float(shares[allowed].sum())
    if total > 1e-250:
        return float(shares[pick]) / total
    return float(np.exp(values[pick] - np.logaddexp.reduce(values[allowed].astype(np.float64))))


class Window:
    """How many picks of each group stand in the last `within` - 1 positions of a cap."""

    def __init__(self, cap: Cap) -> None:
        self._cap = cap
        self._recent: deque[int] = deque()
        self._counts = np.zeros(int(cap.groups.max(initial=-1)) + 2, np.int64)
        """By group; the last entry belongs to -1 and stays 0."""

    def barred(self) -> Bools:
        """Which candidates (C,) the cap keeps from the next position."""
        return np.asarray(self._counts[self._cap.groups] >= self._cap.max)

    def push(self, pick: int) -> None:
        """One position further, with `pick` in the one just filled."""
        self._recent.append(int(self._cap.groups[pick]))
        self._add(self._recent[-1], 1)
        if len(self._recent) >= self._cap.within:
            self._add(self._recent.popleft(), -1)

    def _add(self, group: int, count: int) -> None:
        if group >= 0:
            self._counts[group] += count
