"""Whoever sends an item's title, category and brand is told what the item would be told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.relevance.features import NAMES
from raysys.relevance.fit import RelevanceConfig, fit_trees
from raysys.relevance.model import Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.taken import Taken
from raysys.types import Wording
from tests import fakes
from tests.deployments.dialects.door import OPEN, Door
from tests.fakes import FakeEncoder, encode_texts

BRANDS, KINDS = ("Grove", "Hill", ""), ("food/fruit", "garden/tools", "")
WORDINGS = [
    Wording(f"{thing} {size} cm", kind, brand)
    for thing in ("apple", "rake") for size in (3, 20) for kind in KINDS for brand in BRANDS
]  # fmt: skip
CATALOG = Catalog.of(
    [
        ItemUpdate(item_id=f"i{n}", title=told.title, category=told.category, brand=told.brand)
        for n, told in enumerate(WORDINGS)
    ],
    encode_texts,
)
ROWS = np.arange(len(CATALOG))
TAKEN = Taken.of(
    ["moss"] * 40 + ["red rake"] * 40,
    np.concatenate([[row for row in ROWS if WORDINGS[row].brand == name][:4] * 10 for name in BRANDS[:2]]),
)
SCORER = RelevanceScorer.of_catalog(CATALOG, taken=TAKEN)
QUERIES = ["moss", "red rake", "grove apples 3 cm", "hill", "tools", "?", "never heard of"]
BRAND = NAMES.index("brand_wanted")


@pytest.fixture(scope="module")
def shop() -> Door:
    """Where nothing but relevance counts, by trees that have learned to go by the brand that is wanted."""
    rng = np.random.default_rng(0)
    seen = rng.random((600, len(NAMES))).astype(np.float32)
    seen[:, BRAND] = rng.uniform(-2, 2, 600)
    trees = fit_trees(
        seen, (seen[:, BRAND] > 0.0) * 1.0, np.repeat(np.arange(60), 10), RelevanceConfig(rounds=25, least=5)
    )
    scorer = RelevanceScorer(vocabulary=SCORER.vocabulary, intents=SCORER.intents, model=trees)
    policy = fakes.FakePolicy({"relevance": 1.0})
    parts = {"relevance": scorer, "encoder": FakeEncoder(), "policy": policy, "interest": None}
    return Door(fakes.bundle(catalog=CATALOG, **parts), reading=OPEN)


@pytest.mark.parametrize("query", QUERIES)
def test_an_unknown_text_has_the_features_of_the_item_with_its_words(query: str) -> None:
    vector = encode_texts([query])[0]
    by_row = SCORER.features(query, vector, ROWS, CATALOG)
    meant = encode_texts([told.text for told in WORDINGS])
    by_text = SCORER.features_of_texts(query, vector, WORDINGS, meant)
    np.testing.assert_array_equal(by_text, by_row)
    notes = SCORER.notes(query, vector, ROWS, CATALOG)
    assert SCORER.notes_of_texts(query, vector, WORDINGS, meant) == notes


def test_a_text_of_the_wanted_brand_gains_and_one_of_a_strange_brand_neither_gains_nor_loses() -> None:
    sent = [Wording("thing", brand=brand) for brand in ("Grove", "GROVE ", "Hill", "Zorg", "")]
    grove, again, hill, strange, none = SCORER.features_of_texts("moss", None, sent, None)[:, BRAND]
    assert grove == again > 0.0 > hill
    assert strange == none == 0.0


def test_a_brand_that_came_after_the_log_is_no_evidence_for_items_too() -> None:
    more = CATALOG.updated([ItemUpdate(item_id="new", title="thing", brand="Zorg")])
    assert SCORER.features("moss", None, np.array([len(CATALOG)]), more)[0, BRAND] == 0.0


@given(
    st.lists(
        st.builds(
            Wording,
            st.sampled_from(["apple", "", "!"]),
            st.sampled_from(KINDS),
            st.sampled_from([*BRANDS, "Zorg", "X" * 9_000]),
        ),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(QUERIES),
    st.integers(1, 7),
)
def test_a_wording_scores_alike_alone_and_in_any_list(sent: list[Wording], query: str, size: int) -> None:
    mixed = RelevanceScorer(
        vocabulary=SCORER.vocabulary,
        intents=SCORER.intents,
        model=Mix({"bm25f": 0.5, "brand_named": 0.3, "in_category": 0.2}),
    )
    whole = SCORER.features_of_texts(query, None, sent, None)
    parts = [sent[start : start + size] for start in range(0, len(sent), size)]
    apart = np.concatenate([SCORER.features_of_texts(query, None, part, None) for part in parts])
    np.testing.assert_array_equal(apart, whole)
    scores = mixed.of_texts(query, None, sent, None)
    np.testing.assert_array_equal(mixed.of_texts(query, None, sent[::-1], None)[::-1], scores)


def test_objects_that_engines_send_score_as_the_items_do(shop: Door) -> None:
    items = [{"item_id": f"i{row}"} for row in ROWS]
    objects = [dict(zip(("title", "category", "brand"), told, strict=True)) for told in WORDINGS]
    texts = [{"text": told.title, "category": told.category, "brand": told.brand} for told in WORDINGS]
    wanted = shop.scores(items, "moss")
    assert len(set(wanted)) > 1
    assert shop.scores(objects, "moss") == wanted
    assert shop.scores(texts, "moss") == wanted
    assert shop.scores([str(told.title) for told in WORDINGS], "moss") != wanted


def test_fields_asked_for_leave_a_brand_out_that_is_not_among_them(shop: Door) -> None:
    sent = [{"title": "thing", "brand": brand} for brand in BRANDS[:2]]
    alike = shop.scores(sent, "moss", rank_fields=["title"])
    assert alike[0] == alike[1]
    told = shop.scores(sent, "moss", rank_fields=["title", "brand"])
    assert told == shop.scores(sent, "moss")
    assert told[0] > told[1]


def test_a_category_or_brand_that_is_no_text_stays_among_the_words(shop: Door) -> None:
    lists = {"title": "thing", "brand": ["Grove"], "category": None}
    assert shop.scores([lists, "thing Grove"], "moss")[0] == shop.scores(["thing Grove"], "moss")[0]


def test_an_explanation_speaks_of_the_brand_that_came_with_a_text(shop: Door) -> None:
    told = {"category": WORDINGS[0].category, "brand": WORDINGS[0].brand, "color": ["red"]}
    candidates = [{"item_id": "i0"}, {"item_id": "new", "text": WORDINGS[0].title, "attributes": told}]
    answer = shop.post("/rank", {"query": "moss", "candidates": candidates, "explain": True}).json()
    known, unknown = (
        [reason["text"] for reason in item["reasons"] if reason["signal"] == "relevance"]
        for item in answer["items"]
    )
    assert known == unknown
    assert "is of a brand that it makes" in known[0]
