"""Situations from a dataset: what people were looking for on a day, and what raysys would have known.

A session is one person's day. Its steps are a page of the feed, a page of ads if there are any,
and a search for each product type that was bought that day. The signals are those of the
request path, from the state as of before that day.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from tqdm import tqdm

from raysys.ads.inventory import Inventory
from raysys.behavior.situations import Situations
from raysys.bundle import Bundle
from raysys.dataset.build import Dataset
from raysys.errors import DataError
from raysys.events import KINDS, AdUpdate, Interaction
from raysys.policy.context import CONTEXT, context_vector
from raysys.signals import SignalConstants
from raysys.state.fold import ACQUIRED, fold
from raysys.state.protocol import State
from raysys.surfaces.asker import Asker, Experts, person_of
from raysys.surfaces.feed import as_candidates, feed_rows
from raysys.surfaces.judge import Judge
from raysys.surfaces.offers import offers_of
from raysys.surfaces.settings import SurfaceSettings
from raysys.types import (
    DAY_MS,
    MICROS,
    SURFACES,
    Candidates,
    Floats,
    Ints,
    Query,
    QueryId,
    Surface,
    UserId,
)
from tuning.stand_in import WISHES, StandInEngine, Wishes, kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationSettings:
    """How situations are made where the data leaves it open; all of it is assumed."""

    households: int = 300
    """So many people, drawn by the seed; 0 is everybody."""
    candidates: int = 48
    """C, candidates of a page."""
    steps: int = 6
    """Pages of a session at most; which product types are searched for is drawn."""
    anonymous: float = 0.2
    """Share of the sessions in which nobody says who they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One step of a session, before its signals are standardized."""

    surface: Surface
    context: Floats
    """(F,)"""
    raw: Floats
    """(C, S), NaN where unknown."""
    wish: Floats
    """(C, W)"""
    margin: Floats
    """(C,) what the shop keeps of a sale, in account currency; 0 if unknown."""
    bid: Floats
    """(C,) what an advertiser pays, in account currency; 0 off the ads surface."""
    group: Ints
    """(C,) product type; -1 if the item is unknown."""
    bought: Floats
    """(C,) whether it was bought that day."""
    person: int
    session: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Pages of many sessions, in order."""

    pages: Sequence[Page]
    missed: float
    """Share of the search pages on which nothing that was bought is among the candidates."""

    def raw(self) -> Floats:
        """Raw signals (n, S) of all candidates, for `SignalConstants.measure`."""
        return np.concatenate([page.raw for page in self.pages])

    def situations(self, constants: SignalConstants) -> Situations:
        """All pages as arrays, with signals standardized by `constants`."""
        width = max(len(page.raw) for page in self.pages)

        def column(values: Callable[[Page], Floats | Ints], dtype: type, empty: float = 0) -> Floats:
            first = np.asarray(values(self.pages[0]))
            padded = np.full((len(self.pages), width, *first.shape[1:]), empty, dtype)
            for number, page in enumerate(self.pages):
                padded[number, : len(page.raw)] = values(page)
            return padded

        return Situations(
            surface=np.array([SURFACES.index(page.surface) for page in self.pages]),
            context=np.stack([page.context for page in self.pages]),
            context_names=CONTEXT,
            signals=column(lambda page: constants.standardize(page.raw), np.float32),
            present=column(lambda page: np.ones(len(page.raw)), np.bool_),
            wish=column(lambda page: page.wish, np.float32),
            wish_names=WISHES,
            margin=column(lambda page: page.margin, np.float32),
            bid=column(lambda page: page.bid, np.float32),
            group=column(lambda page: page.group, np.int64, -1),
            bought=column(lambda page: page.bought, np.bool_),
            person=np.array([page.person for page in self.pages]),
            session=np.array([page.session for page in self.pages]),
        )


def situations_of(
    data: Dataset,
    bundle: Bundle,
    from_ms: int,
    to_ms: int,
    settings: SituationSettings,
    seed: int,
    ads: Sequence[AdUpdate] = (),
) -> Situations:
    """The situations of [from_ms, to_ms), with the bundle's own signal constants."""
    return gather(data, bundle, from_ms, to_ms, settings, seed, ads).situations(bundle.signals)


def gather(
    data: Dataset,
    bundle: Bundle,
    from_ms: int,
    to_ms: int,
    settings: SituationSettings,
    seed: int,
    ads: Sequence[AdUpdate] = (),
) -> Pages:
    """The pages of all sessions in [from_ms, to_ms).

    Args:
        bundle: fitted on what happened before `from_ms`; its catalog counts nothing later.

    Raises:
        DataError: nobody did anything in that time.
    """
    inside = pl.col("time_ms").is_between(from_ms, to_ms, closed="left")
    active = sorted(data.interactions.filter(inside)["user"].drop_nulls().unique())
    if not active:
        raise DataError(f"nobody did anything between {from_ms} and {to_ms}; choose another window")
    rng = np.random.default_rng([seed, 0])
    size = min(settings.households or len(active), len(active))
    chosen = [active[place] for place in sorted(rng.choice(len(active), size, replace=False).tolist())]
    shop = _Shop(bundle, settings, ads, seed)
    events = data.interactions.filter(pl.col("user").is_in(chosen)).sort("time_ms", "item")
    people = events.partition_by("user", as_dict=True)
    pages: list[Page] = []
    for person, user in enumerate(tqdm(chosen, desc="situations", unit="person", mininterval=1.0)):
        for state, day in _days(people[(user,)], from_ms, to_ms):
            pages += shop.session(user, person, pages[-1].session + 1 if pages else 0, state, day)
    searched = [page for page in pages if page.surface == "search"]
    missed = np.mean([not page.bought.any() for page in searched]) if searched else 0.0
    if not pages:
        raise DataError("no session has a page with two candidates or more; is the catalog the data's?")
    return Pages(pages=pages, missed=float(missed))


