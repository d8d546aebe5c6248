"""Situations hold what raysys would have known then, and nothing of the day that is asked about."""

import numpy as np
import polars as pl
import pytest

from raysys.behavior.world import START_MS, World
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import Dataset, build
from raysys.dataset.read import of_events
from raysys.errors import DataError
from raysys.events import Interaction, ItemUpdate
from raysys.ranker import Ranker
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.state.protocol import State
from raysys.types import DAY_MS, SURFACES, Candidates, Query, QueryId, UserId
from tests.fakes import FakeInterest, FakePolicy, FakeRelevance
from tuning.situations import SituationSettings, gather, situations_of
from tuning.stand_in import WISHES, MarginSettings, StandInEngine, Wishes

WORLD = World(users=40, items=120)
DAYS = 30
CUT = START_MS + 24 * DAY_MS
END = START_MS + DAYS * DAY_MS
NAMED = SituationSettings(anonymous=0.0, households=0, candidates=20)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Twenty people who buy three things every other day, half of them old favorites."""
    rng = np.random.default_rng(0)
    deeds = [
        Interaction(
            kind="purchase", item_id=WORLD.item_id(item), user_id=WORLD.user_id(user), time_ms=time_ms
        )
        for user in range(20)
        for day in range(user % 2, DAYS, 2)
        for time_ms in [START_MS + day * DAY_MS + user * 60_000]
        for item in {user, *rng.choice(WORLD.items, 2, replace=False).tolist()}
    ]
    return build([of_events(deeds)])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle(
        catalog=Catalog.of(WORLD.catalog()),
        policy=FakePolicy(),
        interest=FakeInterest(WORLD.items),
        relevance=FakeRelevance(),
    )


def without(data: Dataset, keep: pl.Expr) -> Dataset:
    return Dataset(data.interactions.filter(keep), [], data.items, {})


def test_what_happens_later_changes_no_situation(data: Dataset, bundle: Bundle) -> None:
    whole = situations_of(data, bundle, CUT, CUT + DAY_MS, NAMED, 0)
    past = without(data, pl.col("time_ms") < CUT + DAY_MS)
    cut = situations_of(past, bundle, CUT, CUT + DAY_MS, NAMED, 0)
    for name in ("context", "signals", "wish", "bought", "session"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(cut, name), err_msg=name)


def test_a_day_is_not_seen_by_the_situations_of_that_day(data: Dataset, bundle: Bundle) -> None:
    """Whatever else was bought on the day itself, only `bought` and the searches may differ."""
    told = data.interactions.with_columns(
        item=pl.when(pl.col("time_ms") >= CUT).then(pl.lit(WORLD.item_id(7))).otherwise(pl.col("item"))
    )
    other = Dataset(told, [], data.items, {})
    feeds = []
    for source in (data, other):
        found = situations_of(source, bundle, CUT, CUT + DAY_MS, NAMED, 0)
        feeds.append(found.where(found.surface == SURFACES.index("feed")))
    assert len(feeds[0]) > 5
    for name in ("context", "signals", "wish", "present", "margin", "group"):
        np.testing.assert_array_equal(getattr(feeds[0], name), getattr(feeds[1], name), err_msg=name)
    assert (feeds[0].bought != feeds[1].bought).any()


def test_signals_are_those_of_the_request_path(data: Dataset, bundle: Bundle) -> None:
    """The ranker, asked over HTTP's own path with the log up to that day, weighs the same signals."""
    pages = gather(data, bundle, CUT, CUT + DAY_MS, NAMED, 0).pages
    users = sorted(
        data.interactions.filter(pl.col("time_ms").is_between(CUT, CUT + DAY_MS - 1))["user"].unique()
    )
    page = next(page for page in pages if page.surface == "search")
    user = users[page.person]
    past = data.interactions.filter((pl.col("user") == user) & (pl.col("time_ms") < CUT)).sort("time_ms")
    store = MemoryStore()
    store.append(
        [
            Interaction(kind=kind, item_id=item, time_ms=time_ms, user_id=user.removeprefix("u:"))
            for kind, item, time_ms in past.select("kind", "item", "time_ms").iter_rows()
        ],
        CUT,
    )
    ours = bundle.signals.standardize(page.raw)
    now_ms = int(
        data.interactions.filter((pl.col("user") == user) & (pl.col("time_ms") >= CUT))["time_ms"].min()
    )
    ranker = Ranker(bundle, store)
    engine = StandInEngine(bundle.catalog)
    matching = 0
    for text in {path.split("/")[-1] for path in bundle.catalog.categories}:
        rows = engine.search(text, NAMED.candidates)
        query = Query(
            id=QueryId("q"), surface="search", time_ms=now_ms, length=len(rows), text=text,
            user_id=UserId(user.removeprefix("u:")), explain=True,
        )  # fmt: skip
        ranking = ranker.rank(query, Candidates.of([bundle.catalog.item_ids[row] for row in rows]))
        scores = {item.item_id: item.score for item in ranking.items}
        theirs = [scores[bundle.catalog.item_ids[row]] for row in rows]
        mine = ours @ bundle.policy.weights[ranking.profile]
        matching += len(mine) == len(theirs) and bool(
            np.allclose(mine, theirs, atol=5e-3)
        )  # served as float16
    assert matching == 1  # the page's own query and no other


