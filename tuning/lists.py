"""Lists of many users at once: what the interest model proposes, less what a surface would not show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import read_lines
from raysys.errors import BundleError
from raysys.events import KINDS, ItemUpdate
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions, asked_in, split
from raysys.interest.scorer import InterestScorer
from raysys.interest.source import NetworkSource
from raysys.state.fold import HIDDEN
from raysys.surfaces.asker import Experts
from raysys.surfaces.feed import as_candidates
from raysys.surfaces.pool import pool_of
from raysys.types import Bools, Floats, Ints, Query, QueryId, Surface


@dataclass(frozen=True, slots=True, kw_only=True)
class Lister:
    """A bundle's interest model over the items as a dataset tells them, for one surface."""

    bundle_id: str
    catalog: Catalog
    interest: InterestScorer
    shown: Bools
    """(I,) what the surface's standing filters let through and is not known to be sold out."""
    drops_hidden: bool
    """Whether the surface keeps what a user asked not to see from that user."""

    @classmethod
    def of(cls, bundle: Bundle, items: list[ItemUpdate], surface: Surface) -> "Lister":
        """With item events applied as a replica applies them.

        Raises:
            BundleError: the bundle has no interest model of ours.
        """
        if not isinstance(bundle.interest, InterestScorer):
            raise BundleError(f"bundle {bundle.id} has no interest model; name a bundle that has one")
        encode = None if bundle.encoder is None else bundle.encoder.encode
        catalog = bundle.catalog.updated(items, encode)
        interest = bundle.interest.with_items(catalog)
        everything = as_candidates(
            Experts(catalog=catalog, interest=None, relevance=None), np.arange(len(catalog))
        )
        query = Query(id=QueryId("export"), surface=surface, time_ms=0, length=1)
        pool = pool_of(query, everything, catalog, bundle.settings, frozenset(), engine=False)
        shown = np.zeros(len(catalog), np.bool_)
        shown[pool.rows] = True
        return cls(
            bundle_id=bundle.id,
            catalog=catalog,
            interest=interest,
            shown=shown,
            drops_hidden=bundle.settings.of(surface).drop_hidden,
        )

    @property
    def network(self) -> NetworkSource | None:
        """The first network; those beside it have other spaces, and only their scores are averaged."""
        return self.interest.network

    def top(self, habits: Habits, hidden: Ints, now_ms: int, length: int) -> tuple[Ints, Floats]:
        """Rows (K,) that this user is likeliest to want, best first, and probabilities (K, E).

        Args:
            hidden: rows that the user asked not to see.
        """
        view = self.interest.view_of(habits, now_ms)
        rows = self.interest.retrieve(view, len(self.catalog), now_ms)
        kept = self.shown[rows]
        if self.drops_hidden:
            kept &= ~np.isin(rows, hidden)
        rows = rows[kept][:length]
        return rows, self.interest.probs(view, rows, now_ms)

    def vector(self, habits: Habits, now_ms: int) -> Floats:
        """The first network's vector (D,) of a user; zero for somebody without known items."""
        assert self.network is not None
        history = habits.history_rows, habits.history_kinds, habits.history_ms
        return self.network.encoder.user_vector(*history, self.network.vectors, now_ms, habits.queries)


@cache
def load_lister(bundle: Path, data: Path, surface: Surface) -> Lister:
    """The lister of a bundle and a dataset, loaded once in each process."""
    return Lister.of(Bundle.load(bundle), read_lines(data / "items.jsonl", ItemUpdate), surface)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one user."""

    user: str
    """The state key."""
    habits: Habits
    hidden: Ints
    """Rows of the catalog that the user asked not to see."""


def known_of(chunk: pl.DataFrame, catalog: Catalog, now_ms: int) -> Iterator[Known]:
    """Everybody in a chunk of whole histories (user, item, kind, time_ms) who did anything before a moment.

    Queries that stand between the interactions, in a column `query`, are known too.

    It is what folding the same events gives, but for the place that an ad's answers take among
    the own items of somebody with more than a thousand.
    """
    chunk = chunk.filter(pl.col("user").is_not_null(), pl.col("time_ms") < now_ms)
    chunk = chunk.with_columns(code=pl.col("user").rle_id())
    chunk, asked = split(chunk)
    chunk = chunk.sort("time_ms", maintain_order=True)
    users = dict(chunk.select("user", "code").unique().iter_rows())
    row = _rows(chunk["item"], catalog)
    events = Interactions(
        user=chunk["code"].to_numpy().astype(np.int64),
        row=row,
        kind=chunk["kind"].replace_strict(dict(zip(KINDS, range(len(KINDS)), strict=True))).to_numpy(),
        time_ms=chunk["time_ms"].to_numpy(),
        queries=asked_in(asked, users),
    )
    names = {code: user for user, code in users.items()}
    hidden = _hidden(events)
    for code, habits in habits_of(events).items():
        unseen = hidden.get(code, np.zeros(0, np.int64))
        yield Known(names[code], _of_catalog(habits, len(catalog)), unseen[unseen < len(catalog)])


def _rows(items: pl.Series, catalog: Catalog) -> Ints:
    """Rows (n,) of items; one that the catalog does not know has a row of its own beyond it.

    A state counts unknown items too: they take places in the history and among the own items.
    """
    names = items.unique(maintain_order=True)
    rows = catalog.rows(names.to_list())
    rows[rows < 0] = len(catalog) + np.arange(int((rows < 0).sum()))
    return np.asarray(items.replace_strict(names, pl.Series(rows), return_dtype=pl.Int64).to_numpy())


def _of_catalog(habits: Habits, items: int) -> Habits:
    """As of a state: own items that the catalog knows, and -1 for the others of the history."""
    own = habits.rows < items
    names = ("rows", "bought", "touched", "slow", "fast", "first_ms", "last_ms")
    kept = {name: getattr(habits, name)[own] for name in names}
    history = np.where(habits.history_rows < items, habits.history_rows, -1)
    return replace(habits, **kept, history_rows=history)


def _hidden(events: Interactions) -> Mapping[int, Ints]:
    """The rows that each user hid, the latest HIDDEN of them."""
    hides = events.where(events.kind == KINDS.index("hide"))
    found = {}
    for user, at in hides.by_user():
        latest = dict.fromkeys(hides.row[at[::-1]].tolist())
        found[user] = np.array(list(latest)[:HIDDEN], np.int64)
    return found
