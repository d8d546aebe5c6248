"""A text that is no item is understood like one: it gets a vector, once."""

from dataclasses import replace

import numpy as np
import pytest

from raysys.ranker import Ranker
from raysys.relevance.model import Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.state.memory import MemoryStore
from raysys.types import Candidates, Wording
from tests import fakes
from tests.fakes import FakeEncoder, encode_texts, ids

TEXTS = {0: Wording("tea from china"), 1: Wording("rum"), 2: Wording("the i3")}


@pytest.fixture
def ranker() -> Ranker:
    scorer = RelevanceScorer(model=Mix({"meaning": 0.5, "coverage": 0.5}))
    policy = fakes.FakePolicy({"relevance": 1.0})
    bundle = fakes.bundle(relevance=scorer, encoder=FakeEncoder(), policy=policy, interest=None)
    return Ranker(bundle, MemoryStore())


def sent(*names: str) -> Candidates:
    return Candidates(item_ids=ids(*names), texts=dict(list(TEXTS.items())[: len(names)]))


def test_a_text_without_a_common_word_is_told_apart_by_its_meaning(ranker: Ranker) -> None:
    query, vector = fakes.ask(text="grog"), encode_texts(["rum"])[0]
    scores = ranker.score(query, sent("x", "y"), vector)
    assert scores[1] > scores[0]


def test_only_texts_of_unknown_items_without_a_vector_are_read(ranker: Ranker) -> None:
    query, candidates = fakes.ask(text="rum"), sent("x", "y", "i3")
    [work] = ranker.unread(query, candidates)
    assert (work.part, work.texts) == ("encoder", ["tea from china", "rum"])
    assert replace(work, texts=["rum"]).read(lambda: True)
    assert [work.texts for work in ranker.unread(query, candidates)] == [["tea from china"]]
    assert not ranker.unread(fakes.ask(text=" "), candidates)


def test_reading_stops_when_it_is_told_to_and_words_decide(ranker: Ranker) -> None:
    [work] = ranker.unread(fakes.ask(text="rum"), sent("x", "y"))
    assert not work.read(lambda: False)
    vector = encode_texts(["rum"])[0]
    without = ranker.score(fakes.ask(text="rum"), sent("x", "y"), vector, ["encoder"])
    by_words = ranker.score(fakes.ask(text="rum"), sent("x", "y"), None, ["encoder"])
    np.testing.assert_array_equal(without, by_words)
    assert ranker.bundle.encoder.asked == []  # type: ignore[union-attr, attr-defined]


def test_a_document_scores_alike_by_itself_and_among_others(ranker: Ranker) -> None:
    vector, query = encode_texts(["rum"])[0], fakes.ask(text="china tea")
    together = ranker.score(query, sent("x", "y"), vector)
    alone = ranker.score(query, sent("x"), vector)
    assert alone[0] == together[0]
