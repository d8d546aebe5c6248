"""What purchase data lacks, stood in for: a word-matching engine, assumed margins, and wishes."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError
from raysys.signals import price_fit
from raysys.state.fold import decayed
from raysys.state.protocol import SLOW_DAYS, State
from raysys.text.normalize import words
from raysys.types import DAY_MS, Floats, Ints

WISHES = ("own", "had", "recency", "popularity", "price_fit", "brand_share", "type_share")
"""W: what a person's choice is explained by. None of it comes from the interest model, for a person
who wants what the model predicts would make the model right by definition."""


class StandInEngine:
    """A host's search engine: items with all words of the query, popular and to the point first."""

    def __init__(self, catalog: Catalog) -> None:
        places = defaultdict(list)
        lengths = np.ones(len(catalog))
        for row in range(len(catalog)):
            bag = set(words(catalog.text(row)))
            lengths[row] = max(len(bag), 1)
            for word in bag:
                places[word].append(row)
        self._places = {word: np.array(rows, np.int64) for word, rows in places.items()}
        self._popular = np.log1p(np.asarray(catalog.popularity, np.float64))
        self._lengths = lengths
        self._found: dict[str, Ints] = {}

    @property
    def standing(self) -> Floats:
        """(I,) what orders items that all have the words of a query."""
        return np.asarray((1.0 + self._popular) / np.sqrt(self._lengths))

    def search(self, text: str, length: int) -> Ints:
        """Rows of up to `length` items, best first."""
        if text not in self._found:
            self._found[text] = self._ranked(set(words(text)))
        return self._found[text][:length]

    def _ranked(self, asked: set[str]) -> Ints:
        rows: Ints | None = None
        for word in asked:
            found = self._places.get(word, np.zeros(0, np.int64))
            rows = found if rows is None else np.intersect1d(rows, found, assume_unique=True)
        if rows is None:
            return np.zeros(0, np.int64)
        return np.asarray(rows[np.argsort(-self.standing[rows], kind="stable")])


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginSettings:
    """What a shop is assumed to keep of a price where the data does not say."""

    private_label: float = 0.35
    national: float = 0.25

    def __post_init__(self) -> None:
        for name in ("private_label", "national"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected a share of the price, 0 to 1")

    def assume(self, catalog: Catalog) -> tuple[Catalog, int]:
        """The catalog with every unknown margin assumed, and how many those are."""
        unknown = ~np.isfinite(catalog.margin)
        private = np.array([brand.casefold() == "private" for brand in catalog.brands], np.bool_)
        told = np.where(private, self.private_label, self.national)
        margin = np.where(unknown, told, catalog.margin).astype(np.float32)
        return replace(catalog, margin=margin), int(unknown.sum())


class Wishes:
    """What explains a person's choice among items, from the catalog and that person's past alone."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.types = codes([kind(path) for path in catalog.categories])
        """(I,) the product type of each item."""
        self._brands = codes(list(catalog.brands))

    def of(self, state: State | None, rows: Ints, now_ms: int) -> Floats:
        """The wish features (C, W) float32 of the items at `rows` (C,), none of them -1."""
        state = state or State()
        own = self._catalog.rows(state.own_items)
        known = own >= 0
        counts = np.add(state.own_bought, state.own_touched)[known] if len(own) else np.zeros(0)
        last = np.asarray(state.own_last_ms, np.float64)[known]
        mass = np.array(
            [
                decayed(value, then, now_ms, SLOW_DAYS)
                for value, then in zip(state.own_slow, state.own_last_ms, strict=True)
            ]
        ).reshape(-1)[known]
        own = own[known]
        place = np.full(len(self._catalog), -1)
        place[own] = np.arange(len(own))
        at = place[rows]
        mine = at >= 0
        log_own, recency = np.zeros(len(rows)), np.zeros(len(rows))
        log_own[mine] = np.log1p(counts[at[mine]])
        recency[mine] = 1.0 / (1.0 + np.maximum(now_ms - last[at[mine]], 0.0) / (7 * DAY_MS))
        touched = self._catalog.take("price_micros", self._catalog.rows(state.history_items))
        fit = price_fit(self._catalog.take("price_micros", rows), touched)
        columns = (
            log_own,
            mine.astype(np.float64),
            recency,
            np.log1p(self._catalog.take("popularity", rows)),
            np.nan_to_num(fit, nan=0.0),
            _share(self._brands, own, mass)[rows],
            _share(self.types, own, mass)[rows],
        )
        return np.stack(columns, axis=1).astype(np.float32)


def kind(category: str) -> str:
    """The last part of a category path: the product type."""
    return category.rsplit("/", 1)[-1]


def codes(names: list[str]) -> Ints:
    """Names as small numbers (n,)."""
    return np.asarray(np.unique(np.array(names, object), return_inverse=True)[1])


def _share(code: Ints, own: Ints, mass: Floats) -> Floats:
    """(I,) the share of a person's past that has the code of each item."""
    total = max(float(mass.sum()), 1e-9)
    return np.asarray((np.bincount(code[own], mass, minlength=int(code.max(initial=0)) + 1) / total)[code])
