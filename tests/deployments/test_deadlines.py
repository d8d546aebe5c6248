"""What is late or hangs is done without and named; the page is answered all the same."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from deployments.app import asgi_app
from deployments.live import LiveBundle
from deployments.service import WAITING_TEXTS, WAITING_WRITES, WRITERS
from raysys.errors import StoreError
from raysys.events import AdUpdate, Event
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.state.protocol import Hold, Receipt, State
from raysys.types import Floats, Key
from tests import fakes
from tests.fakes import FakeEncoder

ITEMS = [f"i{n}" for n in range(12)]
ASKED = {"candidates": [{"item_id": item} for item in ITEMS], "query": "the i3", "user_id": "ann"}
PATIENT, HASTY = 60_000, 1_200
"""Budgets in ms: more than any stage takes, and soon over where something hangs."""


class SlowEncoder(FakeEncoder):
    """Encodes once its gate is open."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate

    def encode(self, texts: Sequence[str]) -> Floats:
        self._gate.wait()
        return super().encode(texts)


class SlowStore(MemoryStore):
    """Some of its methods wait until the gate is open."""

    def __init__(self, gate: threading.Event, *slow: str) -> None:
        super().__init__()
        self._gate, self._slow = gate, slow

    def _pass(self, name: str) -> None:
        if name in self._slow:
            self._gate.wait()

    def live(self, key: Key | None) -> State | None:
        self._pass("live")
        return super().live(key)

    def items_version(self) -> int:
        self._pass("items_version")
        return super().items_version()

    def append(self, events: Sequence[Event], now_ms: int) -> Receipt:
        self._pass("append")
        return super().append(events, now_ms)

    def held(self, accounts: Sequence[str], now_ms: int) -> list[int]:
        self._pass("held")
        return super().held(accounts, now_ms)

    def hold(self, holds: Sequence[Hold], now_ms: int) -> list[int | None]:
        self._pass("hold")
        return super().hold(holds, now_ms)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed for the test; opened at its end, so that no thread hangs for ever."""
    gate = threading.Event()
    yield gate
    gate.set()


def talk(work: Callable[[httpx.AsyncClient], Awaitable[Any]], store: MemoryStore, **parts: Any) -> Any:
    """What `work` makes of a client of a service with these parts of a bundle."""

    async def run() -> Any:
        live = LiveBundle(store, None)
        live.ranker = Ranker(fakes.bundle(**parts), store, watch=live.meters.stage)
        transport = httpx.ASGITransport(asgi_app(live, store, budget_ms=PATIENT))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://raysys") as client:
            return await work(client)

    return asyncio.run(run())


def ask(store: MemoryStore, path: str = "/rank", body: Any = ASKED, **parts: Any) -> Any:
    response: httpx.Response = talk(lambda client: client.post(path, json=body), store, **parts)
    assert response.status_code == 200, response.text
    return response.json()


def without(answer: Any) -> list[str]:
    """The parts an answer did without; a machine that is busy elsewhere may miss the deadline besides."""
    return [part for part in answer["degraded"] if part != "deadline"]


def test_in_time_nothing_is_missing() -> None:
    assert ask(MemoryStore())["degraded"] == []


def test_an_encoder_that_hangs_is_waited_for_no_longer_than_the_budget(gate: threading.Event) -> None:
    answer = ask(MemoryStore(), body={**ASKED, "budget_ms": HASTY}, encoder=SlowEncoder(gate))
    assert without(answer) == ["encoder"]
    assert len(answer["items"]) == 12


@pytest.mark.parametrize("slow", ["live", "items_version"])
@pytest.mark.parametrize("path", ["/rank", "/feed", "/feed/similar", "/feed/trending"])
def test_a_store_that_hangs_never_makes_a_page_fail(gate: threading.Event, path: str, slow: str) -> None:
    body: dict[str, Any] = {"user_id": "ann", "budget_ms": HASTY / 2}
    body |= {"/rank": {"candidates": ASKED["candidates"]}, "/feed/similar": {"item_id": "i3"}}.get(path, {})
    answer = ask(SlowStore(gate, slow), path, body)
    assert without(answer) == ["state"]
    assert answer["items"]


def test_two_that_hang_are_waited_for_together(gate: threading.Event) -> None:
    answer = ask(SlowStore(gate, "live"), body={**ASKED, "budget_ms": HASTY}, encoder=SlowEncoder(gate))
    assert without(answer) == ["encoder", "state"]


def test_a_page_that_comes_too_late_gets_the_engines_order_without_asking_anybody(
    gate: threading.Event,
) -> None:
    body = {**ASKED, "budget_ms": 1e-3}
    answer = ask(SlowStore(gate, "live", "items_version"), body=body, encoder=SlowEncoder(gate))
    assert [item["item_id"] for item in answer["items"]] == ITEMS
    assert (answer["degraded"], answer["explored"]) == (["deadline", "state"], False)
    assert ask(SlowStore(gate, "live", "items_version"), "/feed", {"budget_ms": 1e-3})["items"]


class FailingStore(MemoryStore):
    """Raises where it is read."""

    def live(self, key: Key | None) -> State | None:
        raise StoreError("disk on fire")


def test_a_store_that_fails_is_done_without() -> None:
    assert ask(FailingStore())["degraded"] == ["state"]


def test_once_every_reader_hangs_nobody_waits_for_them_any_more(gate: threading.Event) -> None:
    """Eight requests at once with four readers: none of them and none after them fails."""

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        hasty = {**ASKED, "budget_ms": HASTY}
        first = await asyncio.gather(*(client.post("/rank", json=hasty) for _ in range(8)))
        patient = {**ASKED, "budget_ms": PATIENT}
        return [*first, await asyncio.wait_for(client.post("/rank", json=patient), 30)]

    answers = talk(work, SlowStore(gate, "live"))
    assert [without(answer.json()) for answer in answers] == [["state"]] * 9


def test_more_texts_than_the_encoder_can_take_are_done_without_it(gate: threading.Event) -> None:
    room, over = WAITING_TEXTS + 1, 5

    async def work(client: httpx.AsyncClient) -> tuple[list[Any], list[Any]]:
        asked = [{**ASKED, "query": f"text {n}"} for n in range(room + over)]
        calls = [asyncio.create_task(client.post("/rank", json=body)) for body in asked]
        done: list[Any] = []
        while len(done) < over:
            await asyncio.sleep(0.01)
            done = [call for call in calls if call.done()]
        gate.set()
        rest = await asyncio.gather(*(call for call in calls if call not in done))
        return [call.result().json() for call in done], [answer.json() for answer in rest]

    done, rest = talk(work, MemoryStore(), encoder=SlowEncoder(gate))
    assert [answer["degraded"] for answer in done] == [["encoder"]] * over
    assert [answer["degraded"] for answer in rest] == [[]] * room


def test_more_writes_than_the_disk_can_take_are_told_to_come_again(gate: threading.Event) -> None:
    room, over = WRITERS + WAITING_WRITES, 5

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        event = {"type": "interaction", "kind": "click", "item_id": "i1", "user_id": "ann"}
        calls = [
            asyncio.create_task(client.post("/events", json={**event, "time_ms": n}))
            for n in range(room + over)
        ]
        while sum(call.done() for call in calls) < over:
            await asyncio.sleep(0.01)
        refused = [call.result() for call in calls if call.done()]
        gate.set()
        rest = await asyncio.gather(*calls)
        assert [answer.status_code for answer in rest].count(200) == room
        return refused

    for refused in talk(work, SlowStore(gate, "append")):
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert refused.json()["error"]["code"] == "busy"


AD = AdUpdate(
    ad_id="a",
    campaign_id="c",
    advertiser_id="shop",
    item_id="i3",
    bid_micros=500_000,
    bid_for="impression",
    budget_micros=10_000_000,
)


def test_a_price_that_cannot_be_set_aside_in_time_is_given_back_and_the_page_has_no_ads(
    gate: threading.Event,
) -> None:
    store = SlowStore(gate, "hold")
    store.append([AD], fakes.NOW_MS)
    asked = {"placements": [{"placement_id": "top"}], "time_ms": fakes.NOW_MS}

    async def work(client: httpx.AsyncClient) -> Any:
        late = await client.post("/ads/decide", json={**asked, "budget_ms": HASTY})
        gate.set()
        for _ in range(500):
            page = (await client.get("/metrics")).text
            if "raysys_writes_held 0.0" in page:
                return late.json()
            await asyncio.sleep(0.01)
        pytest.fail("the late decision never ended")

    late = talk(work, store)
    assert (late["placements"][0]["items"], without(late)) == ([], ["state"])
    assert store.held(["spend:c"], fakes.NOW_MS) == [0]
    (sold,) = ask(store, "/ads/decide", asked)["placements"][0]["items"]
    assert store.held(["spend:c"], fakes.NOW_MS) == [sold["price_micros"]]


@pytest.mark.parametrize("path", ["/feed", "/ads/decide"])
def test_a_budget_that_cannot_be_read_costs_the_ads_and_not_the_page(
    gate: threading.Event, path: str
) -> None:
    store = SlowStore(gate, "held")
    store.append([AD], fakes.NOW_MS)
    asked: dict[str, Any] = {"budget_ms": HASTY, "time_ms": fakes.NOW_MS}
    if path == "/ads/decide":
        asked["placements"] = [{"placement_id": "top"}]
    assert without(ask(store, path, asked)) == ["state"]


def test_a_large_body_of_events_does_not_hold_up_the_others() -> None:
    """Twenty thousand lines, all of them wrong, are parsed while somebody else is answered."""

    async def work(client: httpx.AsyncClient) -> tuple[int, int]:
        done: list[str] = []

        async def call(name: str, *args: Any, **more: Any) -> int:
            response = await client.request(*args, **more)
            done.append(name)
            return response.status_code

        large = call("large", "POST", "/events", content=b"{}\n" * 20_000)
        statuses = await asyncio.gather(large, call("small", "GET", "/health"))
        assert done == ["small", "large"]
        return statuses[0], statuses[1]

    assert talk(work, MemoryStore()) == (400, 200)
