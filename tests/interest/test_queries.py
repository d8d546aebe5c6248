"""Past queries in the network: alike live and from a log, learned where they tell something, else free."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.events import KINDS
from raysys.interest.asked import last_one
from raysys.interest.bulk import user_vectors
from raysys.interest.encoder import TOKEN, WORDS, UserEncoder
from raysys.interest.export import export_network
from raysys.interest.habits import Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.queries import ASKED, NO_QUERIES, QUERY, Queries, Vocabulary, WordCounts, hashed
from raysys.interest.questions import Questions
from raysys.interest.sequences import Batch, Sequences
from raysys.interest.source import NetworkSource
from raysys.interest.train import fit_network
from raysys.interest.warm import Older, begin
from raysys.state.fold import fold_all
from raysys.types import DAY_MS, Ints
from tests.fakes import shop
from tests.interest.told import Line, event_of, log_of

PURCHASE = KINDS.index("purchase")
CONFIG = NetworkConfig(
    width=16, dropout=0.0, batch_tokens=256, learning_rate=0.01, epochs=30, patience=30, day_share=0.0
)
THINGS = ("tea", "rum", "bread", "soap")
WHAT = st.integers(0, 4) | st.sampled_from(["tea", "rum", "green tea", "?", "nobody said this"])
LINE = st.tuples(st.integers(0, 2), st.integers(0, 6 * DAY_MS), WHAT, st.integers(0, len(KINDS) - 1))


def world(users: int = 80, days: int = 12, seed: int = 0) -> Interactions:
    """Everybody asks for one of four things on a day and takes one of its three items on the next day.

    What is asked for is drawn, so no item tells what comes next; only the query of the day before does.
    """
    rng = np.random.default_rng(seed)
    lines: list[Line] = []
    for user in range(users):
        wanted = int(rng.integers(4))
        lines.append((user, 0, f"fresh {THINGS[wanted]}", 0))
        for day in range(1, days):
            lines.append((user, day * DAY_MS, 3 * wanted + int(rng.integers(3)), PURCHASE))
            wanted = int(rng.integers(4))
            lines.append((user, day * DAY_MS + 1, f"fresh {THINGS[wanted]}", 0))
    return log_of(sorted(lines, key=lambda line: line[1]))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(12)


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> InterestNetwork:
    training = fit_network(world().before(10 * DAY_MS), catalog, CONFIG, device="cpu")
    list(training)
    return training.model


@pytest.fixture(scope="module")
def folder(model: InterestNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_network(model, tmp_path_factory.mktemp("network") / "out")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> UserEncoder:
    return UserEncoder.load(folder)


def hits(events: Interactions, catalog: Catalog, config: NetworkConfig) -> float:
    """How often an item of the kind that was asked for leads the ranking of everybody's next item."""
    cut = 10 * DAY_MS
    before, after = events.before(cut), events.since(cut).before(cut + DAY_MS)
    training = fit_network(before, catalog, config, device="cpu")
    list(training)
    questions = Questions.of(before, after, config, vocabulary=training.log.vocabulary)
    best = questions.scores(training.model).argmax(1)
    return float(np.mean([row // 3 == true[0] // 3 for row, true in zip(best, questions.truth, strict=True)]))


@pytest.mark.parametrize("day_share", [0.0, 1.0])
def test_what_only_a_past_query_tells_is_learned_and_without_queries_it_is_not(
    catalog: Catalog, day_share: float
) -> None:
    config = dataclasses.replace(CONFIG, day_share=day_share)
    assert hits(world(), catalog, config) > 0.95
    assert (
        hits(dataclasses.replace(world(), queries=NO_QUERIES), catalog, config) < 0.45
    )  # chance is a quarter


def test_a_query_moves_the_scores_at_once_for_somebody_unknown_too(
    encoder: UserEncoder, catalog: Catalog
) -> None:
    source = NetworkSource.of(encoder, catalog)
    for number, word in enumerate(THINGS):
        told: list[Line] = [(0, 5, f"{word}, never heard of", 0)]
        habits = Habits.of(fold_all((n, event_of(n, line)) for n, line in enumerate(told)), catalog)
        assert not len(habits.history_rows)
        assert source.knows(habits)
        best = np.argsort(-source.scores(habits, DAY_MS))[:3]
        assert sorted(best.tolist()) == [3 * number, 3 * number + 1, 3 * number + 2]


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(LINE, min_size=1, max_size=160), seed=st.integers(0, 99))
def test_the_vector_of_a_live_state_is_that_of_the_same_history_in_a_log(
    encoder: UserEncoder, model: InterestNetwork, catalog: Catalog, lines: list[Line], seed: int
) -> None:
    """Whatever the order at one time, whether a word is known, and however much a state still holds."""
    lines.sort(key=lambda line: line[1])
    log, vectors = log_of(lines), encoder.item_vectors(catalog)
    now_ms = lines[-1][1] + seed * DAY_MS // 9
    users = np.unique(log.user)
    assume(len(users))
    offline = user_vectors(model, log, users, np.full(len(users), now_ms))
    swept = habits_of(log)
    for user, vector in zip(users.tolist(), offline, strict=True):
        mine = [(n, event_of(n, line)) for n, line in enumerate(lines) if line[0] == user]
        found = []
        for habits in (Habits.of(fold_all(mine), catalog), swept[user]):
            history = habits.history_rows, habits.history_kinds, habits.history_ms
            found.append(encoder.user_vector(*history, vectors, now_ms, habits.queries))
        np.testing.assert_array_equal(*found)
        np.testing.assert_allclose(found[0], vector, atol=1e-4)


def test_words_never_learned_are_passed_over_and_known_ones_are_averaged(
    encoder: UserEncoder, catalog: Catalog
) -> None:
    vectors = encoder.item_vectors(catalog)

    def vector(*texts: str) -> object:
        lines: list[Line] = [(0, 0, 1, PURCHASE), *((0, 1, text, 0) for text in texts), (0, 2, 5, PURCHASE)]
        habits = habits_of(log_of(lines))[0]
        history = habits.history_rows, habits.history_kinds, habits.history_ms
        return encoder.user_vector(*history, vectors, DAY_MS, habits.queries).tolist()

    assert vector("nobody said this") == vector("?") == vector() != vector("tea")
    assert vector("nobody said tea") == vector("TEA!") == vector("teas") != vector("rum")
    assert vector("tea", "rum") != vector("rum", "tea")


def test_a_log_without_queries_makes_a_network_that_reads_none(catalog: Catalog, tmp_path: Path) -> None:
    plain = dataclasses.replace(world(), queries=NO_QUERIES)
    once = dataclasses.replace(plain, queries=one_word_each(plain))
    config = dataclasses.replace(CONFIG, epochs=1)
    folders = []
    for name, log in (("plain", plain), ("once", once)):  # a word that one person alone asked with is none
        training = fit_network(log, catalog, config, device="cpu")
        list(training)
        folders.append(export_network(training.model, tmp_path / name))
    files = sorted(path.name for path in folders[0].iterdir())
    assert files == sorted(path.name for path in folders[1].iterdir())
    assert not {TOKEN, WORDS} & set(files)
    for name in files:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def one_word_each(events: Interactions) -> Queries:
    users = np.unique(events.user)
    nothing = np.zeros(len(users), np.int64)
    twice = [f"word{user}" for user in users.tolist() for _ in range(2)]
    user, nothing = np.repeat(users, 2), np.repeat(nothing, 2)
    return Queries.of(user=user, time_ms=nothing, after=nothing, texts=twice)


def test_only_words_and_what_reads_them_are_added_by_queries(encoder: UserEncoder, folder: Path) -> None:
    assert encoder.words is not None
    vocabulary, vectors = encoder.words
    assert set(vocabulary.token) == {word for text in ("fresh", *THINGS) for word in hashed(text)}
    assert vectors.shape == (len(vocabulary), CONFIG.width)
    again = UserEncoder.load(folder)
    assert again.words is not None
    np.testing.assert_array_equal(again.words[1], vectors)


def test_a_narrow_network_and_a_saved_one_read_queries_too(
    encoder: UserEncoder, catalog: Catalog, tmp_path: Path
) -> None:
    source = NetworkSource.of(encoder, catalog)
    source.narrow().save(tmp_path / "narrow")
    again = NetworkSource.load(tmp_path / "narrow")
    habits = habits_of(log_of([(0, 0, 1, PURCHASE), (0, 1, "rum", 0)]))[0]
    full, narrow = (one.scores(habits, DAY_MS) for one in (source, again))
    np.testing.assert_allclose(narrow, full, rtol=0.05, atol=1e-3)


def test_a_network_goes_on_with_the_words_that_an_older_one_knew(
    model: InterestNetwork, folder: Path, catalog: Catalog
) -> None:
    older = Older.load(folder, catalog.item_ids)
    lines: list[Line] = [
        (u, n, what, PURCHASE) for u in range(3) for n, what in enumerate((1, "tea", "milk", 2))
    ]
    young = fit_network(log_of(sorted(lines, key=lambda line: line[1])), catalog, CONFIG, device="cpu")
    begin(young.model, older, catalog)
    assert young.model.words is not None
    assert young.model.vocabulary is not None
    tea, milk = young.model.vocabulary.rows(np.array([*hashed("tea"), *hashed("milk")]))
    assert older.words is not None
    was = older.words[1][older.words[0].rows(np.array(hashed("tea")))[0]]
    np.testing.assert_array_equal(young.model.words[tea].detach().numpy(), was)
    assert not young.model.words[milk].any()
    torch.testing.assert_close(young.model.user.kind.weight, model.user.kind.weight)
    plain = fit_network(dataclasses.replace(world(), queries=NO_QUERIES), catalog, CONFIG, device="cpu")
    begin(plain.model, older, catalog)
    torch.testing.assert_close(plain.model.user.kind.weight, model.user.kind.weight[:QUERY])


def rows_of(sequences: Sequences) -> list[int]:
    return np.asarray(sequences.row).tolist()


def vocabulary_of(log: Interactions) -> Vocabulary:
    counts = WordCounts()
    for _ in range(2):
        counts.add(log.queries)
    found = counts.vocabulary()
    assert found is not None
    return found


def test_after_every_event_the_next_item_is_asked_for_and_never_a_query() -> None:
    lines: list[Line] = [
        (0, 0, 1, PURCHASE), (0, 1, "tea", 0), (0, 2, "rum", 0), (0, 3, 2, PURCHASE), (0, 4, 3, PURCHASE),
        (0, 5, "tea", 0), (1, 6, "rum", 0), (1, 7, 4, PURCHASE), (1, 8, 5, PURCHASE),
    ]  # fmt: skip
    log = log_of(lines)
    sequences = Sequences.of(log, vocabulary_of(log))
    assert rows_of(sequences) == [1, ASKED, ASKED - 1, 2, 3, ASKED - 2, ASKED - 3, 4, 5]
    wanted = sequences.row >= 0
    soon, later = Batch.of(sequences, np.array([[0, 6], [6, 9]]), wanted, 0.0, ahead=2).asks
    assert soon.target.tolist() == [2, 2, 2, 3, 4, 5]
    assert later.target.tolist() == [3, 3, 3, 5]


def test_after_a_day_all_items_of_the_next_day_with_items_are_asked_for() -> None:
    lines: list[Line] = [
        (0, 0, 1, PURCHASE), (0, DAY_MS, "tea", 0), (0, 3 * DAY_MS, 2, PURCHASE), (0, 3 * DAY_MS, "tea", 0),
        (0, 3 * DAY_MS, 3, PURCHASE), (0, 3 * DAY_MS, "tea", 0), (0, 4 * DAY_MS, 4, PURCHASE),
        (0, 5 * DAY_MS, "tea", 0), (1, 6 * DAY_MS, 5, PURCHASE),
    ]  # fmt: skip
    log = log_of(lines)
    sequences = Sequences.of(log, vocabulary_of(log))
    batch = Batch.of(sequences, np.array([[0, 8], [8, 9]]), sequences.row >= 0, 1.0)
    (ask,) = batch.asks
    # after item 1, after the query of the next day, and after the last query of the fourth
    assert batch.place.tolist() == [0, 1, 5]
    assert ask.target.tolist() == [2, 3, 2, 3, 4]


def test_at_one_time_the_order_of_the_log_is_that_of_the_history() -> None:
    lines: list[Line] = [(0, 5, 1, PURCHASE), (0, 5, "tea", 0), (0, 5, 2, PURCHASE), (0, 5, "rum", 0)]
    log = log_of(lines)
    assert rows_of(Sequences.of(log, vocabulary_of(log))) == [1, ASKED, 2, ASKED - 1]


def told(log: Interactions, user: int = 0) -> list[tuple[int, int]]:
    """Time and number of earlier interactions of each query of a user."""
    mine = np.flatnonzero(log.queries.user == user)
    return list(zip(log.queries.time_ms[mine].tolist(), log.queries.after[mine].tolist(), strict=True))


def test_a_history_that_is_cut_knows_nothing_from_behind_the_cut() -> None:
    lines: list[Line] = [
        (0, 0, "tea", 0), (0, 1, 1, 3), (0, 2, "tea", 0), (0, 3, 2, 3), (0, 3, "rum", 0), (0, 3, 3, 3),
        (0, 3, "late", 0), (1, 4, "tea", 0),
    ]  # fmt: skip
    log = log_of(lines)
    last = last_one(log, np.array([0]), new_only=False)
    assert told(last.before) == [(0, 0), (2, 1), (3, 2)]  # "rum" led to the last item, "late" came after it
    assert told(log.before(3)) == [(0, 0), (2, 1)]
    assert told(log.since(2)) == [(2, 0), (3, 1), (3, 2)]
    assert told(log.since(4), user=1) == [(4, 0)]
    newcomer = log.where(np.array([False, False, True]))
    assert told(newcomer) == [(3, 0), (3, 1)]
    assert told(log.where(np.array([True, False, True]))) == [(0, 0), (2, 1), (3, 1), (3, 2)]
    unknown = dataclasses.replace(log, row=np.array([1, -1, -1]))
    assert told(unknown.known()) == [(0, 0), (2, 1), (3, 1), (3, 1)]


@given(lines=st.lists(LINE, min_size=1, max_size=60), parts=st.integers(1, 3))
def test_parts_of_a_log_joined_are_the_log(lines: list[Line], parts: int) -> None:
    lines.sort(key=lambda line: line[1])
    log = log_of(lines)
    vocabulary = Vocabulary(np.unique(log.queries.word)) if len(log.queries.word) else None
    pieces = []
    for part in range(parts):
        mine = [line for line in lines if line[0] % parts == part]
        pieces.append(log_of(mine))
    whole, joined = (Sequences.of(one, vocabulary) for one in (log, Interactions.joined(pieces)))
    for name in ("user", "kind", "time_ms", "gap", "next_end", "end", "start"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name), name)
    np.testing.assert_array_equal(np.maximum(joined.row, -1), np.maximum(whole.row, -1))


def words(*hashes: int) -> Ints:
    return np.array(hashes, np.int64)


def test_the_most_frequent_words_are_learned_and_no_word_that_is_rare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("raysys.interest.queries.WORDS", 2)
    counts = WordCounts()
    said = ("tea rum", "rum tea", "tea milk rum", "tea soap", "soap rum", "milk")
    counts.add(log_of([(user, 0, text, 0) for user, text in enumerate(said)]).queries)
    counts.add(log_of([(9, n, "milk soap", 0) for n in range(9)]).queries)
    found = counts.vocabulary()
    assert found is not None
    assert set(found.token) == {*hashed("tea"), *hashed("rum")}
    assert found.rows(words(*hashed("milk"))).tolist() == [-1]
    assert WordCounts().vocabulary() is None
