"""Items that nobody has taken yet: made new they look new, and they are ranked fairly beside known ones."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import KINDS, ItemUpdate
from raysys.interest.cold import told_by_others
from raysys.interest.content import Content
from raysys.interest.examples import Examples
from raysys.interest.features import FEATURES, SOURCES, features
from raysys.interest.fit import InterestConfig, counted, fit_interest, learn_partners
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.newness import BELIEF, SHARE, Newness, worth
from raysys.interest.recall import RecallSizes
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import Sales
from raysys.types import DAY_MS, Floats

ITEMS, USERS, DAYS, TASTES = 600, 120, 60, 4
WEEK = 7 * DAY_MS
NOW = DAYS * DAY_MS
CONFIG = InterestConfig(
    kinds=("purchase",),
    primary="purchase",
    windows=2,
    asked=2,
    sizes=RecallSizes(source=40, popular=40, leaf=40),
)


BEGIN = np.random.default_rng(5).permutation(np.linspace(-40.0, DAYS + 6.0, ITEMS))
"""Days on which the items of a growing shop come, in any order of rows."""


def catalog_of(size: int, begin: Floats | None = None) -> Catalog:
    """Items of TASTES leaves; the day of those that came after the first is told."""
    days = np.zeros(size) if begin is None else np.maximum(begin, 0.0)
    return Catalog.of(
        [
            ItemUpdate(
                item_id=f"i{n}",
                title=f"a {n % TASTES} thing",
                category=f"c{n % TASTES}",
                time_ms=int(day * DAY_MS),
            )
            for n, day in enumerate(days.tolist())
        ]
    )


def log_of(begin: Floats) -> Interactions:
    """Everybody takes something of their taste every third day, from day `begin` (I,) of it on."""
    rng = np.random.default_rng(3)
    lines = []
    for day in range(DAYS + 7):
        for user in np.flatnonzero(rng.random(USERS) < 1 / 3).tolist():
            there = np.flatnonzero((begin <= day) & (np.arange(len(begin)) % TASTES == user % TASTES))
            if len(there):
                lines.append((day * DAY_MS + user, user, int(rng.choice(there))))
    times, users, rows = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    kind = np.full(len(times), KINDS.index("purchase"))
    return Interactions(user=users, row=rows, kind=kind, time_ms=times)


@pytest.fixture(scope="module")
def growing() -> Interactions:
    """A shop that gets seven or eight items a day; and a week that nobody knows yet."""
    return log_of(BEGIN)


@pytest.fixture(scope="module")
def closed() -> Interactions:
    """A shop that got nothing new since its first day, and a tenth of whose items nobody ever took."""
    return log_of(np.where(np.arange(ITEMS) < 0.9 * ITEMS, 0.0, np.inf))


@pytest.fixture(scope="module")
def scorer(growing: Interactions) -> InterestScorer:
    return fit_interest(growing.before(NOW), catalog_of(ITEMS, BEGIN), CONFIG).scorer


@pytest.fixture(scope="module")
def people(growing: Interactions) -> Mapping[int, Habits]:
    return habits_of(growing.before(NOW))


def test_an_item_made_new_looks_as_if_nobody_had_taken_it(growing: Interactions) -> None:
    """Beside a model that learned from a log without it: the same to the last column, but for rounding."""
    log, row = growing.before(NOW), 8
    left = log.where(log.row != row)
    known, without = (
        InterestScorer(
            kinds=CONFIG.kinds,
            primary=CONFIG.primary,
            partners=learn_partners(one, catalog_of(ITEMS), NOW, CONFIG),
            sales=Sales.of(one, ITEMS, NOW),
            combinations=(),
            answers=(),
        ).with_items(counted(catalog_of(ITEMS), one, NOW, CONFIG))
        for one in (log, left)
    )
    assert known.shelf is not None
    assert without.shelf is not None
    assert without.shelf.untaken[row]
    assert not known.shelf.untaken[row]
    habits = habits_of(left)[4]  # of its taste
    newness = Newness.of(known, catalog_of(ITEMS), 0)
    made = features(newness.view(known.view_of(habits, NOW), habits, NOW), np.array([row]), NOW)
    true = features(without.view_of(habits, NOW), np.array([row]), NOW)
    assert true[0, FEATURES.index("words")] > 0
    assert not made[0, [FEATURES.index(name) for name in (*SOURCES[:4], "popularity", "recent")]].any()
    np.testing.assert_allclose(made, true, atol=0.05)


def test_new_items_are_taken_as_often_as_is_said(
    growing: Interactions, scorer: InterestScorer, people: Mapping[int, Habits]
) -> None:
    """Of a growing shop, in the week that nobody knows yet, those that are there when it begins."""
    assert scorer.shelf is not None
    week = growing.since(NOW)
    new = np.flatnonzero(scorer.shelf.untaken & (BEGIN < DAYS))
    pairs = week.user * ITEMS + week.row
    taken = len(np.unique(pairs[np.isin(week.row, new)]))
    said = sum(float(scorer.probs(scorer.view_of(habits, NOW), new, NOW).sum()) for habits in people.values())
    assert taken > 25
    assert said == pytest.approx(taken, rel=0.35)


def test_who_keeps_to_a_taste_is_offered_what_is_new_in_it(
    scorer: InterestScorer, people: Mapping[int, Habits]
) -> None:
    assert scorer.shelf is not None
    new = np.flatnonzero(scorer.shelf.untaken)
    for user in range(12):
        odds = scorer.log_odds(scorer.view_of(people[user], NOW), new, NOW)[:, 0]
        mine = new % TASTES == user % TASTES
        assert odds[mine].min() > odds[~mine].max()
    top = scorer.retrieve(scorer.view_of(people[0], NOW), 40, NOW)
    assert np.isin(top, new).any()


@pytest.mark.parametrize("asked", [False, True])
def test_known_items_are_scored_as_if_there_were_no_new_ones(
    scorer: InterestScorer, people: Mapping[int, Habits], asked: bool
) -> None:
    assert scorer.shelf is not None
    known, rows = np.flatnonzero(~scorer.shelf.untaken), np.arange(ITEMS)
    plain, view = replace(scorer, untaken=None), scorer.view_of(people[3], NOW)
    together = scorer.log_odds(view, rows, NOW, asked=asked)
    np.testing.assert_array_equal(together[known], plain.log_odds(view, known, NOW, asked=asked))
    alone = np.concatenate([scorer.log_odds(view, rows[n : n + 1], NOW, asked=asked) for n in rows])
    np.testing.assert_array_equal(alone, together)


def test_where_nothing_new_was_ever_taken_new_items_get_no_more_than_their_share(
    closed: Interactions,
) -> None:
    """A closed log cannot say what new items are worth; those that are known lose next to nothing."""
    before = closed.before(NOW)
    scorer = fit_interest(before, catalog_of(ITEMS), CONFIG).scorer
    assert scorer.shelf is not None
    new = scorer.shelf.untaken
    assert new.sum() >= ITEMS // 10
    said = np.sum(
        [
            [probs[new].sum(), probs.sum()]
            for habits in habits_of(before).values()
            if len(probs := scorer.probs(scorer.view_of(habits, NOW), np.arange(ITEMS), NOW))
        ],
        axis=0,
    )
    assert 0.2 * SHARE < said[0] / said[1] < 2 * SHARE


def test_what_is_ones_own_is_known_by_that(scorer: InterestScorer, growing: Interactions) -> None:
    """Somebody took a new item since the model was fitted: it is no longer new to them."""
    assert scorer.shelf is not None
    row = int(np.flatnonzero(scorer.shelf.untaken)[0])
    user = row % TASTES
    mine = growing.before(NOW).where(growing.before(NOW).user == user)
    both = Interactions(
        user=np.append(mine.user, user),
        row=np.append(mine.row, row),
        kind=np.append(mine.kind, KINDS.index("purchase")),
        time_ms=np.append(mine.time_ms, NOW),
    )
    view = scorer.view_of(habits_of(both)[user], NOW + 1)
    plain = replace(scorer, untaken=None)
    rows = np.array([row])
    np.testing.assert_array_equal(scorer.log_odds(view, rows, NOW + 1), plain.log_odds(view, rows, NOW + 1))


def test_a_saved_model_says_the_same_of_new_items(
    scorer: InterestScorer, people: Mapping[int, Habits], tmp_path: Path
) -> None:
    scorer.save(tmp_path / "model")
    again = InterestScorer.load(tmp_path / "model").with_items(catalog_of(ITEMS + 3))
    wider = replace(scorer, shelf=None).with_items(catalog_of(ITEMS + 3))
    rows = np.arange(ITEMS + 3)
    for asked in (False, True):
        mine, theirs = (
            one.log_odds(one.view_of(people[5], NOW), rows, NOW, asked=asked) for one in (wider, again)
        )
        np.testing.assert_array_equal(theirs, mine)
    assert again.shelf is not None
    assert again.shelf.untaken[ITEMS:].all()


def test_what_content_says_of_an_item_was_not_learned_from_it() -> None:
    """Vectors that have nothing to do with content: a map knows some by heart, and nothing of others."""
    size = 300
    items = [ItemUpdate(item_id=f"i{n}", title=f"w{n} w{n % 7}", brand=f"b{n % 150}") for n in range(size)]
    content = Content.of(Catalog.of(items))
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(size, 8)).astype(np.float32)
    known = np.arange(size) < 250
    told = told_by_others(content, vectors, known, 0)
    np.testing.assert_array_equal(told[250:], vectors[250:])
    assert abs(np.corrcoef(told[:250].ravel(), vectors[:250].ravel())[0, 1]) < 0.1
    brand = np.arange(size) % 150 % 10
    shared = rng.normal(size=(10, 8)).astype(np.float32)[brand]
    alike = Content.of(
        Catalog.of([replace_brand(item, f"b{code}") for item, code in zip(items, brand, strict=True)])
    )
    told = told_by_others(alike, shared, known, 0)
    assert np.corrcoef(told[:250].ravel(), shared[:250].ravel())[0, 1] > 0.8


def replace_brand(item: ItemUpdate, brand: str) -> ItemUpdate:
    return ItemUpdate(item_id=item.item_id, title=item.title, brand=brand)


def pairs(done: int, expected: float, pairs: int = 1000) -> tuple[Examples, Floats]:
    """So many pairs with items that were new, of which some were done, and log odds that expect so many."""
    log_odds = np.full((pairs, 1), np.log(expected / pairs / (1 - expected / pairs)))
    told = Examples(
        seen=np.zeros((pairs, 1), np.float32),
        done=(np.arange(pairs) < done)[:, None],
        weight=np.ones(pairs),
        stands=np.ones(pairs),
        person=np.zeros(pairs, np.int64),
        page=np.zeros(pairs, np.int64),
    )
    return told, log_odds


def test_what_new_items_are_worth_is_counted_or_believed() -> None:
    answers = np.array([1000.0])
    assert worth(*pairs(100, 50.0), answers) == pytest.approx((100 + BELIEF) / (50 + BELIEF))
    assert worth(*pairs(0, 20.0), answers) == pytest.approx(1.0)  # no more than SHARE of all: as if known
    assert worth(*pairs(0, 500.0), answers) == pytest.approx(SHARE * 1000 / 500)
    nothing, odds = pairs(0, 1.0)
    nobody = nothing.of(np.zeros(1000, np.bool_))
    assert worth(nobody, odds[:0], answers) == pytest.approx(1.0)
