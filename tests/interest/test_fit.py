"""The interest model learns habits it was shown, keeps probabilities honest, and serves as it was fitted."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.features import FEATURES, features
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.recall import RecallSizes, recall
from raysys.interest.scorer import InterestScorer
from raysys.state.fold import fold_all
from raysys.state.protocol import State
from raysys.types import DAY_MS

ITEMS, USERS, DAYS = 40, 60, 60
CONFIG = InterestConfig(kinds=("purchase",), primary="purchase")


def catalog_of(size: int) -> Catalog:
    return Catalog.of(
        [
            ItemUpdate(item_id=f"i{n}", title=f"item {n}", category=f"c{n % 4}", brand=f"b{n % 3}")
            for n in range(size)
        ]
    )


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Users of four tastes: 9 of 10 purchases are of the taste's category, half of them repeats."""
    rng = np.random.default_rng(7)
    lines = []
    for day in range(DAYS):
        for user in rng.choice(USERS, 25, replace=False).tolist():
            favorite = 4 * (user % 5) + user % 4
            inside = 4 * int(rng.integers(ITEMS // 4)) + user % 4
            row = (
                favorite if rng.random() < 0.5 else inside if rng.random() < 0.8 else int(rng.integers(ITEMS))
            )
            lines.append((day * DAY_MS + user, user, row))
    times, users, rows = (np.array(column, np.int64) for column in zip(*lines, strict=True))
    order = np.argsort(times, kind="stable")
    kind = np.full(len(order), KINDS.index("purchase"))
    return Interactions(user=users[order], row=rows[order], kind=kind, time_ms=times[order])


def states_of(log: Interactions, item_ids: Sequence[str]) -> dict[int, State]:
    """The state of every user, folded as serving does."""
    mine: dict[int, list[tuple[int, Interaction]]] = defaultdict(list)
    deeds = zip(log.user.tolist(), log.row.tolist(), log.time_ms.tolist(), strict=True)
    for number, (user, row, time_ms) in enumerate(deeds, start=1):
        deed = Interaction(kind="purchase", item_id=item_ids[row], time_ms=time_ms)
        mine[user].append((number, deed))
    return {user: state for user, deeds in mine.items() if (state := fold_all(deeds)) is not None}


@pytest.fixture(scope="module")
def stocked(log: Interactions) -> Catalog:
    """The catalog as it is released with the model: it counts what the log counts."""
    liked = popularity(log, ITEMS, DAYS * DAY_MS, CONFIG.half_life_days)
    return replace(catalog_of(ITEMS), popularity=liked)


@pytest.fixture(scope="module")
def scorer(log: Interactions) -> InterestScorer:
    return fit_interest(log, catalog_of(ITEMS), CONFIG).scorer


def test_people_are_offered_their_habit_then_their_taste(log: Interactions, scorer: InterestScorer) -> None:
    catalog = catalog_of(ITEMS)
    states = states_of(log, catalog.item_ids)
    now = DAYS * DAY_MS
    tops = {
        user: scorer.retrieve(scorer.view(state, catalog, now), 10, now) for user, state in states.items()
    }
    habit = np.mean([top[0] == 4 * (user % 5) + user % 4 for user, top in tops.items()])
    taste = np.mean([np.mean(top % 4 == user % 4) for user, top in tops.items()])
    assert habit > 0.9
    assert taste > 0.7


def test_probabilities_add_up_to_what_is_bought_in_a_week(
    log: Interactions, scorer: InterestScorer, stocked: Catalog
) -> None:
    """The expected number of item-buyer pairs of a week is near that of the last one."""
    catalog, now = stocked, DAYS * DAY_MS
    expected = sum(
        scorer.probs(scorer.view(state, catalog, now), np.arange(ITEMS), now).sum()
        for state in states_of(log, catalog.item_ids).values()
    )
    week = log.since(now - 7 * DAY_MS)
    actual = len(np.unique(week.user * ITEMS + week.row))
    assert expected == pytest.approx(actual, rel=0.25)


def test_probabilities_of_what_is_recalled_are_what_happens_though_most_deeds_are_elsewhere(
    log: Interactions,
) -> None:
    """Two of three deeds are moved to items drawn from hundreds, which nobody can recall."""
    rng, size = np.random.default_rng(4), 600
    moved = rng.random(len(log)) < 2 / 3
    log = replace(log, row=np.where(moved, rng.integers(0, size, len(log)), log.row))
    week_ms, now = 7 * DAY_MS, DAYS * DAY_MS
    sizes = RecallSizes(source=10, popular=10, leaf=10)
    config = replace(CONFIG, recalled=8, near=8, others=8, asked=0, sizes=sizes)
    scorer = fit_interest(log.before(now - week_ms), catalog_of(size), config).scorer
    expected, actual, week = 0.0, 0, log.since(now - week_ms)
    for user, habits in habits_of(log.before(now - week_ms)).items():
        view = scorer.view_of(habits, now - week_ms)
        rows = recall(view, sizes)
        expected += float(scorer.probs(view, rows, now - week_ms).sum())
        actual += len(np.intersect1d(rows, week.row[week.user == user]))
    assert actual < 0.5 * len(week)
    assert expected == pytest.approx(actual, rel=0.25)


def test_a_candidates_probability_ignores_its_neighbors(log: Interactions, scorer: InterestScorer) -> None:
    catalog, now = catalog_of(ITEMS), DAYS * DAY_MS
    view = scorer.view(states_of(log, catalog.item_ids)[0], catalog, now)
    together = scorer.probs(view, np.array([3, -1, 0]), now)
    np.testing.assert_allclose(together[0], scorer.probs(view, np.array([3]), now)[0], rtol=1e-6)
    assert np.isnan(together[1]).all()


def test_a_saved_model_scores_alike(log: Interactions, scorer: InterestScorer, tmp_path: Path) -> None:
    scorer.save(tmp_path / "interest")
    again = InterestScorer.load(tmp_path / "interest")
    catalog, now, rows = catalog_of(ITEMS), DAYS * DAY_MS, np.arange(ITEMS)
    state = states_of(log, catalog.item_ids)[1]
    models = [model.with_items(catalog) for model in (scorer, again)]
    theirs, ours = (s.probs(s.view(state, catalog, now), rows, now) for s in models)
    np.testing.assert_array_equal(ours, theirs)


def test_a_new_item_is_known_by_its_category(log: Interactions, scorer: InterestScorer) -> None:
    wider, now = catalog_of(ITEMS + 4), DAYS * DAY_MS
    model = scorer.with_items(wider)
    view = model.view(states_of(log, wider.item_ids)[0], wider, now)
    fresh = np.arange(ITEMS, ITEMS + 4)
    assert model.probs(view, fresh, now)[:, 0].argmax() == 0  # user 0 likes category c0
    assert set(model.similar(ITEMS, 20) % 4) == {0}


def test_an_unknown_person_gets_what_is_popular(scorer: InterestScorer) -> None:
    catalog, now = catalog_of(ITEMS), DAYS * DAY_MS
    view = scorer.view(None, catalog, now)
    seen = features(view, np.arange(ITEMS), now)
    assert np.isfinite(scorer.probs(view, np.arange(ITEMS), now)).all()
    assert (seen[:, FEATURES.index("own_never")] == 1).all()
    assert not scorer.repeat(view, np.arange(ITEMS), now).any()


def test_a_log_shorter_than_the_horizon_is_refused(log: Interactions) -> None:
    with pytest.raises(DataError, match="less than horizon_days"):
        fit_interest(log.before(3 * DAY_MS), catalog_of(ITEMS), CONFIG)


def test_what_the_catalog_counts_of_the_days_asked_about_is_not_learned_from(log: Interactions) -> None:
    """Fitting gives the same model whatever popularity the catalog carries."""
    plain = catalog_of(ITEMS)
    leaky = replace(plain, popularity=np.bincount(log.row, minlength=ITEMS).astype(np.float32) * 100)
    models = [fit_interest(log, catalog, CONFIG).scorer for catalog in (plain, leaky)]
    habits, now, rows = habits_of(log)[0], DAYS * DAY_MS, np.arange(ITEMS)
    first, second = (model.probs(model.view_of(habits, now), rows, now) for model in models)
    np.testing.assert_array_equal(first, second)


def test_the_repeat_signal_is_the_feature_of_the_same_name(log: Interactions, scorer: InterestScorer) -> None:
    now, rows = DAYS * DAY_MS, np.arange(ITEMS)
    view = scorer.view_of(habits_of(log)[3], now)
    seen = features(view, rows, now)[:, FEATURES.index("own_due")]
    np.testing.assert_allclose(scorer.repeat(view, rows, now), seen, rtol=1e-6)
    assert seen.any()
