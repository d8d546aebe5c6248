"""Of several forms of a model the best that fits the budget is used, and why not the others is said."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.errors import ConfigError
from raysys.interest.compression import Form
from raysys.interest.distill import Size
from raysys.interest.fit import InterestConfig, counted, fit_interest
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.types import DAY_MS
from tests.fakes import shop
from tuning.compress import CompressSettings, merged
from tuning.compress_report import HEAD, sections, table
from tuning.compress_turn import by_person, compress_window, form_in
from tuning.quality import Table, measure
from tuning.variants import Compressed, Variant, choose

FIT = InterestConfig(kinds=("purchase",), primary="purchase")
TREES = Form(trees=Size(rounds=60, leaves=31))
QUALITY = np.tile([0.0, 1.0], 200)


def variant(form: Form, request_us: float, size: int, loss: float) -> Variant:
    """One that misses so often what the full model finds."""
    quality = QUALITY.copy()
    quality[1 : 1 + 2 * int(200 * loss) : 2] = 0.0
    return Variant(
        form=form, folder=Path("nowhere"), quality=quality, size=size, view_us=request_us - 10, scoring_us=10
    )


FULL = variant(Form(), 1000.0, 900, 0.0)
GOOD = variant(TREES, 500.0, 800, 0.0)
FAST = variant(Form(networks=1), 200.0, 950, 0.2)
POOR = variant(Form(narrow=True), 700.0, 300, 0.3)
ALL = (FULL, GOOD, FAST, POOR)


def found(budget_us: float) -> Compressed:
    return Compressed(variants=ALL, chosen=choose(ALL, budget_us), budget_us=budget_us)


@pytest.mark.parametrize(("budget_us", "chosen"), [(0, FULL), (2000, FULL), (600, GOOD), (300, FAST)])
def test_the_best_that_fits_is_taken_and_without_a_budget_the_full_one(
    budget_us: float, chosen: Variant
) -> None:
    assert found(budget_us).chosen is chosen


def test_a_budget_that_nothing_meets_names_the_fastest_and_its_cost() -> None:
    with pytest.raises(ConfigError, match=r"budget_us = 100: the fastest, '1 network', takes 200 µs"):
        choose(ALL, 100.0)


def test_a_cheaper_one_that_loses_no_more_than_an_error_is_offered() -> None:
    assert found(0).offered() is GOOD


def test_the_front_is_what_no_other_beats_in_quality_and_cost() -> None:
    assert found(0).front("request_us") == ["1 network", "60 trees of 31 leaves"]
    assert found(0).front("size") == ["narrow numbers", "60 trees of 31 leaves"]


def test_it_is_said_why_a_variant_is_not_taken() -> None:
    told = {row["variant"]: row["verdict"] for row in found(600).rows()}
    assert told["full"] == "over the budget of 600 µs"
    assert told["60 trees of 31 leaves"] == "taken"
    assert told["1 network"].startswith("loses 0.1000 ± 0.0")
    free = {row["variant"]: row["verdict"] for row in found(0).rows()}
    assert free["full"] == "taken"
    assert free["60 trees of 31 leaves"].startswith("offered")


def test_ratios_and_differences_are_to_the_full_model() -> None:
    row = found(0).rows()[1]
    assert row["ratio"] == pytest.approx(0.5)
    assert (row["gain"], row["gain_se"]) == (0.0, 0.0)


def test_the_report_has_the_table_and_a_plot_for_each_cost() -> None:
    plain = found(600).plain()
    parts = list(sections(plain))
    assert [bool(part.png) for part in parts] == [False, True, True]
    assert "60 trees of 31 leaves is used" in parts[0].text
    assert len(table(plain)) == 2 + len(ALL)
    assert all(line.count("|") == len(HEAD) + 1 for line in table(plain))


def test_of_changes_to_the_same_part_the_second_counts() -> None:
    small = Form(trees=Size(rounds=30, leaves=31))
    assert merged(merged(TREES, Form(narrow=True)), small) == replace(small, narrow=True)


@pytest.mark.parametrize(("networks", "kept"), [(0, []), (1, []), (2, [1]), (4, [2, 1])])
def test_fewer_networks_are_tried_where_there_are_several(networks: int, kept: list[int]) -> None:
    tried = CompressSettings().changes(networks)
    assert [form.networks for form in tried if form.networks] == kept


def test_a_budget_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget_us is -1"):
        CompressSettings(budget_us=-1.0)


def test_a_person_counts_once_however_many_queries_and_tasks_they_have() -> None:
    values = {
        ("window", "raysys"): np.array([1.0, 0.5]),
        ("search", "raysys"): np.array([0.0, 0.5, 0.5]),
        ("window", "other"): np.zeros(2),
    }
    users = {"window": np.array([3, 8]), "search": np.array([3, 3, 9])}
    table = Table(values=values, users=users, coverage={}, prob=np.zeros(0), done=np.zeros(0, np.bool_))
    np.testing.assert_allclose(by_person(table), [(1.0 + 0.25) / 2, 0.5, 0.5])


def test_a_window_is_judged_by_people_whom_no_smaller_step_was_distilled_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    user, day = np.tile(np.arange(30), 60), np.repeat(np.arange(60), 30)
    row = (user * 3 + rng.integers(0, 3, len(user))) % 20
    log = Interactions(user=user, row=row, kind=np.full(len(user), 3), time_ms=day * DAY_MS + user)
    cut, end = 50 * DAY_MS, 60 * DAY_MS
    before = log.before(cut)
    catalog = counted(shop(20), before, cut, FIT)
    full = fit_interest(before, shop(20), FIT).scorer
    asked: list[Interactions] = []

    def judged(scorer: InterestScorer, seen: Interactions, window: tuple[int, int]) -> Table:
        asked.append(seen)
        return measure(scorer, seen.before(cut), seen.since(cut), cut)

    settings = CompressSettings(budget_us=1e9, trees=((20, 8),), timed=3)
    found = compress_window(full, catalog, log, (cut, end), judged, settings, tmp_path / "out")
    assert [str(one.form) for one in found.variants[:3]] == ["full", "20 trees of 8 leaves", "narrow numbers"]
    assert len(found.full.quality) == len(np.unique(asked[0].since(cut).user)) == 15
    assert min(one.request_us for one in found.variants) > 0
    assert InterestScorer.load(found.chosen.folder).kinds == ("purchase",)


def test_the_form_of_a_released_model_is_read_from_its_manifest() -> None:
    told = json.loads(json.dumps({"compression": found(600).plain()}))
    assert form_in(told) == TREES
    assert form_in({"data": {}}) == Form()
