"""Small experts with answers that can be computed by hand, for tests of what is built on them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from raysys.ads.inventory import Inventory
from raysys.bundle import Bundle
from raysys.catalog import TEXT_WIDTH, Catalog
from raysys.errors import PartError
from raysys.events import ItemUpdate
from raysys.signals import SIGNALS, SignalConstants
from raysys.state.protocol import State
from raysys.types import Floats, Ints, ItemId, Query, QueryId, Surface, Understood, Wording

NOW_MS = 1_700_000_000_000


def encode_texts(texts: Sequence[str]) -> Floats:
    """Unit rows (n, 384) that depend on each text alone."""
    rows = []
    for text in texts:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        rows.append(np.random.default_rng(seed).normal(size=TEXT_WIDTH))
    vectors = np.array(rows).reshape(len(texts), TEXT_WIDTH)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def item(item_id: str, **fields: Any) -> ItemUpdate:
    return ItemUpdate(item_id=item_id, **{"title": f"the {item_id}", **fields})


def shop(size: int = 12) -> Catalog:
    """Items i0, i1, …: two brands in turn, three categories, rising prices."""
    items = [
        item(
            f"i{n}",
            brand=("acme", "bolt")[n % 2],
            category=("grocery/dairy", "grocery/bread", "tools")[n % 3],
            price_micros=(n + 1) * 1_000_000,
            margin=0.1 + 0.02 * n,
            time_ms=NOW_MS - n * 86_400_000,
        )
        for n in range(size)
    ]
    return Catalog.of(items, encode_texts)


class Folder:
    """Saves nothing but the fact that it was there."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "fake.json").write_bytes(msgspec.json.encode(type(self).__name__))

    @classmethod
    def load(cls, folder: Path) -> Any:
        return cls()


class FakeInterest(Folder):
    """Likes what the person touched (0.9) and otherwise later rows more."""

    kinds = ("click", "purchase")
    primary = "purchase"

    def __init__(self, size: int = 12, *, broken: bool = False) -> None:
        self.size, self.broken = size, broken

    def view(self, state: State | None, catalog: Catalog, now_ms: int) -> Any:
        if self.broken:
            raise PartError("interest", "broken on purpose")
        return catalog.rows(state.history_items) if state is not None else np.zeros(0, np.int64)

    def probs(self, view: Any, rows: Ints, now_ms: int, *, asked: bool = False) -> Floats:
        prob = np.where(np.isin(rows, view), 0.9, 0.1 + 0.3 * rows / max(self.size, 1))
        prob = np.where(rows < 0, np.nan, prob)
        return np.stack([prob, prob], axis=1).astype(np.float32)

    def repeat(self, view: Any, rows: Ints, now_ms: int) -> Floats:
        return np.isin(rows, view).astype(np.float32)

    def uncertainty(self, view: Any, rows: Ints) -> Floats:
        return np.full(len(rows), 1.0 / (1 + len(view)), np.float32)

    def retrieve(self, view: Any, length: int, now_ms: int) -> Ints:
        return np.arange(self.size)[::-1][:length]

    def similar(self, row: int, length: int) -> Ints:
        return np.argsort(np.abs(np.arange(self.size) - row), kind="stable")[:length]

    def trending(self, length: int) -> Ints:
        return np.arange(self.size)[:length]

    def with_items(self, catalog: Catalog, retold: Ints | None = None) -> "FakeInterest":
        return FakeInterest(len(catalog), broken=self.broken)


class FakeRelevance(Folder):
    """Share of the query's words that a text has."""

    def scores(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> Floats:
        return self.of_texts(text, vector, [catalog.wording(row) for row in rows.tolist()], None)

    def of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[Wording], vectors: Floats | None
    ) -> Floats:
        words = set(text.lower().split())
        return np.array([len(words & set(t.text.lower().split())) / len(words) for t in texts], np.float32)

    def understood(self, text: str) -> Understood:
        return Understood(words=tuple(text.lower().split()))

    def notes(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> list[str]:
        return ["as a fake sees it"] * len(rows)

    def notes_of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[Wording], vectors: Floats | None
    ) -> list[str]:
        return ["as a fake sees it"] * len(texts)


