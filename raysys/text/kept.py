"""Vectors of texts read lately; safe between threads."""

import threading
from collections import OrderedDict

from raysys.types import Floats

MOST = 20_000
"""Vectors kept: 384 float32 each, 31 MB in all."""


class KeptVectors:
    """The MOST that were asked for last."""

    def __init__(self) -> None:
        self._vectors: OrderedDict[str, Floats] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: str) -> Floats | None:
        """The vector (D,) of a text, if it is kept."""
        with self._lock:
            if (vector := self._vectors.get(text)) is not None:
                self._vectors.move_to_end(text)
            return vector

    def put(self, text: str, vector: Floats) -> Floats:
        """Keep a vector; it comes back."""
        with self._lock:
            self._vectors[text] = vector
            if len(self._vectors) > MOST:
                self._vectors.popitem(last=False)
        return vector
