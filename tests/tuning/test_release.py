"""The gate refuses aloud, force is remembered, and a release is atomic."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle, read_manifest
from raysys.dataset.read import Read
from raysys.errors import BundleError, ConfigError, DataError
from raysys.evaluation.estimate import Estimate
from raysys.events import Event, Impression, Interaction, encode_event
from raysys.log import RecordWriter
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.releases import current, metrics_of, rollback
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.types import Candidates, QueryId
from tests import fakes
from tuning.gate import Guardrail, Quality, gate_change, gate_first, gate_refresh, judge
from tuning.release import main, policy_difference, release


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


def test_a_loss_that_chance_explains_refuses_no_refresh_and_a_sure_one_does() -> None:
    """Bar: .25 less 1 % less 1.645 errors of the paired difference."""
    unsure = replace(quality(0.2400), paired_error=0.01)
    assert gate_refresh([unsure], {"ndcg": 0.25}).passed
    sure = replace(quality(0.2400), paired_error=0.002)
    verdict = gate_refresh([sure], {"ndcg": 0.25})
    assert not verdict.passed
    assert verdict.lines[0].bar == pytest.approx(0.25 * 0.99 - 1.645 * 0.002)


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


def evidence(
    low: float = 0.01, *, effective_n: float = 5_000, n: int = 8_000, mean: float = 1.01
) -> Estimate:
    return Estimate(
        value=low + 0.02, low=low, high=low + 0.04, effective_n=effective_n, n=n, mean_weight=mean
    )


def test_a_change_that_is_surely_better_passes() -> None:
    verdict = gate_change(evidence())
    assert (verdict.kind, verdict.passed) == ("change", True)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (evidence(-0.001), "refused: difference, lower bound is -0.0010, above zero is 0.0000"),
        (evidence(0.0), "refused: difference, lower bound is 0.0000"),
        (evidence(effective_n=999), "refused: effective sample size is 999.0000"),
        (evidence(n=60_000), "10 % of 60,000 is 6000.0000"),
        (evidence(mean=1.06), "refused: mean weight is 1.0600, 1 ± 0.05"),
        (evidence(mean=0.94), "refused: mean weight is 0.9400"),
    ],
)
def test_a_change_that_is_not_proven_is_refused_with_the_reason(found: Estimate, reason: str) -> None:
    verdict = gate_change(found)
    assert not verdict.passed
    assert reason in verdict.reason
    assert "FAIL" in verdict.table()


def test_a_guardrail_stops_a_change_that_is_better_otherwise() -> None:
    hurt, fine = (Guardrail(name="leaves", difference=evidence(low), floor=-0.02) for low in (-0.03, -0.01))
    assert gate_change(evidence(), [fine]).passed
    assert "refused: leaves, lower bound is -0.0300" in gate_change(evidence(), [fine, hurt]).reason


def test_where_records_tell_the_difference_the_gate_is_that_of_a_change() -> None:
    verdict = judge([quality(0.3)], {"ndcg": 0.3}, evidence())
    assert (verdict.kind, verdict.passed, verdict.difference) == ("change", True, evidence())
    assert not judge([quality(0.2)], {"ndcg": 0.3}, evidence()).passed
    assert not judge([quality(0.3)], {"ndcg": 0.3}, evidence(-0.1)).passed
    assert judge([quality(0.3, own=0.2)], None, evidence()).kind == "first"


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


def test_a_forced_change_tells_what_the_gate_saw(tmp_path: Path) -> None:
    first = [quality(0.3, own=0.2)]
    release(fakes.bundle(), first, judge(first, None), tmp_path)
    verdict = judge(first, {"ndcg": 0.3}, evidence(-0.5))
    assert release(fakes.bundle(), first, verdict, tmp_path) is None
    path = release(shelf(1.0), first, verdict, tmp_path, force=True)
    assert path is not None
    gate = read_manifest(path)["gate"]
    assert (gate["kind"], gate["forced"], gate["difference"]["low"]) == ("change", True, -0.5)
    assert [line["passed"] for line in gate["lines"]] == [True, True, False, True]


def shelf(freshness: float) -> Bundle:
    """A bundle that can be read back: items and a policy, nothing learned."""
    return fakes.bundle(policy=policy(freshness), interest=None, relevance=None, encoder=None, response=None)


def policy(freshness: float) -> Policy:
    weights = np.array([{"engine": 1.0, "freshness": freshness}.get(name, 0.0) for name in SIGNALS])
    return Policy.constant(SIGNALS, weights, 0.5)


def served(bundle: Bundle, folder: Path, *, count: int = 2_000) -> list[Event]:
    """Users who like what is fresh: items with low numbers."""
    writer, rng, events = RecordWriter(folder), np.random.default_rng(0), []
    ranker = Ranker(bundle, MemoryStore(), writer)
    for number in range(count):
        asked = fakes.ask(id=QueryId(f"q{number}"), user_id=f"u{number % 500}", length=4)
        items = [f"i{n}" for n in rng.permutation(12)[:6]]
        found = [item.item_id for item in ranker.rank(asked, Candidates.of(items)).items]
        told = {"query_id": asked.id, "user_id": asked.user_id, "time_ms": fakes.NOW_MS}
        events.append(Impression(surface="search", item_ids=found, **told))
        for position, item in enumerate(found):
            if rng.random() < np.exp(-int(item[1:]) / 3) * 0.7**position:
                events.append(Interaction(kind="purchase", item_id=item, **told))
    writer.close()
    return events


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a released bundle, its log, and two drafts: one better, one worse."""
    folder = tmp_path_factory.mktemp("shop")
    measured = {"ndcg": {"value": 0.3, "low": 0.29, "high": 0.31, "baselines": {"own": 0.2}}}
    for name, likes_fresh in (("plain", 0.0), ("fresh", 0.4), ("stale", -0.4)):
        replace(shelf(likes_fresh), manifest={"metrics": measured}).save(folder / name)
    assert main(["submit", str(folder / "plain"), "--bundles", str(folder / "bundles")]) == 0
    path = current(folder / "bundles")
    assert path is not None
    events = served(Bundle.load(path), folder / "records")
    (folder / "events.jsonl").write_bytes(b"".join(encode_event(event) + b"\n" for event in events))
    return folder


def submit(shop: Path, draft: str, *more: str) -> int:
    log = ["--records", str(shop / "records"), "--events", str(shop / "events.jsonl")]
    return main(["submit", str(shop / draft), "--bundles", str(shop / "bundles"), *log, *more])


def test_the_log_refuses_the_worse_policy_and_lets_the_better_one_through(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = current(shop / "bundles")
    assert submit(shop, "stale") == 1
    assert "refused: difference, lower bound" in capsys.readouterr().out
    assert current(shop / "bundles") == first
    assert submit(shop, "fresh") == 0
    assert "gate: change" in capsys.readouterr().out
    assert current(shop / "bundles") != first
    assert main(["show", str(shop / "bundles")]) == 0
    assert f"before: {first and first.name}" in capsys.readouterr().out
    rollback(shop / "bundles")
    assert current(shop / "bundles") == first


def test_the_same_policy_or_an_empty_log_is_no_change(shop: Path, tmp_path: Path) -> None:
    released = Bundle.load(shop / "plain")
    assert policy_difference(released, released, shop / "records", Read()) is None
    assert policy_difference(shelf(0.4), released, shop / "records", Read()) is None
    assert main(["show", str(tmp_path)]) == 1
