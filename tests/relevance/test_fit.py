"""Judgements decide how much words and meaning count."""

from pathlib import Path

import numpy as np
import pytest

from raysys.errors import DataError
from raysys.relevance.fit import fit_relevance
from raysys.relevance.scorer import RelevanceScorer
from tuning.relevance import read_judged


def test_the_side_that_predicts_gets_the_weight() -> None:
    rng = np.random.default_rng(0)
    pairs = [("milk", text) for text in rng.choice(["milk", "tea"], 400)]
    angles = rng.uniform(0, np.pi / 2, 400)
    texts = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    queries = np.tile([1.0, 0.0], (400, 1))
    by_words = np.array([float(text == "milk") for _, text in pairs])
    assert fit_relevance(RelevanceScorer(), pairs, (queries, texts), by_words).lexical_share > 0.9
    assert fit_relevance(RelevanceScorer(), pairs, (queries, texts), texts[:, 0]).lexical_share < 0.1


def test_judgements_that_all_agree_are_refused() -> None:
    with pytest.raises(DataError, match="expected good and bad"):
        fit_relevance(RelevanceScorer(), [("a", "b")], (np.eye(1), np.eye(1)), np.ones(1))


def test_a_file_of_judgements_is_read_or_says_what_it_lacks(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("query,text,grade\nmilk,whole milk,3\nmilk,tea,1\nmilk,oat drink,2\n")
    bad.write_text("query,title\nmilk,tea\n")
    pairs, relevant = read_judged(good)
    assert pairs[0] == ("milk", "whole milk")
    assert relevant.tolist() == [1.0, 0.0, 0.5]
    with pytest.raises(DataError, match=r"bad.csv lacks the columns \['grade', 'text'\]"):
        read_judged(bad)
