"""What queries are after is found in a log where it is known; where nothing is known, nothing is said."""

import math
from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import ItemUpdate
from raysys.ranker import Ranker
from raysys.relevance.documents import name_hash, token_hash
from raysys.relevance.features import NAMES
from raysys.relevance.intent import LARGEST, SMOOTHING, Intent, query_hash
from raysys.relevance.model import Learned
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.taken import HEAD, LOGGED, USUAL, Taken
from raysys.state.memory import MemoryStore
from raysys.text.keywords import QueryClasses
from raysys.types import Candidates, Floats, Wording
from tests import fakes
from tests.fakes import encode_texts, ids

CATEGORY, BRAND = NAMES.index("category_wanted"), NAMES.index("brand_wanted")
CATEGORIES = ("food/fruit", "office/computers", "garden/tools")
SHARES = {"apple": (0.3, 0.7, 0.0), "apple juice": (1.0, 0.0, 0.0), "apple mouse": (0.0, 1.0, 0.0)}
"""What people who ask so take: the known answer."""


def shop() -> Catalog:
    """Ten items of each category, every other one of the brand Grove; their titles tell nothing of either."""
    items = [
        ItemUpdate(
            item_id=f"i{n}",
            title=f"thing {n}",
            category=CATEGORIES[n % 3],
            brand=("Grove", "Hill")[n // 3 % 2],
        )
        for n in range(30)
    ]
    return Catalog.of(items, encode_texts)


def log(times: int, seed: int = 0) -> Taken:
    """Each query asked so many times, an item of the wanted category taken each time."""
    rng = np.random.default_rng(seed)
    queries = [query for query in SHARES for _ in range(times)]
    wanted = np.concatenate([rng.choice(3, times, p=shares) for shares in SHARES.values()])
    return Taken.of(queries, rng.integers(0, 10, len(queries)) * 3 + wanted)


@pytest.fixture(scope="module")
def learned() -> RelevanceScorer:
    return RelevanceScorer.of_catalog(shop(), taken=log(400))


def chances(scorer: RelevanceScorer, query: str) -> dict[str, float]:
    return dict(scorer.understood(query).categories)


def lift(scorer: RelevanceScorer, query: str, column: int = CATEGORY) -> Floats:
    """Of items of each category in turn."""
    return scorer.features(query, None, np.arange(3), shop())[:, column]


def test_frequent_queries_have_the_shares_that_the_log_was_made_with(learned: RelevanceScorer) -> None:
    for query, shares in SHARES.items():
        found = chances(learned, query)
        told = [found.get(name, 0.0) for name in CATEGORIES]
        assert told == pytest.approx(shares, abs=0.06)


def test_a_query_never_asked_is_read_by_its_words(learned: RelevanceScorer) -> None:
    assert max(chances(learned, "juice"), key=chances(learned, "juice").__getitem__) == "food/fruit"
    found = lift(learned, "mouse of apple")
    assert chances(learned, "mouse of apple")["office/computers"] > 0.75
    assert found[1] > 0.0 > found[0] > found[2]


def test_where_nothing_is_known_nothing_is_said(learned: RelevanceScorer) -> None:
    assert learned.understood("hammer").categories == ()
    np.testing.assert_array_equal(lift(learned, "hammer"), 0.0)
    texts = learned.features_of_texts("apple juice", None, [Wording("thing 1")], None)
    assert texts[0, CATEGORY] == texts[0, BRAND] == 0.0


def test_without_a_log_the_catalog_says_what_its_words_name() -> None:
    items = [
        ItemUpdate(item_id="a", title="lager", brand="Pilsner Urquell", category="drinks/beer"),
        ItemUpdate(item_id="b", title="stout", brand="Harp", category="drinks/beer"),
        ItemUpdate(item_id="c", title="crisps", brand="Harp", category="food/snacks"),
    ]
    catalog = Catalog.of(items)
    scorer = RelevanceScorer.of_catalog(catalog)
    brand = scorer.features("urquell", None, np.arange(3), catalog)[:, BRAND]
    assert brand[0] > 0.0 > brand[1] == brand[2]
    category = scorer.features("beer", None, np.arange(3), catalog)[:, CATEGORY]
    assert category[0] == category[1] > 0.0 > category[2]


def test_chances_worked_out_by_hand() -> None:
    """Two names of the same share; a word that no title has, asked for four times, then often enough."""
    items = [ItemUpdate(item_id=f"i{n}", title="thing", brand=("Grove", "Hill")[n]) for n in range(2)]
    catalog = Catalog.of(items)
    few = RelevanceScorer.of_catalog(catalog, taken=Taken.of(["moss"] * 4, np.zeros(4, np.int64)))
    share = np.array([(4 + USUAL / 2), USUAL / 2]) / (4 + USUAL)
    likely = np.array([(4 / share[0] + LOGGED), LOGGED]) / (4 + LOGGED)
    chance = share * np.sqrt(likely)
    brand, words = few.intents.brand, np.array([token_hash("moss")])
    found = brand.chances(words, query_hash(["moss"]))
    assert found is not None
    assert found[brand.names.index("Grove")] == pytest.approx(chance[0] / chance.sum())
    assert few.understood("moss").brands == ()  # so little that it is not worth telling
    many = int(HEAD)
    known = RelevanceScorer.of_catalog(catalog, taken=Taken.of(["moss"] * many, np.zeros(many, np.int64)))
    share = np.array([(many + USUAL / 2), USUAL / 2]) / (many + USUAL)
    chance = share * np.sqrt(np.array([(many / share[0] + LOGGED), LOGGED]) / (many + LOGGED))
    whole = (many + SMOOTHING * chance[0] / chance.sum()) / (many + SMOOTHING)
    assert dict(known.understood("moss").brands)["Grove"] == pytest.approx(whole)
    told = known.features("moss", None, np.arange(2), catalog)[0, BRAND]
    assert told == pytest.approx(math.log(whole / share[0]), rel=1e-5)


def test_names_beyond_those_that_are_kept_share_what_is_left() -> None:
    items = [ItemUpdate(item_id=f"i{n}", title="thing", brand=f"brand{n}") for n in range(200)]
    catalog = Catalog.of(items)
    scorer = RelevanceScorer.of_catalog(catalog, taken=Taken.of(["moss"] * 50, np.zeros(50, np.int64)))
    found = scorer.features("moss", None, np.arange(200), catalog)[:, BRAND]
    share = np.append((50 + USUAL / 200) / (50 + USUAL), np.full(199, USUAL / 200 / (50 + USUAL)))
    assert found[0] > 0.0 > found[1]
    np.testing.assert_allclose(found[1:], found[1], atol=1e-5)
    assert float(share @ np.exp(found.astype(np.float64))) == pytest.approx(1.0, abs=1e-4)
    assert np.all(np.abs(found) <= LARGEST)


def test_scores_are_the_same_in_any_company(learned: RelevanceScorer) -> None:
    together = learned.features("apple juice", None, np.arange(30), shop())
    alone = np.concatenate([learned.features("apple juice", None, np.array([n]), shop()) for n in range(30)])
    np.testing.assert_array_equal(together, alone)


def test_intents_come_back_from_their_folder(learned: RelevanceScorer, tmp_path: Path) -> None:
    learned.save(tmp_path / "relevance")
    loaded = RelevanceScorer.load(tmp_path / "relevance")
    for query in (*SHARES, "juice of apple", "hammer"):
        assert loaded.understood(query) == learned.understood(query)
        np.testing.assert_array_equal(lift(loaded, query), lift(learned, query))


def test_an_item_that_moves_to_another_category_is_judged_by_it() -> None:
    catalog = shop()
    scorer = RelevanceScorer.of_catalog(catalog, taken=log(400))
    before = scorer.features("apple juice", None, np.array([1]), catalog)[0, CATEGORY]
    moved = catalog.updated([ItemUpdate(item_id="i1", category="Food/Fruit")])
    after = scorer.features("apple juice", None, np.array([1]), moved)[0, CATEGORY]
    assert before < 0.0 < after


def test_names_are_known_in_any_case_and_nothing_is_no_name() -> None:
    assert name_hash("GROVE") == name_hash("grove") != name_hash("hill")
    assert name_hash(" ") == name_hash("") == 0
    assert Intent().chances(np.array([1]), 1) is None


def test_a_log_whose_columns_differ_is_refused() -> None:
    with pytest.raises(DataError, match="1 queries but 2 items taken"):
        Taken.of(["a"], np.zeros(2, np.int64))


def test_an_explained_ranking_tells_how_its_query_was_read(learned: RelevanceScorer) -> None:
    bundle = fakes.bundle(
        catalog=shop(), relevance=learned, classes=QueryClasses.learn(["apples"] * 9 + ["pear"])
    )
    ranker, sent = Ranker(bundle, MemoryStore()), Candidates(item_ids=ids("i0", "i1"))
    told = ranker.rank(fakes.ask(text="Apples", explain=True), sent).understood
    assert told is not None
    assert (told.words, told.query_class) == (("apple",), "head")
    assert told.categories[0][0] == "office/computers"
    assert ranker.rank(fakes.ask(text="Apples"), sent).understood is None


def test_a_model_that_reads_what_a_query_is_after_says_so(learned: RelevanceScorer, reading: Learned) -> None:
    scorer = RelevanceScorer(
        analyzer=learned.analyzer, vocabulary=learned.vocabulary, intents=learned.intents, model=reading
    )
    good, bad = scorer.notes("apple juice", None, np.array([0, 1]), shop())
    assert "is of a category that it makes" in good and "more likely" in good  # noqa: PT018
    assert "less likely" in bad
    assert "likely" not in learned.notes("apple juice", None, np.array([0]), shop())[0]
    scores = scorer.scores("apple juice", None, np.array([0, 1]), shop())
    assert scores[0] > scores[1]


@pytest.fixture(scope="module")
def reading() -> Learned:
    """Trees that have learned to go by the category that is wanted."""
    from raysys.relevance.fit import RelevanceConfig, fit_trees

    rng = np.random.default_rng(0)
    seen = rng.random((600, len(NAMES))).astype(np.float32)
    seen[:, CATEGORY] = rng.uniform(-2, 2, 600)
    relevant = (seen[:, CATEGORY] > 0.0).astype(float)
    return fit_trees(seen, relevant, np.repeat(np.arange(60), 10), RelevanceConfig(rounds=25, least=5))
