"""Who asks, and against what: one consistent picture for the length of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import Part
from raysys.state.protocol import State
from raysys.surfaces.experts import Interest, Relevance
from raysys.types import Floats, ItemId


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """The catalog and the experts as they stand now; one reference, swapped whole."""

    catalog: Catalog
    interest: Interest | None
    relevance: Relevance | None
    serial: int = 0
    """Grows at every swap."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who is asking, as the experts see them; kept as long as neither state nor items change."""

    view: Any
    """The interest model's view, None where it could not be had."""
    touched_micros: Floats
    """(H,) prices of what the person touched lately, NaN where unknown."""


def person_of(interest: Interest | None, catalog: Catalog, state: State | None, now_ms: int) -> Person:
    """The person behind `state`."""
    rows = catalog.rows(state.history_items) if state is not None else np.zeros(0, np.int64)
    view = interest.view(state, catalog, now_ms) if interest is not None else None
    return Person(view, catalog.take("price_micros", rows))


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks and against what: one consistent picture for the length of a request."""

    experts: Experts
    state: State | None
    person: Person
    missing: set[Part]
    """Parts that this answer does without; grows as parts fail."""
    worth: Mapping[ItemId, float] | None = None
    """What advertisers pay for a showing of their items, in micros; None where nobody has looked."""

    @property
    def state_version(self) -> int:
        return 0 if self.state is None else self.state.version

    @property
    def hidden(self) -> frozenset[str]:
        return frozenset() if self.state is None else frozenset(self.state.hidden)

    @property
    def degraded(self) -> tuple[Part, ...]:
        return tuple(sorted(self.missing))
