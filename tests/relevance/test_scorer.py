"""Relevance is a property of query and item, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.relevance.scorer import RelevanceScorer

TITLES = ["whole milk", "skim milk", "oat drink"]


def test_the_share_of_rare_words_matched_decides() -> None:
    scorer = RelevanceScorer(idf={"whole": 3.0, "milk": 1.0})
    assert scorer.of_texts("Whole milk", None, ["whole milk", "milk", "tea"], None).tolist() == [
        1.0,
        0.25,
        0.0,
    ]


def test_meaning_joins_in_by_its_share() -> None:
    scorer = RelevanceScorer(lexical_share=0.25)
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
    found = scorer.of_texts("milk", np.array([0.6, 0.8]), ["tea", "milk", "milk"], vectors)
    assert found == pytest.approx([0.75 * 0.6, 0.25 + 0.75 * 0.8, 1.0])


def test_a_score_is_the_same_alone_and_in_company(tmp_path: Path) -> None:
    def encode(texts: list[str]) -> np.ndarray:  # type: ignore[type-arg]
        return np.eye(384, dtype=np.float32)[[len(text) for text in texts]]

    updates = [ItemUpdate(item_id=str(n), title=title) for n, title in enumerate(TITLES)]
    catalog = Catalog.of(updates, encode)
    RelevanceScorer.learn(TITLES).save(tmp_path / "relevance")
    scorer = RelevanceScorer.load(tmp_path / "relevance")
    vector = np.full(384, 384**-0.5)
    together = scorer.scores("skim milk", vector, np.array([2, 0, 1]), catalog)
    alone = [scorer.scores("skim milk", vector, np.array([row]), catalog)[0] for row in (2, 0, 1)]
    np.testing.assert_array_equal(together, alone)
    assert together.argmax() == 2


def test_a_query_without_words_is_relevant_to_nothing() -> None:
    assert RelevanceScorer().of_texts("!?", None, TITLES, None).tolist() == [0.0] * 3


def test_an_item_that_is_told_anew_is_found_by_its_new_words() -> None:
    scorer, rows = RelevanceScorer(), np.array([0, 1])
    old = Catalog.of([ItemUpdate(item_id="a", title="green tea"), ItemUpdate(item_id="b", title="rum")])
    assert scorer.scores("tea", None, rows, old).tolist() == [1.0, 0.0]
    new = old.updated([ItemUpdate(item_id="a", title="mug"), ItemUpdate(item_id="b", category="tea/rum")])
    assert scorer.scores("tea", None, rows, new).tolist() == [0.0, 1.0]
    assert scorer.scores("tea", None, rows, old).tolist() == [1.0, 0.0]
