"""The gate refuses aloud, force is remembered, and a release is atomic."""

from pathlib import Path

import pytest

from raysys.bundle import read_manifest
from raysys.errors import BundleError, ConfigError, DataError
from tests import fakes
from tuning.release import Quality, current, gate_first, gate_refresh, judge, metrics_of, release


def quality(value: float, *, name: str = "ndcg", spread: float = 0.01, **baselines: float) -> Quality:
    return Quality(name=name, value=value, low=value - spread, high=value + spread, baselines=baselines)


def test_a_first_release_passes_when_it_beats_the_best_baseline() -> None:
    verdict = gate_first([quality(0.30, own=0.25, popular=0.10)])
    assert verdict.passed
    assert "own" in verdict.table()


def test_a_first_release_that_loses_is_refused_with_metric_baseline_and_numbers() -> None:
    verdict = gate_first([quality(0.20, own=0.25)])
    assert not verdict.passed
    assert "refused: ndcg is 0.2000, own is 0.2500" in verdict.reason
    assert "FAIL" in verdict.table()


def test_a_wide_interval_is_no_excuse_for_losing() -> None:
    assert gate_first([quality(0.25, own=0.25, spread=0.1)]).passed
    assert not gate_first([quality(0.245, own=0.25, spread=0.1)]).passed


def test_a_refresh_may_lose_one_percent_and_no_more() -> None:
    assert gate_refresh([quality(0.2481)], {"ndcg": 0.25}).passed
    assert not gate_refresh([quality(0.2470)], {"ndcg": 0.25}).passed


def test_a_refresh_of_a_negative_metric_is_held_to_the_same_side() -> None:
    assert gate_refresh([quality(-1.009)], {"ndcg": -1.0}).passed
    assert not gate_refresh([quality(-1.02)], {"ndcg": -1.0}).passed


def test_a_metric_that_was_not_measured_is_named() -> None:
    with pytest.raises(DataError, match="not measured on auc"):
        gate_refresh([quality(0.3)], {"ndcg": 0.25, "auc": 0.8})


def test_nothing_measured_is_no_reason_to_release() -> None:
    with pytest.raises(DataError, match="nothing was measured"):
        gate_first([])


def test_the_first_gate_holds_only_where_nothing_is_released() -> None:
    assert judge([quality(0.3, own=0.2)], None).kind == "first"
    assert judge([quality(0.3)], {"ndcg": 0.3}).kind == "refresh"


def test_a_released_bundle_is_current_and_tells_its_metrics_and_gate(tmp_path: Path) -> None:
    measured = [quality(0.3, own=0.2)]
    path = release(fakes.bundle(), measured, judge(measured, None), tmp_path)
    assert path is not None
    assert current(tmp_path) == path
    assert metrics_of(path)["ndcg"]["baselines"] == {"own": 0.2}
    assert read_manifest(path)["gate"]["forced"] is False
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([path.name, "current.json"])


def test_a_refused_bundle_leaves_the_released_one(tmp_path: Path) -> None:
    good, bad = [quality(0.3, own=0.2)], [quality(0.1, own=0.2)]
    first = release(fakes.bundle(), good, judge(good, None), tmp_path)
    assert release(fakes.bundle(), bad, judge(bad, {"ndcg": 0.3}), tmp_path) is None
    assert current(tmp_path) == first


def test_force_is_recorded_in_the_manifest_with_the_reason(tmp_path: Path) -> None:
    bad = [quality(0.1, own=0.2)]
    path = release(fakes.bundle(), bad, judge(bad, None), tmp_path, force=True)
    assert path is not None
    gate = read_manifest(path)["gate"]
    assert gate["forced"] is True
    assert "refused: ndcg" in gate["reason"]


def test_force_that_was_not_needed_is_not_held_against_a_bundle(tmp_path: Path) -> None:
    good = [quality(0.3, own=0.2)]
    path = release(fakes.bundle(), good, judge(good, None), tmp_path, force=True)
    assert path is not None
    assert read_manifest(path)["gate"]["forced"] is False


def test_before_the_first_release_nothing_is_current(tmp_path: Path) -> None:
    assert current(tmp_path) is None


def test_a_broken_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"current\.json"):
        current(tmp_path)
    (tmp_path / "current.json").write_text('{"bundle": "gone"}')
    with pytest.raises(BundleError, match="is no bundle"):
        current(tmp_path)
