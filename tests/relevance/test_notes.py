"""An explanation says which words, letters, meaning, sizes and brand relevance was made of."""

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.explain import total
from raysys.ranker import Ranker
from raysys.relevance.scorer import RelevanceScorer
from raysys.state.memory import MemoryStore
from raysys.types import Candidates, Wording
from tests import fakes
from tests.fakes import encode_texts, ids


def test_known_notes() -> None:
    item = ItemUpdate(item_id="a", title="steel pipe 3/4 in.", brand="Acme")
    catalog, scorer = Catalog.of([item], encode_texts), RelevanceScorer()
    vector = np.asarray(catalog.text_vectors[0])
    found = scorer.notes('acme pipes 3/4"', vector, np.array([0]), catalog)
    assert found == [
        "has 100 % of its words by weight, is 1.00 like it in meaning, has 100 % of its sizes,"
        " is of the brand it names"
    ]
    other = scorer.notes_of_texts("pipee 1 in", None, [Wording("steel pipe 3/4 in.")], None)[0]
    assert "with similar spellings" in other
    assert "has other sizes for 100 %" in other
    assert "meaning" not in other


def test_an_explained_result_speaks_of_words_and_meaning_and_its_terms_still_add_up() -> None:
    catalog = fakes.shop()
    ranker = Ranker(
        fakes.bundle(catalog=catalog, relevance=RelevanceScorer.of_catalog(catalog)), MemoryStore()
    )
    sent = Candidates(item_ids=ids("i3", "i4", "new"), texts={2: Wording("the i3 in green")})
    ranking = ranker.rank(fakes.ask(text="the i3", explain=True), sent)
    for item in ranking.items:
        assert total(item.reasons) == pytest.approx(item.score, abs=1e-6)
        (told,) = [reason.text for reason in item.reasons if reason.signal == "relevance"]
        assert "of its words by weight" in told
        assert "like it in meaning" in told
