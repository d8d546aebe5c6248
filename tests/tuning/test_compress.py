"""Of several forms of a model the best that fits the budget is used, and why not the others is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.errors import ConfigError
from raysys.interest.compression import Form
from raysys.interest.distill import Size
from tuning.compress import CompressSettings, merged
from tuning.compress_report import HEAD, sections, table
from tuning.variants import Compressed, Variant, choose

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


def test_a_budget_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="budget_us is -1"):
        CompressSettings(budget_us=-1.0)
