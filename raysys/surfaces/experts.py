"""What a ranking needs from its experts, whoever implements them."""

from collections.abc import Sequence
from typing import Any, Protocol

from raysys.catalog import Catalog
from raysys.events import AdUpdate
from raysys.state.protocol import State
from raysys.text.keywords import QueryClass
from raysys.types import Floats, Ints, Surface


class Interest(Protocol):
    """What would this person do with this item? See `raysys.interest.scorer`."""

    @property
    def kinds(self) -> tuple[str, ...]: ...
    @property
    def primary(self) -> str: ...
    def view(self, state: State | None, catalog: Catalog, now_ms: int) -> Any: ...
    def probs(self, view: Any, rows: Ints, now_ms: int) -> Floats: ...
    def repeat(self, view: Any, rows: Ints, now_ms: int) -> Floats: ...
    def uncertainty(self, view: Any, rows: Ints) -> Floats: ...
    def retrieve(self, view: Any, length: int, now_ms: int) -> Ints: ...
    def similar(self, row: int, length: int) -> Ints: ...
    def trending(self, length: int) -> Ints: ...
    def with_items(self, catalog: Catalog) -> "Interest": ...


class Relevance(Protocol):
    """Does this item answer this query? See `raysys.relevance.scorer`."""

    def scores(self, text: str, vector: Floats | None, rows: Ints, catalog: Catalog) -> Floats: ...
    def of_texts(
        self, text: str, vector: Floats | None, texts: Sequence[str], vectors: Floats | None
    ) -> Floats: ...


class Chosen(Protocol):
    """A profile that the policy chose."""

    @property
    def profile(self) -> int: ...
    @property
    def prob(self) -> float: ...
    @property
    def weights(self) -> Floats: ...


class Chooser(Protocol):
    """Which profile pays off here? See `raysys.policy.scorer`."""

    @property
    def id(self) -> str: ...
    @property
    def signals(self) -> tuple[str, ...]: ...
    @property
    def weights(self) -> Floats: ...
    @property
    def temperature(self) -> float: ...
    def choose(self, context: Floats, surface: Surface, noise: Floats) -> Chosen: ...


class Encoder(Protocol):
    """Texts to vectors. See `raysys.text.encoder`."""

    def encode(self, texts: Sequence[str]) -> Floats: ...
    def cached(self, text: str) -> Floats | None: ...


class Classes(Protocol):
    """How often a query is asked. See `raysys.text.keywords`."""

    def query_class(self, text: str) -> QueryClass: ...


class Response(Protocol):
    """Does this person respond to these ads? See `raysys.ads.scorer`."""

    def probs(self, state: State | None, ads: Sequence[AdUpdate]) -> Floats: ...
