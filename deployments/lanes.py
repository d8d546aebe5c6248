"""Threads with a bounded line in front of them, for work that waits for a disk or a model."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Busy(Exception):
    """The line is full, or every thread hangs in work that nobody waits for any more."""


class Late(Exception):
    """The work was not done in time. It goes on if it had begun, and is called off if not."""


class Lane:
    """`threads` that work off a line of at most `waiting` jobs; used from one event loop."""

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"raysys-{name}")
        self._threads, self._most = threads, threads + waiting
        self._lock = threading.Lock()
        self._forsaken: set[Future[Any]] = set()
        self.held = 0
        """Jobs begun or in line."""

    @property
    def hanging(self) -> int:
        """Jobs that run on although nobody waits for them any more."""
        return len(self._forsaken)

    def start(self, work: Callable[..., Result], *args: Any) -> "Future[Result]":
        """Put a job in line.

        Raises:
            Busy: there is no room for it.
        """
        with self._lock:
            if self.held >= self._most or len(self._forsaken) >= self._threads:
                raise Busy
            self.held += 1
        future = self._pool.submit(work, *args)
        future.add_done_callback(self._ended)
        return future

    async def result(self, future: "Future[Result]", seconds: float | None = None) -> Result:
        """What the job gives; None waits for as long as it takes.

        Raises:
            Late: it was not done within `seconds`.
        """
        try:
            if not future.done():
                async with asyncio.timeout(seconds):
                    return await asyncio.wrap_future(future)
        except TimeoutError:
            if future.cancel() or not future.done():
                raise Late from None
        finally:
            self._forsake(future)
        return future.result()

    def _forsake(self, future: "Future[Any]") -> None:
        """Whoever waited has gone, served or not."""
        if not future.done():
            with self._lock:
                if not future.done():
                    self._forsaken.add(future)

    def _ended(self, future: "Future[Any]") -> None:
        with self._lock:
            self.held -= 1
            self._forsaken.discard(future)