class FakeEncoder(Folder):
    """Counts what it was asked."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[str] = []
        self.broken = broken

    def encode(self, texts: Sequence[str]) -> Floats:
        if self.broken:
            raise PartError("encoder", "broken on purpose")
        self.asked += texts
        return encode_texts(texts)

    def cached(self, text: str) -> Floats | None:
        return encode_texts([text])[0] if text in self.asked else None


class FakeCrossEncoder(Folder):
    """Says of every text what its letters say, and has half a say."""

    def __init__(self, *, broken: bool = False) -> None:
        self.asked: list[tuple[str, str]] = []
        self.broken = broken

    def relevance(self, query: str, texts: Sequence[str]) -> Floats:
        if self.broken:
            raise PartError("cross_encoder", "broken on purpose")
        self.asked += [(query, text) for text in texts]
        return np.array([(sum(map(ord, query + text)) % 101) / 100 for text in texts])

    def cached(self, query: str, text: str) -> float | None:
        known = (query, text) in self.asked
        return (sum(map(ord, query + text)) % 101) / 100 if known else None

    @staticmethod
    def blend(plain: Floats, close: Floats) -> Floats:
        return 0.5 * plain + 0.5 * close


@dataclass
class FakeChoice:
    profile: int
    prob: float
    weights: Floats


class FakePolicy(Folder):
    """Two profiles, the second a tenth as strong; the noise alone chooses."""

    id = "0123456789ab"
    signals = SIGNALS

    def __init__(self, weights: dict[str, float] | None = None, temperature: float = 0.2) -> None:
        named = {"engine": 1.0, "interest": 1.0, "relevance": 0.5, "repeat": 0.3, "ad_value": 1.0}
        named = named if weights is None else weights
        first = np.array([named.get(name, 0.0) for name in SIGNALS])
        self.weights = np.stack([first, first / 10])
        self.temperature = temperature

    def choose(self, context: Floats, surface: Surface, noise: Floats) -> FakeChoice:
        profile = int(np.argmax(noise))
        return FakeChoice(profile, 0.5, self.weights[profile])

    def probs(self, context: Floats, surface: Surface) -> Floats:
        return np.full(2, 0.5)


class FakeResponse(Folder):
    """Everybody responds to everything one time in ten."""

    def probs(self, state: State | None, ads: Inventory, rows: Ints, now_ms: int) -> Floats:
        return np.full(len(rows), 0.1)


READERS = {
    "interest": FakeInterest.load,
    "relevance": FakeRelevance.load,
    "policy": lambda folder: FakePolicy(),
    "encoder": FakeEncoder.load,
    "cross_encoder": FakeCrossEncoder.load,
    "response": FakeResponse.load,
}


def bundle(**parts: Any) -> Bundle:
    """A bundle of fakes; `parts` replace some of them."""
    made: dict[str, Any] = {
        "catalog": shop(),
        "policy": FakePolicy(),
        "signals": SignalConstants.default(),
        "interest": FakeInterest(),
        "relevance": FakeRelevance(),
        "encoder": FakeEncoder(),
        "response": FakeResponse(),
    }
    return Bundle(**{**made, **parts})


def ask(surface: Surface = "search", **fields: Any) -> Query:
    """A query of user ann, at NOW_MS, for 10 items."""
    plain: dict[str, Any] = {"id": QueryId("q1"), "time_ms": NOW_MS, "length": 10, "user_id": "ann"}
    return Query(surface=surface, **{**plain, **fields})


def ids(*names: str) -> tuple[ItemId, ...]:
    return tuple(ItemId(name) for name in names)
