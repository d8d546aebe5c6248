"""Trees and logistic regression compete on people held out; the winner's odds are what happens."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from raysys.boosting import onnx_of
from raysys.evaluation.metrics import log_loss, ndcg
from raysys.interest.boosted import TREES, boosted
from raysys.interest.combination import Average, Combination, Logistic, Trees, load_combination
from raysys.interest.combine import combine, competitors, held_out, page_ndcg
from raysys.interest.examples import Examples
from raysys.interest.lines import line_through
from raysys.interest.sums import listwise

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
        page=np.repeat(np.arange(PEOPLE), EACH),
    )


@pytest.mark.parametrize(("twisted", "winner"), [(True, "trees"), (False, "logistic")])
def test_the_better_one_for_people_held_out_wins(twisted: bool, winner: str) -> None:
    (model,), (contest,), _ = combine(examples(twisted), ("click",), 1.0, 0)
    assert contest.winner == winner
    assert isinstance(model, Trees if twisted else Logistic)
    assert contest.log_loss[winner] < contest.log_loss["constant"]


def test_the_trees_that_are_used_learned_from_everybody_in_as_many_rounds() -> None:
    told = examples(twisted=True)
    (used,), (contest,), (fresh,) = combine(told, ("click",), 1.0, 0)
    outside = np.isin(told.person, held_out(told.person, 0))
    done = told.done[outside, 0]

    def loss(model: Combination) -> float:
        return log_loss(1 / (1 + np.exp(-model.log_odds(told.seen[outside]))), done, told.weight[outside])

    assert loss(fresh) == pytest.approx(contest.log_loss["trees"])
    assert loss(used) < loss(fresh)


def test_the_odds_of_the_trees_are_what_happens_and_survive_saving(tmp_path: Path) -> None:
    told = examples(twisted=True)
    (model,), *_ = combine(told, ("click",), 1.0, 0)
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
    few = dataclasses.replace(told, done=told.done & (np.arange(len(told.done)) < 300)[:, None])
    assert "trees" not in combine(few, ("click",), 1.0, 0)[1][0].log_loss


def test_odds_are_what_happens_though_few_of_what_was_not_done_are_looked_at() -> None:
    """One of ten that were not done is an example, and stands for ten; there is too little for trees."""
    told = examples(twisted=False)
    rng = np.random.default_rng(2)
    scarce = dataclasses.replace(told, done=told.done & (rng.random((len(told.done), 1)) < 0.1))
    done = scarce.done[:, 0]
    some = scarce.of(done | (rng.random(len(done)) < 0.1))
    drawn = dataclasses.replace(some, weight=np.where(some.done[:, 0], 1.0, 10.0))
    (model,), (contest,), _ = combine(drawn, ("click",), 1.0, 0)
    assert set(contest.log_loss) == {"logistic", "constant"}
    prob = 1 / (1 + np.exp(-model.log_odds(scarce.seen)))
    assert prob.sum() == pytest.approx(done.sum(), rel=0.25)
    assert contest.log_loss["logistic"] < contest.log_loss["constant"]


def test_the_line_is_found_where_one_pair_of_a_hundred_thousand_is_done() -> None:
    rng = np.random.default_rng(0)
    stands = np.where(rng.random(60_000) < 0.3, 1.0, 300.0)
    raw = rng.normal(-4.0, 1.5, 60_000)
    prob = 1 / (1 + np.exp(-(0.8 * raw - 7.0)))
    done = rng.random(60_000) < np.minimum(prob * stands, 1.0)
    stands = np.where(done, 1.0, stands)
    slope, offset = line_through(raw, done, stands)
    assert slope == pytest.approx(0.8, abs=0.1)
    assert offset == pytest.approx(-7.0, abs=0.4)
    told = 1 / (1 + np.exp(-(slope * raw + offset)))
    assert np.average(told, weights=stands) == pytest.approx(np.average(done, weights=stands), rel=1e-6)


def test_a_score_that_orders_the_wrong_way_says_the_rate_and_no_more() -> None:
    raw = np.linspace(-1.0, 1.0, 1_000)
    done = np.random.default_rng(0).random(1_000) < 0.1 * (1.0 - raw)
    slope, offset = line_through(raw, done, np.ones(1_000))
    assert slope == pytest.approx(0.0, abs=0.01)
    assert 1 / (1 + np.exp(-offset)) == pytest.approx(done.mean(), abs=0.01)


def chosen(stands: float) -> Examples:
    """One item of each page is chosen by a softmax over the first feature; the last half stand for more."""
    rng = np.random.default_rng(8)
    seen = rng.normal(size=(PEOPLE * EACH, WIDTH)).astype(np.float32)
    each = np.where(np.arange(EACH) < EACH // 2, 1.0, stands)
    odds = np.exp(2.0 * seen[:, 0].reshape(PEOPLE, EACH)) * each
    done = np.zeros((PEOPLE, EACH), bool)
    for page, share in enumerate(odds / odds.sum(1, keepdims=True)):
        done[page, rng.choice(EACH, p=share)] = True
    number = np.repeat(np.arange(PEOPLE), EACH)
    return Examples(
        seen=seen,
        done=done.reshape(-1, 1),
        weight=np.ones(len(seen)),
        stands=np.tile(each, PEOPLE),
        person=number,
        page=number,
    )


@pytest.mark.parametrize("stands", [1.0, 20.0])
def test_a_listwise_sum_finds_the_weights_that_choices_were_made_by(stands: float) -> None:
    told = chosen(stands)
    model = listwise(told, told, 0, strength=10.0)
    weights = model.weights[:-1] / model.scale
    assert np.abs(weights[1:]).max() < 0.3 * weights[0]


def test_the_order_within_pages_is_judged_as_one_by_one() -> None:
    rng = np.random.default_rng(1)
    page = np.sort(rng.integers(0, 30, 600))
    scores, done = rng.normal(size=600), rng.random(600) < 0.1
    single = [
        ndcg(done[page == one][np.argsort(-scores[page == one])], int(done[page == one].sum()))
        for one in np.unique(page)
    ]
    assert page_ndcg(scores, done, page) == pytest.approx(np.nanmean(single))
    assert page_ndcg(scores, np.zeros(600, bool), page) == 0.0


def test_an_order_that_tells_nothing_apart_is_worth_nothing_wherever_the_answer_stands() -> None:
    page = np.repeat([0, 1], 30)
    for place in (0, 29):
        done = np.arange(60) % 30 == place
        assert page_ndcg(np.zeros(60), done, page) == 0.0
        assert page_ndcg(done.astype(float), done, page) == 1.0


def test_where_in_its_page_an_answer_stands_is_nothing_that_ranked_trees_go_by() -> None:
    told = examples(twisted=True)
    reached = []
    for first in (told.done[:, 0], ~told.done[:, 0]):
        moved = told.of(np.lexsort((first, told.page)))
        outside = np.isin(moved.person, held_out(moved.person, 0))
        check, (fresh, _) = moved.of(outside), boosted(moved, outside, 0, 0, ranked=True)
        reached.append(page_ndcg(fresh.log_odds(check.seen), check.done[:, 0], check.page))
    assert reached[0] == pytest.approx(reached[1])


def test_where_the_order_counts_a_listwise_sum_and_ranked_trees_compete_alone_and_averaged() -> None:
    told = examples(twisted=True)
    (used,), (contest,), (fresh,) = combine(told, ("click",), 1.0, 0, "ndcg")
    assert contest.winner == max(contest.ndcg, key=lambda name: contest.ndcg[name])
    alone = {"listwise", "trees", "ranked"}
    assert alone < set(contest.ndcg)
    assert len(contest.ndcg) == 7
    assert contest.ndcg["ranked"] > contest.ndcg["listwise"] + 0.1  # no sum can follow what is twisted
    outside = np.isin(told.person, held_out(told.person, 0))
    heard = page_ndcg(fresh.log_odds(told.seen[outside]), told.done[outside, 0], told.page[outside])
    assert heard == pytest.approx(contest.ndcg[contest.winner])
    inside = page_ndcg(used.log_odds(told.seen[outside]), told.done[outside, 0], told.page[outside])
    assert inside > heard  # what is used learned from those held out too


def test_an_average_of_combinations_is_the_mean_of_their_log_odds() -> None:
    told = examples(twisted=False)
    outside = np.isin(told.person, held_out(told.person, 0))
    found, _ = competitors(told, outside, 0, 1.0, 0, "ndcg")
    apart = [found[name].log_odds(told.seen) for name in ("listwise", "ranked")]
    np.testing.assert_allclose(found["listwise + ranked"].log_odds(told.seen), np.mean(apart, axis=0))


def test_an_average_is_that_of_log_odds_and_survives_saving(tmp_path: Path) -> None:
    told = examples(twisted=True)
    parts = tuple(
        Logistic(center=np.zeros(WIDTH), scale=np.ones(WIDTH), weights=np.append(np.full(WIDTH, weight), 1.0))
        for weight in (1.0, 3.0)
    )
    average = Average(parts)
    np.testing.assert_allclose(average.log_odds(told.seen), 2.0 * told.seen.sum(1) + 1.0, atol=1e-5)
    average.save(tmp_path, "click")
    again = load_combination(tmp_path, "click").log_odds(told.seen)
    np.testing.assert_array_equal(again, average.log_odds(told.seen))
