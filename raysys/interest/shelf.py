"""What is known of every item whoever asks: where it stands, how it sells, how often it is needed again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from raysys.catalog import Catalog
from raysys.interest.interactions import Interactions, popularity
from raysys.types import DAY_MS, Bools, Floats, Ints

PLACES = ("top", "parent", "leaf", "brand", "leaf_brand")
"""Groups an item belongs to: ends of its category path, its brand, and its brand within the leaf."""
TOP, PARENT, LEAF, BRAND, LEAF_BRAND = range(len(PLACES))
RECENT_DAYS = 28.0
COUNTED = ("recent", "again", "gap_days")
"""What is counted of every item; of those that came later it is nothing, or the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sales:
    """How the items of the log sold, as of its end; items that came later have no row."""

    recent: Floats
    """(I,) decayed count with a half-life of RECENT_DAYS."""
    again: Floats
    """(I,) share of its buyers who came back for it, shrunk to the mean."""
    gap_days: Floats
    """(I,) usual days between two purchases by one person, shrunk to the mean."""
    taken: Bools
    """(I,) whether anybody took it at all."""

    @classmethod
    def of(cls, events: Interactions, items: int, now_ms: int) -> Self:
        """From a log before `now_ms`."""
        cell, place = np.unique(events.user * items + events.row, return_inverse=True)
        row = cell % items
        day = events.time_ms // DAY_MS
        last, first = np.full(len(cell), -1), np.full(len(cell), np.iinfo(np.int64).max)
        np.maximum.at(last, place, day)
        np.minimum.at(first, place, day)
        back = last > first
        visits = np.bincount(place, minlength=len(cell))
        buyers, came = (np.bincount(row, values, minlength=items) for values in (np.ones(len(row)), back))
        span = np.bincount(row, np.where(back, last - first, 0), minlength=items)
        steps = np.bincount(row, np.where(back, visits - 1, 0), minlength=items)
        share = came.sum() / max(buyers.sum(), 1.0)
        usual = span.sum() / max(steps.sum(), 1.0)
        return cls(
            recent=popularity(events, items, now_ms, RECENT_DAYS),
            again=((came + 10 * share) / (buyers + 10)).astype(np.float32),
            gap_days=((span + 10 * usual) / (steps + 10)).astype(np.float32),
            taken=buyers > 0,
        )

    def save(self, folder: Path) -> None:
        for name in self.__slots__:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**{name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in cls.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The items of one catalog, new ones included: groups as small numbers, and columns of facts."""

    codes: Ints
    """(len(PLACES), I)"""
    sizes: tuple[int, ...]
    """How many groups each kind of place has."""
    facts: Floats
    """(I, len(FACTS))"""
    price_ratio: Floats
    """(I,) log of the price over the usual price of the leaf; 0 if unknown."""
    popular: Ints
    """The rows that sold of late, the most popular first."""
    untaken: Bools
    """(I,) which nobody had taken when the log was learned from."""

    @classmethod
    def of(cls, catalog: Catalog, sales: Sales) -> Self:
        """The shelf of `catalog`; the first items of it are those that `sales` counted."""
        codes = _codes(catalog)
        size, counted = len(catalog), len(sales.recent)
        columns = {name: np.full(size, 0.0) for name in COUNTED}
        for name, column in columns.items():
            known = getattr(sales, name)
            column[:counted] = known[:size]
            column[counted:] = 0.0 if name == "recent" else float(np.mean(known)) if counted else 0.0
        slow = np.asarray(catalog.popularity, np.float64)
        recent, leaf = columns["recent"], codes[LEAF]
        leaf_recent = np.bincount(leaf, recent, minlength=1)[leaf] if size else recent
        price = np.log(np.where(catalog.price_micros > 0, catalog.price_micros, np.nan))
        ratio = np.nan_to_num(price - _mean_of_group(price, leaf)) if size else price
        trend = np.log((recent + 1.0) / (slow * RECENT_DAYS / 112.0 + 1.0))
        facts = (
            np.log1p(slow),
            np.log1p(recent),
            trend,
            recent / np.maximum(leaf_recent, 1e-9),
            columns["again"],
            np.log1p(columns["gap_days"]),
            np.nan_to_num(price),
            ratio,
        )
        sizes = tuple(int(code.max(initial=-1)) + 1 for code in codes)
        popular = np.argsort(-recent, kind="stable")[: int((recent > 0).sum())]
        untaken = np.ones(size, np.bool_)
        untaken[:counted] = ~sales.taken[:size]
        return cls(
            codes=codes,
            sizes=sizes,
            facts=np.stack(facts, axis=1),
            price_ratio=ratio,
            popular=popular,
            untaken=untaken,
        )

    def __len__(self) -> int:
        return len(self.facts)

    def as_new(self) -> "Shelf":
        """The same items as if nobody had taken any of them: prices and groups stay."""
        facts = self.facts.copy()
        for name in ("popularity", "recent", "trend", "share_in_leaf"):
            facts[:, FACTS.index(name)] = 0.0
        for name in ("again", "item_gap"):
            column = facts[:, FACTS.index(name)]
            column[:] = column[self.untaken].mean() if self.untaken.any() else column.mean()
        return replace(self, facts=facts, untaken=np.ones(len(self), np.bool_))

    def near(self, groups: Sequence[Floats]) -> Bools:
        """(I,) whether a person with `groups` (see `UserView`) has taken something of an item's leaf."""
        return np.asarray(groups[LEAF][self.codes[LEAF], 1] > 0)


FACTS = ("popularity", "recent", "trend", "share_in_leaf", "again", "item_gap", "price", "price_ratio")


def _codes(catalog: Catalog) -> Ints:
    """(len(PLACES), I) groups of each item as small numbers."""
    if not len(catalog):
        return np.zeros((len(PLACES), 0), np.int64)
    paths = catalog.categories
    columns = (
        [path.split("/", 1)[0] for path in paths],
        [path.rsplit("/", 1)[0] for path in paths],
        list(paths),
        list(catalog.brands),
        [f"{path}\n{brand}" for path, brand in zip(paths, catalog.brands, strict=True)],
    )
    return np.stack([np.unique(np.array(column), return_inverse=True)[1] for column in columns])


def _mean_of_group(values: Floats, group: Ints) -> Floats:
    """The mean (I,) of each item's group, over values that are known; NaN for groups without any."""
    known = np.isfinite(values)
    total = np.bincount(group[known], values[known], minlength=int(group.max()) + 1)
    count = np.bincount(group[known], minlength=int(group.max()) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((total / count)[group])
