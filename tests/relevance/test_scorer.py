"""Relevance is a property of query and item: in any company, in any order, by hand where it can be."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.errors import ConfigError
from raysys.events import ItemUpdate
from raysys.relevance.documents import LONG, MOST_WORDS, Library
from raysys.relevance.features import NAMES
from raysys.relevance.model import Mix
from raysys.relevance.scorer import RelevanceScorer
from raysys.text.analysis import Analyzer
from raysys.text.normalize import MOST_CHARACTERS
from raysys.types import Wording
from tests.fakes import encode_texts

TITLES = [
    "whole milk 1 gal",
    "skim milk 1/2 gal",
    "oat drink",
    "milk chocolate bar",
    "steel pipe 3/4 in. x 8 ft.",
]
WORDINGS = list(map(Wording, TITLES))
VECTOR = encode_texts(["query"])[0]


def feature(name: str, query: str, *texts: str) -> list[float]:
    scorer = RelevanceScorer.learn(TITLES)
    found = scorer.features_of_texts(query, None, list(map(Wording, texts)), None)[:, NAMES.index(name)]
    return [round(float(value), 4) for value in found]


def test_words_are_counted_by_their_rarity() -> None:
    found = feature("coverage", "whole milk", "Whole Milk", "milk", "tea")
    assert found[0] == 1.0
    assert 0.0 < found[1] < 0.5
    assert found[2] == 0.0


@pytest.mark.parametrize(
    ("name", "query", "text", "expected"),
    [
        ("share", "oat milk", "milk", 0.5),
        ("last_word", "oat milk", "milk", 1.0),
        ("first_word", "oat milk", "milk", 0.0),
        ("pairs", "steel pipe cap", "a steel pipe", 0.5),
        ("pairs", "pipe steel", "a steel pipe", 0.0),
        ("order", "steel pipe", "steel for a pipe", 1.0),
        ("order", "pipe steel", "steel for a pipe", 0.0),
        ("span", "steel pipe", "steel for a pipe", 0.5),
        ("last_from_end", "steel pipe", "steel pipe bracket with screws", 0.4),
        ("letters", "milk", "milk", 1.0),
        ("letters", "milc", "milk", 0.5),
        ("sizes_agree", '3/4" pipe', "pipe .75 inch", 1.0),
        ("sizes_agree", "12 in shelf", "shelf 1 ft", 1.0),
        ("sizes_differ", '3/4" pipe', "pipe 1 in.", 1.0),
        ("sizes_differ", '3/4" pipe', "pipe 12 v", 0.0),
        ("sizes_agree", "pipe 3", "pipe 3 ft x 4 in", 1.0),
        ("sizes_differ", "pipe 5", "pipe 3 ft x 4 in", 0.0),
        ("title_words", "milk", "", 0.0),
        ("missing_rarest", "milk", "milk", 0.0),
    ],
)
def test_features_worked_out_by_hand(name: str, query: str, text: str, expected: float) -> None:
    assert feature(name, query, text) == [expected]


@pytest.mark.parametrize("few", [{"letters"}, {"bm25f", "sizes_agree"}, {"pairs", "meaning"}, {"in_brand"}])
def test_columns_that_nobody_reads_change_nothing_of_the_others(few: set[str]) -> None:
    scorer = RelevanceScorer.learn(TITLES)
    whole = scorer.features_of_texts("milk 1/2 gal", None, WORDINGS, None)
    part = scorer.features_of_texts("milk 1/2 gal", None, WORDINGS, None, frozenset(few))
    columns = [NAMES.index(name) for name in sorted(few)]
    np.testing.assert_array_equal(part[:, columns], whole[:, columns])


def test_a_phrase_does_not_run_from_one_document_into_the_next() -> None:
    assert feature("pairs", "steel pipe", "best steel", "pipe", "steel pipe") == [0.0, 0.0, 1.0]


def test_a_word_counts_in_the_field_where_it_stands() -> None:
    item = ItemUpdate(
        item_id="a", title="lager", brand="Pilsner Urquell", category="drinks/beer",
        description="brewed with soft water", attributes={"color": "golden", "abv": 4.4, "tags": ["czech"]},
    )  # fmt: skip
    catalog, scorer = Catalog.of([item]), RelevanceScorer()
    query = "urquell beer golden czech water"
    found = dict(zip(NAMES, scorer.features(query, None, np.array([0]), catalog)[0].tolist(), strict=True))
    shares = [
        round(found[f"in_{name}"], 4) for name in ("title", "category", "brand", "attributes", "description")
    ]
    assert shares == [0.0, 0.2, 0.2, 0.4, 0.2]
    assert found["brand_named"] == 0.0
    named = scorer.features("pilsner urquell", None, np.array([0]), catalog)[0]
    assert named[NAMES.index("brand_named")] == 1.0


def test_without_judgements_relevance_is_the_mix() -> None:
    mix = RelevanceScorer(model=Mix({"meaning": 0.6, "coverage": 0.4}))
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], np.float32)
    found = mix.of_texts("milk", np.array([0.6, 0.8]), list(map(Wording, ("tea", "milk", "milk"))), vectors)
    assert found == pytest.approx([0.36, 0.4 + 0.6 * 0.8, 1.0])


def test_a_mix_names_features_that_exist() -> None:
    with pytest.raises(ConfigError, match="no feature 'bm26'"):
        Mix({"bm26": 1.0})
    for weights in ({"meaning": 1.0}, {"bm25f": 0.0}, {"bm25f": float("nan")}, {"bm25f": float("inf")}):
        with pytest.raises(ConfigError, match="one above it for words"):
            Mix(weights)


TEXTS = st.lists(st.sampled_from([*TITLES, "", "!", "milk " * 300, "牛奶 500毫升"]), min_size=1, max_size=40)


@given(
    TEXTS,
    st.randoms(),
    st.integers(1, 9),
    st.sampled_from(["whole milk", "3/4 pipe", "milc", "?", "牛奶", "x" * 5_000]),
)
@settings(deadline=None, max_examples=40)
def test_a_score_is_the_same_alone_in_parts_and_in_any_order(
    texts: list[str], random: object, size: int, query: str
) -> None:
    scorer = RelevanceScorer.learn(TITLES)
    told, vectors = list(map(Wording, texts)), encode_texts(texts)
    vectors[::3] = 0.0
    together = scorer.of_texts(query, VECTOR, told, vectors)
    order = np.arange(len(texts))
    random.shuffle(order)  # type: ignore[attr-defined]
    parts = [order[place : place + size] for place in range(0, len(order), size)]
    apart = np.concatenate(
        [scorer.of_texts(query, VECTOR, [told[n] for n in part], vectors[part]) for part in parts]
    )
    np.testing.assert_array_equal(apart, together[order])
    assert np.all((together >= 0.0) & (together <= 1.0))


def test_a_known_item_scores_like_its_text() -> None:
    catalog = Catalog.of([ItemUpdate(item_id=title, title=title) for title in TITLES], encode_texts)
    scorer, rows = RelevanceScorer.of_catalog(catalog), np.array([4, 0, 2])
    by_row = scorer.scores("milk 1 gal", VECTOR, rows, catalog)
    texts = [TITLES[row] for row in rows]
    by_text = scorer.of_texts("milk 1 gal", VECTOR, list(map(Wording, texts)), encode_texts(texts))
    np.testing.assert_array_equal(by_row, by_text)


def test_a_scorer_comes_back_from_its_folder(tmp_path: Path) -> None:
    scorer = RelevanceScorer.learn(TITLES, Analyzer(synonyms=(("drink", "beverage"),)))
    scorer.save(tmp_path / "relevance")
    loaded = RelevanceScorer.load(tmp_path / "relevance")
    texts = [*WORDINGS, Wording("oat beverage")]
    expected = scorer.of_texts("oat drink", None, texts, None)
    np.testing.assert_array_equal(loaded.of_texts("oat drink", None, texts, None), expected)
    assert expected.argmax() in (2, 5)


def test_a_query_without_words_is_relevant_to_nothing() -> None:
    assert RelevanceScorer().of_texts("!?", None, WORDINGS, None).tolist() == [0.0] * len(TITLES)


def test_an_item_that_is_told_anew_is_found_by_its_new_words() -> None:
    scorer, rows = RelevanceScorer(model=Mix({"coverage": 1.0})), np.array([0, 1])
    old = Catalog.of([ItemUpdate(item_id="a", title="green tea"), ItemUpdate(item_id="b", title="rum")])
    assert scorer.scores("tea", None, rows, old).tolist() == [1.0, 0.0]
    new = old.updated([ItemUpdate(item_id="a", title="mug"), ItemUpdate(item_id="b", category="tea/rum")])
    assert scorer.scores("tea", None, rows, new).tolist() == [0.0, 1.0]
    assert scorer.scores("tea", None, rows, old).tolist() == [1.0, 0.0]


def test_a_shelf_gives_back_what_retold_items_left_behind() -> None:
    library, rows = Library(Analyzer()), np.array([0])
    catalog = Catalog.of([ItemUpdate(item_id="a", title="tea")])
    for number in range(1_500):
        catalog = catalog.updated([ItemUpdate(item_id="a", title=f"tea {number}")])
        words = library.items(catalog, rows).words.values
    assert len(words) == 3
    assert library.held < 20_000


def test_the_rest_of_a_long_text_is_not_read() -> None:
    assert feature("title_words", "milk", "milk " * 1_000) == [MOST_WORDS]
    assert feature("sizes_agree", "3 ft", "milk " * MOST_WORDS + "3 ft") == [0.0]


def test_long_words_and_texts_take_no_more_memory_than_is_read_of_them() -> None:
    letters = "".join(np.random.default_rng(0).choice(list("abcdefghijklmnopqrstuvwxyz"), 9_000))
    read = Library(Analyzer()).texts([Wording(letters), Wording(letters[:MOST_CHARACTERS])])
    assert np.all(read.trigrams.sizes <= LONG + 1)
    assert read.words.values[0] == read.words.values[2]


def test_one_character_is_found_where_words_have_no_spaces_between_them() -> None:
    assert feature("letters", "茶", "绿茶500克", "咖啡") == [1.0, 0.0]
    assert feature("letters", "手机壳", "手机套") == [0.75]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "query", ["", "in", "of the", "9" * 400, "9" * 400 + " 7/9", "9" * 39 + ".5 ft", "0/1"]
)
def test_odd_queries_and_texts_have_finite_features_and_long_numbers_agree_with_nothing(query: str) -> None:
    scorer, texts = RelevanceScorer.learn(TITLES), [*WORDINGS, Wording(query), Wording("")]
    found = scorer.features_of_texts(query, None, texts, None)
    assert np.isfinite(found[:, 1:]).all()
    assert not found[: len(WORDINGS), NAMES.index("sizes_agree")].any()
    assert np.isfinite(scorer.of_texts(query, None, texts, None)).all()