def _days(events: pl.DataFrame, from_ms: int, to_ms: int) -> Iterator[tuple[State | None, list[Interaction]]]:
    """Each day of a person in the window, with the state from everything before that day."""
    state: State | None = None
    version = 0
    for _, day in events.filter(pl.col("time_ms") < to_ms).group_by(
        pl.col("time_ms") // DAY_MS, maintain_order=True
    ):
        deeds = [
            Interaction(kind=kind_, item_id=item, time_ms=time_ms, value=value)
            for kind_, item, time_ms, value in day.select("kind", "item", "time_ms", "value").iter_rows()
        ]
        if deeds[0].time_ms >= from_ms:
            yield state, deeds
        for deed in deeds:
            version += 1
            state = fold(state, deed, version)


class _Shop:
    """A bundle asked as the request path asks it."""

    def __init__(
        self, bundle: Bundle, settings: SituationSettings, ads: Sequence[AdUpdate], seed: int
    ) -> None:
        interest = None if bundle.interest is None else bundle.interest.with_items(bundle.catalog)
        self._experts = Experts(catalog=bundle.catalog, interest=interest, relevance=bundle.relevance)
        self._bundle, self._settings, self._ads, self._seed = bundle, settings, Inventory.of(ads), seed
        self._judge = Judge(bundle, seed)
        self._engine = StandInEngine(bundle.catalog)
        self._wishes = Wishes(bundle.catalog)
        wanted = ACQUIRED if bundle.interest is None else ACQUIRED | {bundle.interest.primary}
        self._wanted = frozenset(wanted & set(KINDS))
        size = settings.candidates
        self._feed = SurfaceSettings(retrieve=size // 2, trending=size // 4, own=size // 4)

    def session(
        self, user: str, person: int, session: int, state: State | None, day: Sequence[Interaction]
    ) -> list[Page]:
        """The pages of one person's day; `state` is from before it."""
        now_ms = day[0].time_ms
        rng = np.random.default_rng([self._seed, 1, person, now_ms])
        rows = self._bundle.catalog.rows([deed.item_id for deed in day if deed.kind in self._wanted])
        bought = np.unique(rows[rows >= 0])
        known = None if rng.random() < self._settings.anonymous else state
        who = person_of(self._experts.interest, self._experts.catalog, known, now_ms)
        asker = Asker(self._experts, known, who, set())
        pages = []
        for step, (surface, text) in enumerate(self._steps(bought, rng)):
            query = Query(
                id=QueryId(f"{session}/{step}"),
                surface=surface,
                time_ms=now_ms,
                length=self._settings.candidates,
                user_id=UserId(user.removeprefix("u:")) if known is not None else None,
                text=text,
            )
            page = self._page(query, asker, state, bought, person, session)
            if page is not None:
                pages.append(page)
        return pages

    def _steps(self, bought: Ints, rng: np.random.Generator) -> list[tuple[Surface, str]]:
        types = sorted({kind(self._bundle.catalog.categories[row]) for row in bought.tolist()} - {""})
        first: list[tuple[Surface, str]] = [("feed", "")]
        if len(self._ads):
            first.append(("ads", ""))
        searches: list[tuple[Surface, str]] = [("search", types[n]) for n in rng.permutation(len(types))]
        return (first + searches)[: self._settings.steps]

    def _page(
        self,
        query: Query,
        asker: Asker,
        state: State | None,
        bought: Ints,
        person: int,
        session: int,
    ) -> Page | None:
        """A page as it would be judged now; None if there is nothing to choose from.

        Args:
            asker: what raysys knows; nothing of the person in a session without a name.
            state: what is true of the person either way.
        """
        candidates, bids, worth = self._candidates(query, asker)
        pool = self._judge.pool(query, candidates, asker, engine=query.surface == "search")
        if len(pool.rows) < 2:
            return None
        worth = None if worth is None else worth[pool.places]
        raw, _ = self._judge.predict(query, pool, asker, None, worth)
        query_class = "none" if self._bundle.classes is None else self._bundle.classes.query_class(query.text)
        catalog, rows = self._experts.catalog, pool.rows
        kept = catalog.take("margin", rows) * catalog.take("price_micros", rows) / MICROS
        at = np.maximum(rows, 0)
        return Page(
            surface=query.surface,
            context=context_vector(query, asker.state, query_class),
            raw=raw,
            wish=self._wishes.of(state, at, query.time_ms) * (rows >= 0)[:, None],
            margin=np.nan_to_num(kept, nan=0.0),
            bid=bids[pool.places],
            group=np.where(rows >= 0, self._wishes.types[at], -1),
            bought=np.isin(rows, bought),
            person=person,
            session=session,
        )

    def _candidates(self, query: Query, asker: Asker) -> tuple[Candidates, Floats, Floats | None]:
        """Candidates with their bids (C,) in account currency and, for ads, their worth (C,) in micros."""
        size = self._settings.candidates
        if query.surface == "ads":
            rows = self._ads.eligible(query, asker.state)[:size]
            offers = offers_of(self._ads, rows, self._bundle.response, asker, query.time_ms)
            bids = np.array([ad.bid_micros / MICROS for ad in offers.ads])
            return offers.candidates(), bids, offers.value_micros
        if query.surface == "feed":
            rows = feed_rows(self._experts, asker.person, asker.state, query, self._feed, ())[:size]
        else:
            rows = self._engine.search(query.text, size)
        return as_candidates(self._experts, rows), np.zeros(len(rows)), None
