"""The command teaches a cross-encoder, and a bundle serves with it where it orders better."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.events import ItemUpdate
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.relevance.unseen import unread
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.text.cross_encoder import Blend, CrossEncoder
from raysys.types import Candidates
from tests.fakes import ask
from tests.small import TEXTS, TURNED, judged_file, judgements, small_encoder
from tuning import cross_encoder, relevance

QUERIES = [*TEXTS, *TURNED]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged_file(tmp_path_factory.mktemp("judged") / "judged.csv", QUERIES, turn=1)


@pytest.fixture(scope="module")
def tuned(judged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    cross_encoder.main(
        [
            str(judged), "--out", str(folder / "shop"), "--model", str(small_encoder(folder / "small")),
            "--passes", "12", "--rate", "2e-3", "--layers", "2",
        ]
    )  # fmt: skip
    return folder / "shop"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A bundle without any part that could guess which color is wanted."""
    catalog = Catalog.of([ItemUpdate(item_id=text, title=text) for text in TEXTS])
    policy = Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.0)
    Bundle(catalog=catalog, policy=policy).save(tmp_path / "old")
    return tmp_path / "old"


def test_it_learns_and_tells_by_queries_that_it_never_saw(tuned: Path) -> None:
    told = json.loads((tuned / cross_encoder.METRICS).read_text())
    assert told["judges"] == int(unread(QUERIES).sum())
    assert told["ndcg"]["served"][0] > told["ndcg"]["as it came"][0]
    assert told["error_of_8_bits"] < 0.05
    assert told["pair_us"] > 0


def test_a_folder_is_never_overwritten(tuned: Path) -> None:
    with pytest.raises(ConfigError, match="holds a cross-encoder already"):
        cross_encoder.tune_cross_encoder(judgements(QUERIES, turn=1), tuned)


def test_too_few_queries_to_judge_it_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="0 of 30 queries are kept to judge it"):
        cross_encoder.tune_cross_encoder(judgements(), tmp_path / "shop")


def test_a_file_or_a_log_has_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name a file"):
        cross_encoder.main(["--out", str(tmp_path / "shop")])


def test_a_bundle_serves_with_it(tuned: Path, judged: Path, old: Path, tmp_path: Path) -> None:
    arguments = [str(judged), "--bundle", str(old), "--out", str(tmp_path / "new")]
    relevance.main([*arguments, "--cross-encoder", str(tuned / "served")])
    made = Bundle.load(tmp_path / "new")
    ndcg = made.manifest["relevance"]["ndcg_at_5"]
    assert isinstance(made.cross_encoder, CrossEncoder)
    assert ndcg["with_cross_encoder"] > max(ndcg["mix"], ndcg["trees"])
    assert made.cross_encoder.blend.close > 0.0
    ranking = Ranker(made, MemoryStore()).rank(ask(text="blue lamp", explain=True), Candidates.of(TEXTS[:8]))
    assert ranking.degraded == ()
    assert any("read as a whole" in reason.text for item in ranking.items for reason in item.reasons)
    for item in ranking.items:
        assert sum(reason.value for reason in item.reasons) == pytest.approx(item.score, abs=1e-6)


def test_one_that_orders_no_better_is_left_out(
    tuned: Path, judged: Path, old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Contrary(CrossEncoder):
        """Says the opposite."""

        def _run(self, query: str, text: str) -> float:
            return 1.0 - super()._run(query, text)

    fitted = relevance.tune_relevance(
        judgements(QUERIES, turn=1), relevance.RelevanceScorer.learn(TEXTS), None, apart=unread(QUERIES)
    )
    contrary = Contrary.load(tuned / "served")
    assert relevance.beside(fitted, judgements(QUERIES, turn=1), contrary)[0] is None


def test_learned_anew_the_bundles_own_gets_a_new_say(
    tuned: Path, judged: Path, old: Path, tmp_path: Path
) -> None:
    cross = CrossEncoder.load(tuned / "served").with_blend(Blend(plain=0.9, close=0.1))
    replace(Bundle.load(old), cross_encoder=cross).save(tmp_path / "with")
    relevance.main([str(judged), "--bundle", str(tmp_path / "with"), "--out", str(tmp_path / "new")])
    made = Bundle.load(tmp_path / "new").cross_encoder
    assert isinstance(made, CrossEncoder)
    assert made.blend.close > 0.1
