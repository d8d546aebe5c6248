"""A simulated day of traffic through running endpoints, for load and for the loop's second turn.

Everybody wants what they took in the data on the days that the model has not seen. That they look
at a position with the chance 1 / log2(2 + position), and take what they see and want, is assumed.
"""

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from raysys.errors import RaysysError
from tuning.stand_in import StandInEngine

PAGE = 10
LOOKED_AT = 1.0 / np.log2(2.0 + np.arange(PAGE))
"""(K,) assumed."""
SEARCHES = 3
CANDIDATES = 100


class TrafficError(RaysysError):
    """The services answered with an error, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """Somebody who comes today, and what they are after."""

    user_id: str
    wants: frozenset[str]
    """Item ids."""
    searches: tuple[str, ...]


class Host:
    """A host's side of the wire, one connection to a worker."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._address, self._port = address, port
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer as JSON, retried once on a connection that the server closed.

        Raises:
            TrafficError: the status is not 200.
        """
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address, self._port, timeout=30)
            try:
                self._connection.request("POST", path, json.dumps(body))
                answer = self._connection.getresponse()
                told = answer.read()
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                self._connection = None
                if attempt == 2:
                    raise TrafficError(
                        f"{path} at port {self._port}: {error!r}; do the services run?"
                    ) from error
                continue
            if answer.status != 200:
                raise TrafficError(f"{path} answered {answer.status}: {told[:300]!r}")
            return dict(json.loads(told))
        raise AssertionError("unreachable")


@dataclass(slots=True)
class Day:
    """What a day came to."""

    pages: int = 0
    seen: int = 0
    taken: int = 0
    ads: int = 0
    events: int = 0
    seconds: float = 0.0

    def add(self, other: "Day") -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def a_day(
    shoppers: Sequence[Shopper],
    engine: StandInEngine,
    item_ids: Sequence[str],
    port: int,
    *,
    seed: int,
    workers: int = 4,
) -> Day:
    """Everybody comes once: a feed, some searches, a page with an ad."""
    whole, begun = Day(), time.perf_counter()

    def some(part: int) -> Iterator[Day]:
        host = Host(port)
        for number in range(part, len(shoppers), workers):
            rng = np.random.default_rng([seed, number])
            yield _visit(shoppers[number], engine, item_ids, host, rng)

    with tqdm(total=len(shoppers), desc="a simulated day", unit="person") as bar:

        def run(part: int) -> None:
            for one in some(part):
                whole.add(one)
                bar.update()

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(workers)))
    whole.seconds = time.perf_counter() - begun
    return whole


def _visit(
    who: Shopper, engine: StandInEngine, item_ids: Sequence[str], host: Host, rng: np.random.Generator
) -> Day:
    """One person's visit, reported back as it happens."""
    day = Day()
    shown = host.post("/feed", {"user_id": who.user_id, "length": PAGE, "channel": "app"})
    _react(who, shown, "feed", "", host, rng, day)
    for text in who.searches[:SEARCHES]:
        found = engine.search(text, CANDIDATES)
        if len(found):
            candidates = [{"item_id": item_ids[row]} for row in found.tolist()]
            asked = {
                "user_id": who.user_id,
                "query": text,
                "candidates": candidates,
                "length": PAGE,
                "channel": "app",
            }
            _react(who, host.post("/rank", asked), "search", text, host, rng, day)
    placed = host.post("/ads/decide", {"user_id": who.user_id, "placements": [{"placement_id": "top"}]})
    day.ads += sum(len(place["items"]) for place in placed["placements"])
    return day


def _react(
    who: Shopper,
    answer: Mapping[str, Any],
    surface: str,
    text: str,
    host: Host,
    rng: np.random.Generator,
    day: Day,
) -> None:
    """Look down the page, take what is seen and wanted, and let the events be known."""
    now = time.time_ns() // 1_000_000
    ids = [item["item_id"] for item in answer["items"]]
    looked = rng.random(len(ids)) < LOOKED_AT[: len(ids)]
    events: list[dict[str, Any]] = [
        {
            "type": "impression",
            "query_id": answer["query_id"],
            "surface": surface,
            "channel": "app",
            "user_id": who.user_id,
            "query": text,
            "item_ids": ids,
            "propensities": [item["propensity"] for item in answer["items"]],
            "bundle_id": answer["bundle_id"],
            "time_ms": now,
        }
    ]
    for place, item in enumerate(ids):
        if looked[place] and item in who.wants:
            deed = {
                "type": "interaction",
                "item_id": item,
                "query_id": answer["query_id"],
                "user_id": who.user_id,
            }
            events += [deed | {"kind": kind, "time_ms": now + 1 + place} for kind in ("click", "purchase")]
    told = host.post("/events", events)
    if told["rejected"]:
        raise TrafficError(f"/events rejected {told['rejected'][0]}")
    day.pages += 1
    day.seen += int(looked.sum())
    day.taken += (len(events) - 1) // 2
    day.events += len(events)