def test_the_same_seed_gives_the_same_situations_and_another_other_people(
    data: Dataset, bundle: Bundle
) -> None:
    few = SituationSettings(households=5, candidates=20)
    first, again, other = (situations_of(data, bundle, CUT, END, few, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.signals, again.signals)
    assert len(np.unique(first.person)) == 5
    assert first.context.shape != other.context.shape or (first.context != other.context).any()


def test_strangers_are_unknown_to_raysys_and_still_want_what_they_want(data: Dataset, bundle: Bundle) -> None:
    nameless = SituationSettings(anonymous=1.0, households=0, candidates=20)
    named, unnamed = (situations_of(data, bundle, CUT, END, s, 0) for s in (NAMED, nameless))
    known = list(named.context_names).index("known")
    assert named.context[:, known].all()
    assert not unnamed.context[:, known].any()
    own = list(named.wish_names).index("own")
    assert unnamed.wish[..., own].any()


def test_ads_have_a_page_of_their_own_with_their_bids(data: Dataset, bundle: Bundle) -> None:
    found = situations_of(data, bundle, CUT, CUT + DAY_MS, NAMED, 0, WORLD.ads())
    ads = found.surface == SURFACES.index("ads")
    assert ads.sum() == (found.surface == SURFACES.index("feed")).sum()
    assert (found.bid[ads].max(axis=1) > 0).all()
    assert not found.bid[~ads].any()
    assert found.signals[ads][..., SIGNALS.index("ad_value")].any()


def test_a_window_in_which_nothing_happened_is_refused(data: Dataset, bundle: Bundle) -> None:
    with pytest.raises(DataError, match="nobody did anything"):
        gather(data, bundle, END + DAY_MS, END + 2 * DAY_MS, NAMED, 0)


def items(*entries: tuple[str, str, str]) -> Catalog:
    return Catalog.of(
        [
            ItemUpdate(item_id=item_id, title=title, category="shop/x", brand=brand, price_micros=1_000_000)
            for item_id, title, brand in entries
        ]
    )


def test_the_stand_in_engine_finds_all_words_and_nothing_else() -> None:
    catalog = items(("a", "green tea", "P"), ("b", "black tea", "P"), ("c", "green tea with much more", "P"))
    engine = StandInEngine(catalog)
    assert engine.search("green tea", 10).tolist() == [0, 2]  # the shorter text is more to the point
    assert engine.search("green tea", 1).tolist() == [0]
    assert engine.search("coffee", 10).tolist() == engine.search("", 10).tolist() == []


def test_margins_are_assumed_only_where_unknown() -> None:
    catalog = items(("a", "tea", "Private"), ("b", "tea", "National"))
    told = catalog.updated([ItemUpdate(item_id="b", margin=0.1)])
    margins, assumed = MarginSettings().assume(told)
    np.testing.assert_allclose(margins.margin, [0.35, 0.1])
    assert assumed == 1


def test_a_wish_is_explained_by_the_persons_own_past() -> None:
    catalog = items(("a", "tea", "P"), ("b", "tea", "N"), ("c", "tea", "P"))
    now = 100 * DAY_MS
    state = State(
        own_items=("a",), own_bought=(3,), own_touched=(0,), own_slow=(2.0,), own_fast=(1.0,),
        own_first_ms=(0,), own_last_ms=(now - 7 * DAY_MS,), own_bought_ms=(now,), history_items=("a",),
    )  # fmt: skip
    wishes = dict(zip(WISHES, Wishes(catalog).of(state, np.array([0, 1, 2]), now).T, strict=True))
    np.testing.assert_allclose(wishes["own"], [np.log1p(3), 0, 0], rtol=1e-6)
    np.testing.assert_allclose(wishes["recency"], [0.5, 0, 0])  # half after a week
    np.testing.assert_allclose(wishes["brand_share"], [1, 0, 1])
    nobody = dict(zip(WISHES, Wishes(catalog).of(None, np.array([0]), now)[0], strict=True))
    assert not any(nobody[name] for name in ("own", "recency", "brand_share", "type_share"))
