"""Trees and logistic regression compete on people held out; the winner's odds are what happens."""

from pathlib import Path

import numpy as np
import pytest

from raysys.interest.combination import Logistic, Trees, load_combination
from raysys.interest.combine import TREES, Examples, combine, onnx_of

PEOPLE, EACH, WIDTH = 120, 60, 4


def examples(twisted: bool) -> Examples:
    """What is done depends on two features by a line, or by their product, which no line can follow."""
    rng = np.random.default_rng(5)
    seen = rng.normal(size=(PEOPLE * EACH, WIDTH)).astype(np.float32)
    pull = 3 * seen[:, 0] * seen[:, 1] if twisted else 1.5 * seen[:, 0] - seen[:, 1]
    done = rng.random(len(seen)) < 1 / (1 + np.exp(1.5 - pull))
    return Examples(
        seen=seen,
        done=done[:, None],
        weight=np.ones(len(seen)),
        stands=np.ones(len(seen)),
        person=np.repeat(np.arange(PEOPLE), EACH),
    )


@pytest.mark.parametrize(("twisted", "winner"), [(True, "trees"), (False, "logistic")])
def test_the_better_one_for_people_held_out_wins(twisted: bool, winner: str) -> None:
    (model,), (contest,) = combine(examples(twisted), ("click",), 1.0, 0)
    assert contest.winner == winner
    assert isinstance(model, Trees if twisted else Logistic)
    assert contest.log_loss[winner] < contest.log_loss["constant"]


def test_the_odds_of_the_trees_are_what_happens_and_survive_saving(tmp_path: Path) -> None:
    told = examples(twisted=True)
    (model,), _ = combine(told, ("click",), 1.0, 0)
    odds = model.log_odds(told.seen)
    prob = 1 / (1 + np.exp(-odds))
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.0)):
        inside = (prob >= low) & (prob < high)
        assert prob[inside].mean() == pytest.approx(told.done[inside, 0].mean(), abs=0.05)
    model.save(tmp_path, "click")
    np.testing.assert_array_equal(load_combination(tmp_path, "click").log_odds(told.seen), odds)


def test_onnx_sums_the_trees_as_lightgbm_does_and_each_row_by_itself() -> None:
    import lightgbm

    told = examples(twisted=True)
    data = lightgbm.Dataset(told.seen, told.done[:, 0].astype(int))
    booster = lightgbm.train(TREES | {"num_threads": 1}, data, 30)
    model = Trees(onnx_of(booster), np.array([1.0, 0.0]))
    np.testing.assert_allclose(
        model.log_odds(told.seen), booster.predict(told.seen, raw_score=True), atol=1e-5
    )
    alone = np.concatenate([model.log_odds(told.seen[n : n + 1]) for n in range(50)])
    np.testing.assert_array_equal(alone, model.log_odds(told.seen)[:50])


def test_with_few_positives_trees_do_not_compete() -> None:
    told = examples(twisted=True)
    few = Examples(
        seen=told.seen,
        done=told.done & (np.arange(len(told.done)) < 300)[:, None],
        weight=told.weight,
        stands=told.stands,
        person=told.person,
    )
    assert "trees" not in combine(few, ("click",), 1.0, 0)[1][0].log_loss
