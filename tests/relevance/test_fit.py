"""Judgements decide what features say, and what was learned scores alike wherever it runs."""

from pathlib import Path

import numpy as np
import pytest

from raysys.boosting import onnx_of
from raysys.errors import BundleError, DataError
from raysys.relevance.features import NAMES
from raysys.relevance.fit import (
    Judgements,
    RelevanceConfig,
    _Data,
    _grown,
    fit_relevance,
    fit_trees,
    mean_ndcg,
)
from raysys.relevance.model import Learned, Trees
from raysys.relevance.scorer import RelevanceScorer
from raysys.types import Floats
from tuning.relevance import read_judged

SMALL = RelevanceConfig(rounds=25, least=5)


def judged(size: int = 60, seed: int = 0) -> Judgements:
    """Texts that name the query's word, except that where they also say `not` they are no answer."""
    rng = np.random.default_rng(seed)
    things = [f"thing{n}" for n in range(size)]
    texts = [f"{thing} {ending}" for thing in things for ending in ("good", "not", "fine", "really not")]
    query = np.repeat(np.arange(size), 8)
    own = rng.random(len(query)) < 0.7
    text = np.where(own, query * 4 + rng.integers(0, 4, len(query)), rng.integers(0, len(texts), len(query)))
    good = [
        ("not" not in texts[t]) and texts[t].startswith(f"{things[q]} ")
        for q, t in zip(query, text, strict=True)
    ]
    return Judgements(queries=things, texts=texts, query=query, text=text, relevant=np.array(good, float))


def features(rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random((rows, len(NAMES))).astype(np.float32)


@pytest.fixture(scope="module")
def learned() -> Learned:
    seen = features(600)
    query = np.repeat(np.arange(60), 10)
    return fit_trees(seen, seen[:, 3].astype(float), query, SMALL)


def test_trees_learn_what_judgements_say() -> None:
    pairs = judged()
    scorer = RelevanceScorer.learn(pairs.texts)
    angle = np.array([[0.0, 1.0] if "not" in text else [1.0, 0.0] for text in pairs.texts])
    vectors = (np.tile([1.0, 1.0], (len(pairs.queries), 1)) / 2**0.5, angle)
    fitted = fit_relevance(scorer, pairs, vectors, SMALL)
    assert fitted.trees_ndcg >= fitted.mix_ndcg
    assert fitted.trees_error < 0.5


def test_where_trees_order_no_better_the_mix_stays() -> None:
    pairs = judged()
    noise = np.random.default_rng(1).random(len(pairs.relevant))
    scorer = RelevanceScorer.learn(pairs.texts)
    by_words = Judgements(
        queries=pairs.queries, texts=pairs.texts, query=pairs.query, text=pairs.text, relevant=noise
    )
    fitted = fit_relevance(scorer, by_words, None, SMALL)
    assert (fitted.scorer.model is scorer.model) == (fitted.trees_ndcg <= fitted.mix_ndcg)


def test_trees_in_onnx_say_what_lightgbm_says() -> None:
    seen = features(500)
    data = _Data(seen, seen[:, 3].astype(float), np.repeat(np.arange(50), 10), np.ones(500))
    for objective in ("regression", "lambdarank"):
        booster = _grown(data, objective, SMALL)  # type: ignore[arg-type]
        found = Trees([onnx_of(booster)], [(0.1, 0.5)]).relevance(seen)
        expected = np.clip(booster.predict(seen) * 0.1 + 0.5, 0.0, 1.0)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size", [1, 20, 32, 1_000])
def test_a_learned_score_is_the_same_in_any_company(learned: Learned, size: int) -> None:
    seen = features(1_000, seed=1)
    seen[::7, NAMES.index("meaning")] = np.nan
    together = learned.relevance(seen)
    order = np.random.default_rng(2).permutation(1_000)[: max(200, size)]
    apart = [learned.relevance(seen[order[n : n + size]]) for n in range(0, len(order), size)]
    np.testing.assert_array_equal(np.concatenate(apart), together[order])
    assert np.all((together >= 0.0) & (together <= 1.0))


def test_learned_relevance_is_calibrated_and_does_without_vectors(learned: Learned) -> None:
    seen = features(2_000, seed=3)
    found = learned.relevance(seen)
    assert abs(found.mean() - seen[:, 3].mean()) < 0.03
    seen[:, NAMES.index("meaning")] = np.nan
    assert np.corrcoef(learned.relevance(seen), seen[:, 3])[0, 1] > 0.8


def test_learned_trees_come_back_from_their_folder(learned: Learned, tmp_path: Path) -> None:
    scorer = RelevanceScorer(model=learned)
    scorer.save(tmp_path / "relevance")
    loaded = RelevanceScorer.load(tmp_path / "relevance")
    np.testing.assert_array_equal(loaded.model.relevance(features(50)), learned.relevance(features(50)))
    (tmp_path / "relevance/model.json").write_text('{"features": ["bm25"]}')
    with pytest.raises(BundleError, match="fit relevance again"):
        RelevanceScorer.load(tmp_path / "relevance")


def test_ndcg_by_hand() -> None:
    relevant, query = np.array([1.0, 0.0, 0.5, 0.0, 0.0]), np.array([0, 0, 0, 1, 1])
    assert mean_ndcg(np.array([3.0, 1.0, 2.0, 1.0, 2.0]), relevant, query) == 1.0
    worst = (0.5 / np.log2(3) + 1.0 / 2.0) / (1.0 + 0.5 / np.log2(3))
    assert mean_ndcg(np.array([1.0, 3.0, 2.0, 0.0, 0.0]), relevant, query) == pytest.approx(worst)


def test_judgements_that_all_agree_are_refused() -> None:
    with pytest.raises(DataError, match="expected good and bad"):
        Judgements(
            queries=["a"], texts=["b"], query=np.zeros(1, int), text=np.zeros(1, int), relevant=np.ones(1)
        )


def test_a_file_of_judgements_is_read_or_says_what_it_lacks(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("query,text,grade\nmilk,whole milk,3\nmilk,tea,1\ntea,tea,2\n")
    bad.write_text("query,title\nmilk,tea\n")
    found = read_judged(good)
    assert (found.queries, found.texts) == (["milk", "tea"], ["whole milk", "tea"])
    assert (found.query.tolist(), found.text.tolist()) == ([0, 0, 1], [0, 1, 1])
    assert found.relevant.tolist() == [1.0, 0.0, 0.5]
    with pytest.raises(DataError, match=r"bad.csv lacks the columns \['grade', 'text'\]"):
        read_judged(bad)
