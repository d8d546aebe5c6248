"""How much time a request has, how it was spent, and how much a ranking will still need."""

import time

KEPT = 0.25
"""Share of what is left that is kept for ordering while the encoder and the store are waited for."""


class Watch:
    """Times the stages of one request, from the arrival of its headers."""

    __slots__ = ("_last", "laps", "started")

    def __init__(self) -> None:
        self.started = self._last = time.perf_counter()
        self.laps: list[tuple[str, float]] = []
        """(stage, seconds) in the order in which they ended."""

    def lap(self, stage: str) -> float:
        """A stage has ended; the seconds since the one before it."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        self.laps.append((stage, seconds))
        return seconds

    def spent(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self.started


class Pace:
    """How long a ranking takes here and now, from how long the last ones took."""

    def __init__(self) -> None:
        self._each = 0.0
        """Seconds for one candidate, where a request by itself weighs as much as FIXED of them."""

    FIXED = 100

    def expected(self, candidates: int) -> float:
        """Seconds that ordering this many candidates will take; 0 before anything was measured."""
        return self._each * (self.FIXED + candidates)

    def took(self, candidates: int, seconds: float) -> None:
        """A ranking was made; one that was held up says little."""
        each = seconds / (self.FIXED + candidates)
        self._each = each if self._each == 0.0 else self._each + (min(each, 4 * self._each) - self._each) / 8

    def skipped(self) -> None:
        """No ranking was made for want of time: the next is expected to be a little faster,
        so that one slow minute is not remembered for ever."""
        self._each *= 0.9
