"""Arrays of unequal length side by side: what each document holds, in one array."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from raysys.types import Ints

Anything = npt.NDArray[np.generic]


class Ragged(NamedTuple):
    """The values of C documents one after the other; none may be empty, so that sums by document are easy."""

    values: Anything
    """(N, ...)"""
    start: Ints
    """(C,) where each document begins."""

    @classmethod
    def of(cls, parts: Sequence[Anything]) -> "Ragged":
        """From one array for each document."""
        sizes = np.fromiter(map(len, parts), np.int64, len(parts))
        return cls(np.concatenate(parts), np.cumsum(sizes) - sizes)

    @property
    def sizes(self) -> Ints:
        """(C,) how many values each document has."""
        return np.diff(self.start, append=len(self.values))


class Shelf:
    """A growing array of such documents by row, picked without a loop over them."""

    def __init__(self, dtype: npt.DTypeLike, width: tuple[int, ...] = ()) -> None:
        self._values = np.empty((1024, *width), dtype)
        self.used = 0
        """Values in memory, with those that nothing points to any more."""
        self._start, self._size = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def widen(self, rows: int) -> None:
        """Make room for so many rows; a row that was never put is empty."""
        more = np.zeros(max(rows - len(self._start), 0), np.int64)
        self._start, self._size = np.append(self._start, more), np.append(self._size, more)

    def put(self, row: int, values: Anything) -> None:
        """Set what a row holds. What it held before stays behind in memory."""
        end = self.used + len(values)
        if end > len(self._values):
            grown = np.empty((max(2 * len(self._values), end), *self._values.shape[1:]), self._values.dtype)
            grown[: self.used] = self._values[: self.used]
            self._values = grown
        self._values[self.used : end] = values
        self._start[row], self._size[row] = self.used, len(values)
        self.used = end

    def pick(self, rows: Ints) -> Ragged:
        """What the rows (C,) hold, all of them put before."""
        size = self._size[rows]
        start = np.cumsum(size) - size
        place = np.repeat(self._start[rows] - start, size) + np.arange(int(size.sum()))
        return Ragged(self._values[place], start)
