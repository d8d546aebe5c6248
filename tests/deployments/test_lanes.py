"""A lane is bounded, lets go of what is late, and knows what hangs; a pace follows what rankings take."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from deployments.budget import Pace, Watch
from deployments.lanes import Busy, Lane, Late


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_job_gives_its_result_or_raises_its_own_error() -> None:
    lane = Lane("test", 1, 1)

    def fails() -> None:
        raise TimeoutError("the job's own")

    async def work() -> int:
        assert await lane.result(lane.start(max, 3, 4), 30) == 4
        with pytest.raises(TimeoutError, match="the job's own"):
            await lane.result(lane.start(fails), 30)
        return lane.held

    assert asyncio.run(work()) == 0


def test_a_result_that_is_there_is_not_late_though_no_time_is_left() -> None:
    lane = Lane("test", 1, 1)

    async def work() -> int:
        future = lane.start(max, 3, 4)
        future.result()
        return await lane.result(future, -1.0)

    assert asyncio.run(work()) == 4


def test_a_full_line_takes_nobody_and_room_comes_back(gate: threading.Event) -> None:
    lane = Lane("test", 1, 2)

    async def work() -> None:
        jobs = [lane.start(gate.wait) for _ in range(3)]
        with pytest.raises(Busy):
            lane.start(gate.wait)
        gate.set()
        for job in jobs:
            assert await lane.result(job)
        assert lane.held == 0

    asyncio.run(work())


def test_what_is_late_is_called_off_if_it_only_waited_and_counted_if_it_runs(gate: threading.Event) -> None:
    """Two of three jobs come late behind the one thread: one of them had begun, one never will."""
    lane, ran = Lane("test", 1, 5), []

    async def work() -> None:
        first, second = lane.start(gate.wait), lane.start(ran.append, "second")
        for job in (first, second):
            with pytest.raises(Late):
                await lane.result(job, 0.01)
        assert (lane.held, lane.hanging) == (1, 1)
        with pytest.raises(Busy):  # the only thread hangs: nobody need wait to find out
            lane.start(ran.append, "third")
        gate.set()
        first.result()
        await lane.result(_started(lane, ran), 30)

    asyncio.run(work())
    assert ran == ["fourth"]
    assert (lane.held, lane.hanging) == (0, 0)


def _started(lane: Lane, ran: list[str]) -> "asyncio.Future[None]":
    """The next job, as soon as the thread has noticed that it is free."""
    while True:
        try:
            return lane.start(ran.append, "fourth")  # type: ignore[return-value]
        except Busy:
            threading.Event().wait(0.001)


def test_a_pace_is_what_rankings_take_and_one_stall_is_soon_forgotten() -> None:
    pace = Pace()
    assert pace.expected(1_000) == 0.0
    for _ in range(100):
        pace.took(100, 0.002)
    assert pace.expected(100) == pytest.approx(0.002)
    assert pace.expected(300) == pytest.approx(0.004)
    pace.took(100, 2.0)
    stalled = pace.expected(100)
    assert 0.002 < stalled < 0.003
    for _ in range(200):
        pace.skipped()
    assert pace.expected(100) < 1e-9 < stalled


def test_laps_add_up_to_what_was_spent() -> None:
    watch = Watch()
    for stage in ("decode", "state"):
        watch.lap(stage)
    assert [stage for stage, _ in watch.laps] == ["decode", "state"]
    assert 0 < sum(seconds for _, seconds in watch.laps) <= watch.spent()
