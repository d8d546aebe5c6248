"""The minutes are shared out so that a study takes about as long as it was told to."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuning import trials
from tuning.minutes import FEW, ITEMS, Minutes


def share(minutes: float = 8.0, cores: int = 2, items: int = 100) -> Minutes:
    return Minutes(minutes=minutes, cores=cores, items=items)


def test_the_combination_learns_from_as_many_answers_as_there_is_time_for() -> None:
    assert share(0.01).answers == FEW
    assert share(2.0).answers < share(4.0).answers < share(60.0).answers == share(90.0).answers
    assert 3 * share(2.0, items=3 * ITEMS).answers == pytest.approx(share(2.0).answers, abs=3)


def test_networks_get_what_the_combination_has_no_use_for() -> None:
    whole = 60.0 * 8.0 * 2
    assert share().network_seconds(0, 0.6) == whole
    assert 0.7 * whole < share().network_seconds(10_000, 0.7) < whole
    assert share().network_seconds(10**9, 0.7) == pytest.approx(0.7 * whole)


@given(cores=st.integers(1, 100), groups=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_however_many_cores_there_are_networks_end_in_time(cores: int, groups: list[int]) -> None:
    """A core fits one network after the other, so the busiest one says when they have ended."""
    each = share(cores=cores).each(100.0 * cores, *groups)
    busiest = sum(-(-group // cores) for group in groups)
    assert each * busiest == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("told", "expected"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_a_container_has_the_cores_that_it_is_given(
    told: str, expected: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "CPU_MAX", tmp_path / "absent")
    able = trials.cores()
    (tmp_path / "cpu.max").write_text(told + "\n")
    monkeypatch.setattr(trials, "CPU_MAX", tmp_path / "cpu.max")
    assert trials.cores() == (expected or able)
