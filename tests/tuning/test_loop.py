"""One whole turn of the loop on the synthetic world: small, but Tune, RLlib and the gate are real."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from raysys.behavior.world import START_MS, World
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.dataset.build import Dataset, build
from raysys.dataset.read import of_events
from raysys.events import KINDS, Impression, Interaction
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.types import DAY_MS, Candidates
from tests.fakes import ask
from tuning.compress import CompressSettings
from tuning.compress_turn import form_in
from tuning.gate import gate_first
from tuning.learning import LearningConfig
from tuning.loop import LoopSettings, Turn, kinds_of, qualities_of, queries_of, searches_of, turn
from tuning.network import SearchSettings
from tuning.policy import PolicySettings
from tuning.profiles import ProfileSettings
from tuning.quality import MODEL
from tuning.release import release
from tuning.situations import SituationSettings
from tuning.story import tell

WORLD = World(users=120, items=160)
DAYS = 48
WINDOWS = (START_MS + 32 * DAY_MS, START_MS + 40 * DAY_MS, START_MS + DAYS * DAY_MS)
SETTINGS = LoopSettings(
    horizon_days=8.0,
    day_starts_h=0,
    compression=CompressSettings(budget_us=1e9, trees=((5, 4),), judges=20, people=20, timed=3),
    network=SearchSettings(
        trials=1,
        minutes=3.0,
        horizon_days=8.0,
        network={"epochs": 1, "blocks": 1, "width": 16},
        space={"dropout": [0.1, 0.2]},
    ),
    policy=PolicySettings(
        seeds=1,
        situations=SituationSettings(households=60, candidates=16, steps=3),
        profiles=ProfileSettings(
            generations=2, population=6, elites=2, restarts=1, sessions=40, profiles=3, least=20
        ),
        learning=LearningConfig(env_steps=600, envs=8, draws=1, batch=256, minibatch=64),
    ),
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    events = [*WORLD.catalog(), *WORLD.events(DAYS)]
    return build([of_events(events)])


@pytest.fixture(scope="module")
def made(data: Dataset, ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Turn:
    return turn(data, Catalog.of(data.items), WINDOWS, tmp_path_factory.mktemp("turn"), SETTINGS)


def test_a_turn_makes_a_bundle_that_ranks_for_known_and_unknown(made: Turn, tmp_path: Path) -> None:
    made.bundle.save(tmp_path / "bundle")
    ranker = Ranker(Bundle.load(tmp_path / "bundle"), MemoryStore())
    for user in (WORLD.user_id(0), "nobody"):
        ranking = ranker.rank(
            ask(user_id=user, text="tea", length=10), Candidates.of(made.bundle.catalog.item_ids[:30])
        )
        assert len(ranking.items) == 10
        assert ranking.degraded == ()
        assert len(ranker.feed(ask("feed", user_id=user)).items) == 10


def test_its_interest_model_has_the_best_form_that_fits_the_budget(made: Turn) -> None:
    told = made.bundle.manifest["compression"]
    reached = {row["variant"]: row["ndcg@10"] for row in told["variants"]}
    assert {"full", "5 trees of 4 leaves", "narrow numbers"} <= set(reached)
    assert reached[told["chosen"]] == max(reached.values())
    assert isinstance(made.bundle.interest, InterestScorer)
    assert made.bundle.interest.network is not None
    assert made.bundle.interest.network.rounded == form_in(made.bundle.manifest).narrow


def test_the_manifest_tells_the_settings_that_won_and_their_interval(made: Turn, tmp_path: Path) -> None:
    made.bundle.save(tmp_path / "bundle")
    told = Bundle.load(tmp_path / "bundle").manifest
    found, reached = told["network"]["settings"], told["network"]["ndcg@10"]
    assert found == json.loads(json.dumps(asdict(made.network.config)))
    assert found["width"] == 16
    assert told["network"]["space"] == {"dropout": [0.1, 0.2]}
    assert reached["value"] == made.network.ndcg
    assert reached["low"] < reached["value"] < reached["high"]
    assert told["interest"]["horizon_days"] == SETTINGS.horizon_days


def test_its_quality_stands_beside_every_simple_system_and_the_documents_network(made: Turn) -> None:
    systems = made.quality.systems("window")
    assert {"popularity", "own frequency", "user-kNN", "network alone", "document's network"} < set(systems)
    assert systems[-1] == MODEL
    assert made.quality.mean("window", MODEL)[0] > made.quality.mean("window", "own frequency")[0]


def test_the_gate_says_of_every_task_what_it_compared(made: Turn, tmp_path: Path) -> None:
    qualities = made.qualities()
    verdict = gate_first(qualities)
    assert {line.name for line in verdict.lines} == {quality.name for quality in qualities}
    path = release(made.bundle, qualities, verdict, tmp_path / "bundles", force=True)
    assert path is not None
    manifest = json.loads((path / "manifest.json").read_text())
    assert set(manifest["metrics"]) == {quality.name for quality in qualities}
    assert manifest["gate"]["passed"] == verdict.passed


def test_the_report_shows_every_part_with_plots_and_prints_the_tables(
    made: Turn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sections = tell(tmp_path / "report.html", made, gate_first(made.qualities()))
    page, said = (tmp_path / "report.html").read_text(), capsys.readouterr().out
    for title in ("Quality: window", "Calibration", "trials", "Fidelity", "Head-room", "Gate: first"):
        assert any(title in section.title for section in sections)
    assert page.count("<img") >= 6
    assert "document&#x27;s network" in page
    assert "expected" in said
    assert "head-room" in said


def test_the_constants_and_the_dial_are_measured_and_not_the_defaults(made: Turn) -> None:
    assert made.bundle.signals.center[2] != pytest.approx(-4.0)
    assert len(made.bundle.settings.spread) == len(made.bundle.policy.weights)
    assert made.policy.report["released"] in ("learned", "constant")


def test_a_turn_begun_again_is_not_learned_again(made: Turn, data: Dataset, tmp_path: Path) -> None:
    """The search and the policy are read from the folder: the same arrays come out."""
    out = made.network.table.parents[1]
    again = turn(data, Catalog.of(data.items), WINDOWS, out, SETTINGS)
    assert again.bundle.policy.id == made.bundle.policy.id
    np.testing.assert_array_equal(again.quality.values["window", MODEL], made.quality.values["window", MODEL])


def test_a_task_of_few_users_says_too_little(made: Turn) -> None:
    users = len(np.unique(made.quality.users["window"]))
    assert "ndcg@10 window" in {quality.name for quality in qualities_of(made.quality, least=users)}
    assert "ndcg@10 window" not in {quality.name for quality in qualities_of(made.quality, least=users + 1)}


def test_kinds_are_those_that_the_log_has_the_dearest_last(data: Dataset) -> None:
    events = Interactions.of(data, Catalog.of(data.items))
    counts = {kind: int((events.kind == KINDS.index(kind)).sum()) for kind in ("click", "purchase")}
    assert counts["click"] > counts["purchase"] > 0
    rare = counts["purchase"] < min(1_000, counts["click"])
    assert kinds_of(events) == (("click",) if rare else ("click", "purchase"))
    bought = events.where(events.kind == KINDS.index("purchase"))
    assert kinds_of(bought) == ("purchase",)
    assert SETTINGS.interest(kinds_of(bought)).primary == "purchase"


def test_query_classes_know_nothing_from_after_their_moment(data: Dataset) -> None:
    catalog = Catalog.of(data.items)
    events = Interactions.of(data, catalog)
    told = queries_of(data, events, catalog, WINDOWS[0])
    assert len(told) == len(events.before(WINDOWS[0])) < len(events)


def test_what_queries_are_after_is_learned_from_what_was_taken_under_them(data: Dataset) -> None:
    asked = [
        Impression(
            query_id=f"s{day}",
            surface="search",
            query="cuppa",
            item_ids=["item00000"],
            time_ms=START_MS + day,
        )
        for day in range(3)
    ]
    deeds = [
        Interaction(
            kind="click", item_id="item00000", query_id=f"s{day}", user_id="ann", time_ms=START_MS + day
        )
        for day in range(1, 3)
    ]
    logged = build([of_events([*WORLD.catalog(), *asked, *deeds])])
    searched = searches_of(logged, Catalog.of(logged.items))
    assert searched.taken.tolist() == [False, True, True]
    assert len(searched.before(START_MS + 2).what_was_taken().row) == 1
    assert len(searches_of(data, Catalog.of(data.items))) == 0
