"""Stars are told from those before, trusted as far as that pays, and the same online and offline."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.events import KINDS, Interaction
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.rating import RatingHead, fit_rating
from raysys.interest.scorer import InterestScorer
from raysys.state.fold import fold_all
from raysys.types import DAY_MS, Floats
from tests.fakes import shop

RATING, PURCHASE = KINDS.index("rating"), KINDS.index("purchase")
USERS, ITEMS, COUNT = 80, 40, 6_000


def rated(stars: Floats, user: Floats, row: Floats) -> Interactions:
    count = len(stars)
    time_ms = np.arange(count) * 60 * DAY_MS // count
    return Interactions(
        user=user.astype(np.int64),
        row=row.astype(np.int64),
        kind=np.full(count, RATING),
        time_ms=time_ms,
        value=stars,
    )


@pytest.fixture(scope="module")
def tastes() -> tuple[Interactions, Floats, Floats]:
    """Stars are 3, what a person adds, what an item adds, and noise; and the two."""
    rng = np.random.default_rng(0)
    person, item = rng.normal(0, 0.6, USERS), rng.normal(0, 0.8, ITEMS)
    user, row = rng.integers(0, USERS, COUNT), rng.integers(0, ITEMS, COUNT)
    stars = 3.0 + person[user] + item[row] + rng.normal(0, 0.5, COUNT)
    return rated(stars, user, row), person, item


def of(events: Interactions, head: RatingHead, user: int, rows: Floats) -> Floats:
    habits = habits_of(events)[user]
    return head.stars(habits.rated, habits.stars, rows.astype(np.int64))


def test_what_a_person_and_an_item_add_is_found(tastes: tuple[Interactions, Floats, Floats]) -> None:
    events, person, item = tastes
    head = fit_rating(events, ITEMS)
    assert head is not None
    found = np.stack([of(events, head, user, np.arange(ITEMS)) for user in range(USERS)])
    error = found - (3.0 + person[:, None] + item[None, :])
    assert np.sqrt((error**2).mean()) < 0.15


def test_a_rating_is_not_told_from_its_own_stars() -> None:
    """Where stars are drawn at random nothing can be known, and nothing is said but the mean."""
    rng = np.random.default_rng(1)
    events = rated(rng.integers(1, 6, COUNT) * 1.0, rng.integers(0, 500, COUNT), rng.integers(0, 300, COUNT))
    head = fit_rating(events, 300)
    assert head is not None
    found = [of(events, head, user, np.arange(300)) for user in range(0, 500, 25)]
    assert np.std(found) < 0.1  # stars have 1.4


def test_who_and_what_nobody_knows_has_what_the_other_one_has(
    tastes: tuple[Interactions, Floats, Floats],
) -> None:
    events, person, _ = tastes
    head = fit_rating(events, ITEMS)
    assert head is not None
    best = int(person.argmax())
    new, gone = of(events, head, best, np.array([ITEMS + 5, -1]))
    assert new > head.stars(0.0, 0.0, np.array([ITEMS + 5]))[0] + 0.5
    assert np.isnan(gone)
    assert head.stars(0.0, 0.0, np.array([ITEMS + 5]))[0] == pytest.approx(head.mean, abs=0.2)


def test_nobody_is_expected_to_give_more_stars_than_there_are() -> None:
    rng = np.random.default_rng(2)
    stars = np.where(rng.random(1_000) < 0.9, 5.0, 1.0)
    head = fit_rating(rated(stars, rng.integers(0, 9, 1_000), rng.integers(0, 9, 1_000)), 9)
    assert head is not None
    found = head.stars(1e6, 5e6, np.arange(9))
    assert found.max() <= 5.0
    one = head.stars(1e6, 5e6, np.array([3]))
    assert one[0] == found[3]


def test_a_log_without_ratings_has_no_such_head(tastes: tuple[Interactions, Floats, Floats]) -> None:
    events, *_ = tastes
    assert fit_rating(replace(events, value=None), ITEMS) is None
    assert fit_rating(replace(events, kind=np.full(COUNT, PURCHASE)), ITEMS) is None
    assert fit_rating(events.before(DAY_MS), ITEMS) is None
    with pytest.raises(DataError, match="expected one length"):
        replace(events, value=np.zeros(3))


def test_the_interest_model_of_a_log_with_ratings_tells_stars_and_keeps_them(
    tastes: tuple[Interactions, Floats, Floats], tmp_path: Path
) -> None:
    events, *_ = tastes
    mixed = replace(events, kind=np.where(np.arange(COUNT) % 3, RATING, PURCHASE))
    config = InterestConfig(kinds=("purchase",), primary="purchase", content_heard=False, asked=0)
    catalog = shop(ITEMS)
    scorer = fit_interest(mixed, catalog, config).scorer
    scorer.save(tmp_path / "interest")
    again = InterestScorer.load(tmp_path / "interest").with_items(catalog)
    now_ms, rows = 60 * DAY_MS, np.append(np.arange(ITEMS), -1)
    mine = mixed.where(mixed.user == 7)
    columns = zip(
        mine.row.tolist(), mine.kind.tolist(), mine.time_ms.tolist(), mine.stars().tolist(), strict=True
    )
    state = fold_all(
        (n, Interaction(kind=KINDS[kind], item_id=catalog.item_ids[row], time_ms=time_ms, value=value))
        for n, (row, kind, time_ms, value) in enumerate(columns)
    )
    offline = scorer.stars(scorer.view_of(habits_of(mixed)[7], now_ms), rows)
    online = again.stars(again.view_of(Habits.of(state, catalog), now_ms), rows)
    np.testing.assert_allclose(online, offline, rtol=1e-12)
    assert np.isfinite(offline[:-1]).all()
    assert np.ptp(offline[:-1]) > 0.5
    assert np.isnan(
        replace(scorer, rating=None).stars(again.view_of(Habits.of(state, catalog), now_ms), rows)
    ).all()
