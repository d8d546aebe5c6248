"""Smaller forms of a model say nearly what it says, each candidate by itself, and survive saving."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.interest.compression import Form
from raysys.interest.distill import Size, distilled
from raysys.interest.encoder import UserEncoder
from raysys.interest.export import export_network
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.scorer import InterestScorer
from raysys.interest.source import NetworkSource
from raysys.interest.train import fit_network
from raysys.types import DAY_MS
from tests.fakes import shop

ITEMS, USERS, DAYS = 40, 60, 60
NOW = DAYS * DAY_MS
SMALL = Size(rounds=40, leaves=8)
FORMS = (
    Form(),
    Form(trees=SMALL),
    Form(networks=1),
    Form(narrow=True),
    Form(trees=SMALL, networks=1, narrow=True),
)
Person = tuple[Habits, int]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(ITEMS)


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Everybody comes back to a few favorites, which differ, and takes others now and then."""
    rng = np.random.default_rng(7)
    user, day = np.tile(np.arange(USERS), DAYS), np.repeat(np.arange(DAYS), USERS)
    came = rng.random(len(user)) < 0.4
    user, day = user[came], day[came]
    favorite = (user * 3 + rng.integers(0, 3, len(user))) % ITEMS
    row = np.where(rng.random(len(user)) < 0.7, favorite, rng.integers(0, ITEMS, len(user)))
    return Interactions(user=user, row=row, kind=np.full(len(user), 3), time_ms=day * DAY_MS + user)


@pytest.fixture(scope="module")
def full(log: Interactions, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> InterestScorer:
    """With an average of two networks."""
    parts = []
    for width in (16, 8):
        training = fit_network(log.before(40 * DAY_MS), catalog, NetworkConfig(width=width, epochs=1))
        list(training)
        folder = export_network(training.model, tmp_path_factory.mktemp("network") / str(width))
        parts.append(NetworkSource.of(UserEncoder.load(folder), catalog))
    config = InterestConfig(kinds=("purchase",), primary="purchase", network_heard=False)
    scorer = fit_interest(log, catalog, config).scorer
    return replace(scorer, network=replace(parts[0], beside=(parts[1],)), network_heard=True)


@pytest.fixture(scope="module")
def people(log: Interactions) -> list[Person]:
    return [(habits, NOW) for habits in habits_of(log).values()]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_candidate_is_scored_by_itself_in_every_form(
    full: InterestScorer, people: Sequence[Person], form: Form
) -> None:
    model = form.of(full, people)
    view, rows = model.view_of(*people[4]), np.arange(ITEMS)
    together = model.log_odds(view, rows, NOW)
    alone = np.concatenate([model.log_odds(view, rows[n : n + 1], NOW) for n in range(ITEMS)])
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_form_survives_saving(
    full: InterestScorer, people: Sequence[Person], catalog: Catalog, form: Form, tmp_path: Path
) -> None:
    model = form.of(full, people)
    model.save(tmp_path / "model")
    again = InterestScorer.load(tmp_path / "model").with_items(catalog)
    for asked in (False, True):
        mine, theirs = (
            one.log_odds(one.view_of(*people[4]), np.arange(ITEMS), NOW, asked=asked)
            for one in (model, replace(again, shelf=full.shelf))
        )
        np.testing.assert_allclose(theirs, mine, rtol=1e-4)


def test_a_smaller_step_says_nearly_what_the_full_one_says_to_people_it_has_not_met(
    full: InterestScorer, people: Sequence[Person]
) -> None:
    student = distilled(full, full, people[:40], SMALL)
    for asked in (False, True):
        told, taught = (
            np.concatenate(
                [
                    one.log_odds(one.view_of(*person), np.arange(ITEMS), NOW, asked=asked)
                    for person in people[40:]
                ]
            ).ravel()
            for one in (student, full)
        )
        assert np.corrcoef(told, taught)[0, 1] > 0.9
        assert told.mean() == pytest.approx(taught.mean(), abs=0.2)


def test_answers_that_are_those_of_offers_are_imitated_and_kept_once(
    full: InterestScorer, people: Sequence[Person], tmp_path: Path
) -> None:
    assert full.untaken is not None
    untaken = replace(full.untaken, answers=full.untaken.combinations)
    one = Form(trees=SMALL).of(replace(full, answers=full.combinations, untaken=untaken), people)
    assert one.answers is one.combinations
    one.save(tmp_path / "model")
    assert not list((tmp_path / "model").glob("*.answer*"))
    again = InterestScorer.load(tmp_path / "model")
    assert again.answers is again.combinations
    assert again.untaken is not None
    assert again.untaken.answers is again.untaken.combinations


def test_of_an_average_the_first_network_stays(full: InterestScorer, people: Sequence[Person]) -> None:
    assert full.network is not None
    alone = Form(networks=1).reduced(full).network
    assert alone is not None
    expected = replace(full.network, beside=()).scores(*people[3])
    np.testing.assert_array_equal(alone.scores(*people[3]), expected)


def test_reducing_twice_is_reducing_once(full: InterestScorer, people: Sequence[Person]) -> None:
    form = Form(networks=1, narrow=True)
    once = form.reduced(full)
    mine, again = (
        one.log_odds(one.view_of(*people[4]), np.arange(ITEMS), NOW) for one in (once, form.reduced(once))
    )
    np.testing.assert_allclose(again, mine, rtol=1e-5)


def test_a_model_cannot_be_imitated_for_nobody(full: InterestScorer) -> None:
    with pytest.raises(DataError, match="nobody to imitate"):
        Form(trees=SMALL).of(full, [])


def test_forms_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="networks is 0"):
        Form(networks=0)
    with pytest.raises(ConfigError, match="0 trees of 31 leaves"):
        Size(rounds=0, leaves=31)
