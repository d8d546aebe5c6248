"""A sentence encoder learns what judgements say, goes on where it was stopped, and averages to one."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysys.errors import ConfigError, DataError
from raysys.relevance.bi_encoder import EncoderConfig, fine_tune
from raysys.relevance.fit import Judgements
from raysys.relevance.learner import concordance
from raysys.relevance.lessons import Lesson, lessons
from raysys.relevance.negatives import with_negatives
from raysys.relevance.objectives import Objectives, triplets
from raysys.relevance.unseen import shards
from raysys.text.augment import Augmenter
from raysys.text.torch_encoder import Pieces, average, embedded, learning_parts, vectors
from raysys.types import Floats

COLORS = ("red", "blue", "green", "black", "white", "yellow")
THINGS = ("chair", "lamp", "table", "rug")


@pytest.fixture
def encoder() -> Any:
    from sentence_transformers import SentenceTransformer

    from raysys.text.export import packaged_model

    return SentenceTransformer(str(packaged_model()), device="cpu")


@pytest.fixture
def judged() -> Judgements:
    """Whoever asks for a thing in a color wants that color, whatever the thing."""
    queries = [f"{color} {thing}" for color in COLORS for thing in THINGS]
    pairs = [
        (n, m)
        for n, m in itertools.permutations(range(len(queries)), 2)
        if (n % 4 == m % 4) != (n // 4 == m // 4)
    ]  # things stand at every fourth place, colors are together
    query, text = np.array(pairs).T
    return Judgements(
        queries=queries, texts=queries, query=query, text=text,
        relevant=(query // 4 == text // 4).astype(float),
    )  # fmt: skip


def cosines(encoder: Any, judged: Judgements) -> Floats:
    queries, texts = vectors(encoder, judged.queries), vectors(encoder, judged.texts)
    return np.asarray(np.sum(queries[judged.query] * texts[judged.text], axis=1))


def test_what_is_graded_is_learned(encoder: Any, judged: Judgements) -> None:
    wanted = judged.relevant > 0
    before = cosines(encoder, judged)
    config = EncoderConfig(learning_rate=2e-4, pairs=24, passes=6.0, held_out=0.2, checks=3, layers=2)
    checks = list(fine_tune(encoder, judged, config))
    after = cosines(encoder, judged)
    assert (
        after[wanted].mean() - after[~wanted].mean() > before[wanted].mean() - before[~wanted].mean() + 0.05
    )
    assert max(check.order for check in checks) > checks[0].order
    assert checks[-1].pairs > checks[1].pairs


def test_a_run_that_was_stopped_goes_on(encoder: Any, judged: Judgements, tmp_path: Path) -> None:
    from copy import deepcopy

    config = EncoderConfig(pairs=24, passes=1.0, checks=3, layers=1, augmenter=Augmenter(dropped=0.3))
    other = deepcopy(encoder)
    whole = list(fine_tune(encoder, judged, config))
    (tmp_path / "work").mkdir()
    run = fine_tune(other, judged, config, tmp_path / "work")
    first = [next(run), next(run)]
    run.close()  # as if it had been killed
    rest = list(fine_tune(other, judged, config, tmp_path / "work"))
    assert [check.pairs for check in rest[:2]] == [check.pairs for check in first]
    assert [check.pairs for check in rest] == [check.pairs for check in whole]
    np.testing.assert_allclose(cosines(other, judged), cosines(encoder, judged), atol=1e-4)


def test_it_ends_with_its_budget_and_only_upper_layers_move(encoder: Any, judged: Judgements) -> None:
    before = {name: part.clone() for name, part in encoder.state_dict().items()}
    config = EncoderConfig(pairs=8, passes=1000.0, cpu_seconds=0.5, layers=1, held_out=0.0, checks=2)
    checks = list(fine_tune(encoder, judged, config))
    assert 0.5 <= checks[-1].cpu_seconds < 5.0
    moved = {name for name, part in encoder.state_dict().items() if not torch.equal(part, before[name])}
    assert moved
    assert all("layer.5." in name for name in moved)


def test_vectors_do_not_depend_on_the_chunk_beyond_rounding(encoder: Any) -> None:
    texts = ["a", "a much longer text about a chair for the garden", "lamp"] * 20
    together, alone = vectors(encoder, texts), vectors(encoder, texts[:1])
    assert float(together[0] @ alone[0]) > 0.999
    assert embedded(encoder, texts[:2]).shape == (2, 384)


def test_the_mean_of_encoders_is_one(encoder: Any) -> None:
    state = encoder.state_dict()
    doubled = {name: part * 3 for name, part in state.items()}
    mean = average([state, doubled])
    name = next(iter(learning_parts(encoder, 1)))
    torch.testing.assert_close(mean[name], state[name] * 2)
    with pytest.raises(DataError, match="no encoders"):
        average([])


def test_a_piece_is_read_as_a_text_of_its_own(encoder: Any) -> None:
    pieces = Pieces(encoder)
    word = pieces.tokenizer.token_to_id("chair")
    found = pieces.of_pieces([word, 0])[0]
    chair = vectors(encoder, ["chair"])[0]
    assert float(found @ chair) / float(np.linalg.norm(found)) > 0.999


def test_a_mined_negative_is_near_but_not_too_near_and_was_not_judged() -> None:
    angle = np.deg2rad([0.0, 30.0, 31.0, 60.0, 80.0, 100.0])
    texts = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    told = Judgements(
        queries=["q"], texts=list("abcdef"), query=np.zeros(2, int), text=np.array([1, 3]),
        relevant=np.array([1.0, 0.2]),
    )  # fmt: skip
    found = with_negatives(told, (np.array([[1.0, 0.0]]), texts), 3)
    assert found.text.tolist() == [1, 3, 4]  # a and c are nearer than the answer, f looks the other way
    assert found.relevant.tolist() == [1.0, 0.2, 0.0]
    assert found.weight is not None
    assert found.weight.tolist() == [1.0, 1.0, 1.0]


def test_concordance_counts_pairs_of_one_query_by_how_unlike_they_are() -> None:
    relevant, query = np.array([1.0, 0.5, 0.0, 0.0]), np.array([0, 0, 0, 1])
    assert concordance(np.array([3.0, 2.0, 1.0, 9.0]), relevant, query) == 1.0
    assert concordance(np.array([1.0, 2.0, 0.0, 9.0]), relevant, query) == 0.75  # a half of two is wrong
    assert concordance(np.zeros(4), relevant, query) == 0.5
    assert np.isnan(concordance(np.zeros(1), np.ones(1), np.zeros(1, int)))


def test_a_shard_is_told_by_the_words_alone() -> None:
    found = shards(["Red  Chair", "red chair", "lamp", *map(str, range(200))], 3)
    assert found[0] == found[1]
    assert set(found.tolist()) == {0, 1, 2}


def test_lessons_keep_a_query_together_and_pass_through_all(judged: Judgements) -> None:
    portions = list(lessons(judged, 30, 5, 0))
    per_query = np.bincount(judged.query)[0]
    for one in portions:
        assert len(one.query) >= 30
        assert set(np.bincount(one.query).tolist()) == {per_query}
    asked = [query for one in portions[:4] for query in one.queries]
    assert len(asked) == len(set(asked))
    again = list(lessons(judged, 30, 5, 0))
    assert [one.queries for one in again] == [one.queries for one in portions]


def lesson(relevant: list[float], query: list[int], text: list[int]) -> Lesson:
    return Lesson(
        queries=[f"q{n}" for n in range(max(query) + 1)],
        texts=[f"t{n}" for n in range(max(text) + 1)],
        query=np.array(query),
        text=np.array(text),
        relevant=np.array(relevant),
        weight=np.ones(len(query)),
    )


def test_the_worst_text_that_was_shown_is_the_hard_negative() -> None:
    asked, best, worst = triplets(lesson([0.9, 0.1, 0.5, 1.0, 0.95], [0, 0, 0, 1, 1], [0, 1, 2, 3, 4]))
    assert asked.tolist() == [0, 1]
    assert best.tolist() == [0, 3]
    assert worst.tolist() == [1, 0]  # the second query has none that is clearly worse: the other's best


def test_a_text_that_two_queries_want_is_no_negative_of_either() -> None:
    asked, best, _ = triplets(lesson([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1], [0, 1, 0, 2]))
    assert asked.tolist() == [0]
    assert best.tolist() == [0]


@pytest.mark.parametrize("name", ["graded", "ordered", "contrastive"])
def test_every_objective_prefers_the_right_order(name: str) -> None:
    told = lesson([1.0, 0.0, 1.0, 0.0], [0, 0, 1, 1], [0, 1, 1, 0])
    objective = Objectives((name,), 1.0, 0.0, None)
    right = torch.eye(2)
    wrong = torch.eye(2).flip(0)
    assert float(objective(right, right, told)) < float(objective(right, wrong, told))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected graded, ordered, contrastive"):
        EncoderConfig(objectives=("best",))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="held_out is 1"):
        EncoderConfig(held_out=1.0)
    with pytest.raises(ConfigError, match="layers is 0"):
        EncoderConfig(layers=0)
