"""Fitting the combination: a sum of features and boosted trees compete on people held out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from raysys.boosting import onnx_of
from raysys.evaluation.metrics import log_loss
from raysys.interest.combination import Average, Combination, Logistic, Trees
from raysys.types import Bools, Floats, Ints

HELD_OUT = 0.2
"""Share of the people on whom the competitors are compared and calibrated."""
TREES_NEED = 200
"""Positive examples below which trees do not compete."""
RARE = 0.25
"""Least scale of a feature: all are of the order of 1, and what hardly varied must not count for much."""
ENOUGH = 150_000
"""Examples that the logistic regression is fitted on, at most about."""
ENOUGH_LISTED = 600_000
"""Examples that the listwise sum is fitted on, at most about."""
FLAT = 1e-3
"""Least slope of the line that makes log odds of a score."""
ROUNDS, PATIENCE = 500, 30
TREES = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 100,
    "lambda_l2": 10.0,
    "max_bin": 127,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}
"""Chosen on weeks 45-48 of Complete Journey among a handful; lambdarank was no better there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """N pairs of person and item, as of one moment."""

    seen: Floats
    """(N, Fi) float32 features."""
    done: Bools
    """(N, E) what was done within the horizon."""
    weight: Floats
    """(N,) in fitting, comparing and calibrating: what counts is where people look."""
    stands: Floats
    """(N,) for how many pairs of the whole catalog each stands."""
    person: Ints
    """(N,) user codes."""
    page: Ints
    """(N,) rising: those of one person as of one moment have the same number."""

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        """All of them, in order, each part a page of its own."""
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__}
        columns["page"] = np.repeat(np.arange(len(parts)), [len(part.person) for part in parts])
        return cls(**columns)

    def of(self, keep: Bools) -> "Examples":
        """Those that `keep` (N,) says."""
        return Examples(**{name: getattr(self, name)[keep] for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What the competitors reached for one kind, on people held out."""

    kind: str
    log_loss: dict[str, float]
    """Weighted, by competitor; `constant` is the base rate."""
    ndcg: dict[str, float]
    """NDCG@10 within the items that a person was asked about."""
    winner: str


Aim = Literal["log_loss", "ndcg"]
"""What the competitors are compared by: how true the probabilities are, or how good the order is."""


class Combined(NamedTuple):
    """What competed, one for each kind."""

    used: tuple[Combination, ...]
    """The winners, fitted on everybody."""
    contests: tuple[Contest, ...]
    fresh: tuple[Combination, ...]
    """The winners as they were compared: they know nothing of the people held out."""


def combine(
    examples: Examples, kinds: tuple[str, ...], strength: float, seed: int, aim: Aim = "log_loss"
) -> Combined:
    """A combination for each kind: whichever does better for people it has not seen."""
    outside = np.isin(examples.person, held_out(examples.person, seed))
    fit, check = examples.of(~outside), examples.of(outside)
    found = [_winner(fit, check, number, kind, strength, seed, aim) for number, kind in enumerate(kinds)]
    used, fresh, contests = zip(*found, strict=True)
    return Combined(used, contests, fresh)


def held_out(person: Ints, seed: int) -> Ints:
    """The people, of all in `person`, on whom competitors are compared and trees know when to stop."""
    people = np.unique(person)
    order = np.random.default_rng([seed, 1]).permutation(people)
    return np.asarray(order[: max(int(len(people) * HELD_OUT), 1)])


def _winner(
    fit: Examples, check: Examples, number: int, kind: str, strength: float, seed: int, aim: Aim
) -> tuple[Combination, Combination, Contest]:
    """The best of them, fitted on everybody and as it was compared, and how they compared."""
    done, asked = fit.done[:, number], check.done[:, number]
    able = bool(done.any() and asked.any())
    found: dict[str, Combination] = {}
    if aim == "ndcg" and able:
        found["listwise"] = listwise(fit, check, number, strength)
    elif able:
        found["logistic"] = lined(_logistic(fit, done, strength), check, number)
    else:
        found["logistic"] = _logistic(fit, done, strength)
    used = dict(found)
    if done.sum() >= TREES_NEED and able:
        found["trees"], used["trees"] = _trees(fit, check, number, seed)
        if aim == "ndcg":
            found["both"], used["both"] = (
                Average((models["listwise"], models["trees"])) for models in (found, used)
            )
    odds = {name: model.log_odds(check.seen) for name, model in found.items()}
    losses = {name: _loss(values, asked, check.weight) for name, values in odds.items()}
    ndcg = {name: page_ndcg(values, asked, check.page) for name, values in odds.items()}
    if aim == "ndcg":
        winner = max(ndcg, key=lambda name: ndcg[name])
    else:
        winner = min(losses, key=lambda name: losses[name])
    rate = np.average(done, weights=fit.weight)
    losses["constant"] = _loss(np.full(len(asked), _log_odds(float(rate))), asked, check.weight)
    return used[winner], found[winner], Contest(kind=kind, log_loss=losses, ndcg=ndcg, winner=winner)


def page_ndcg(scores: Floats, done: Bools, page: Ints, length: int = 10) -> float:
    """Mean binary NDCG of the order by `scores` (N,) within each page; 0 where nothing was done on any."""
    number = np.unique(page, return_inverse=True)[1]
    order = np.lexsort((-scores, number))
    size = np.bincount(number)
    place = np.arange(len(order)) - np.repeat(np.cumsum(size) - size, size)
    gain = np.where(place < length, 1.0 / np.log2(place + 2.0), 0.0)
    gained = np.bincount(number[order], gain * done[order], minlength=len(size))
    true = np.bincount(number, done).astype(np.int64)
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(length) + 2.0))])[
        np.minimum(true, length)
    ]
    return float((gained / np.maximum(ideal, 1e-12))[true > 0].mean()) if (true > 0).any() else 0.0


def _loss(log_odds: Floats, done: Bools, weight: Floats) -> float:
    return log_loss(1.0 / (1.0 + np.exp(-np.clip(log_odds, -50, 50))), done, weight)


def _log_odds(prob: float) -> float:
    safe = min(max(prob, 1e-9), 1 - 1e-9)
    return float(np.log(safe / (1.0 - safe)))


def _logistic(fit: Examples, done: Bools, strength: float) -> Logistic:
    """Examples weigh what they count for in rankings: what probabilities mean is for `lined` to say."""
    from sklearn.linear_model import LogisticRegression

    center = fit.seen.mean(0, dtype=np.float64)
    scale = np.maximum(fit.seen.std(0, dtype=np.float64), RARE)
    if done.min() == done.max():
        odds = np.log(0.5 / (len(done) + 0.5)) if not done.any() else 10.0
        return Logistic(center=center, scale=scale, weights=np.append(np.zeros(len(center)), odds))
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-8)
    some = np.arange(0, len(done), max(len(done) // ENOUGH, 1))  # its 40 weights need no more
    if done[some].min() == done[some].max():
        some = np.arange(len(done))
    unit, weight = (fit.seen[some] - center) / scale, fit.weight[some]
    model.fit(unit, done[some], sample_weight=weight / weight.mean())
    weights = np.append(model.coef_[0], model.intercept_[0])
    return Logistic(center=center, scale=scale, weights=weights)


def listwise(fit: Examples, check: Examples, number: int, strength: float) -> Logistic:
    """A sum of features whose softmax within a page tells what was done on it (McFadden 1974).

    It needs far fewer examples than trees. An item that stands for several counts as so many of
    its like; a line through the outcomes of people held out makes log odds of the sum.
    """
    from scipy.optimize import minimize

    done = fit.done[:, number]
    pages = np.unique(fit.page[done])
    most = max(int(ENOUGH_LISTED * len(pages) / max(np.isin(fit.page, pages).sum(), 1)), 1)
    some = fit.of(np.isin(fit.page, pages[:: max(-(-len(pages) // most), 1)]))
    done = some.done[:, number]
    center = some.seen.mean(0, dtype=np.float64)
    scale = np.maximum(some.seen.std(0, dtype=np.float64), 0.2 * RARE)
    unit = ((some.seen - center) / scale).astype(np.float32)
    starts = np.flatnonzero(np.diff(some.page, prepend=-1))
    place = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(done))))
    share = done / np.bincount(place, done)[place]
    stands = np.log(some.stands)

    def lost(weights: Floats) -> tuple[float, Floats]:
        score = unit @ weights.astype(np.float32) + stands
        top = np.maximum.reduceat(score, starts)
        mass = np.exp(score - top[place])
        total = np.add.reduceat(mass, starts)
        told = float((share * (score - top[place])).sum() - np.log(total).sum())
        slope = (share - mass / total[place]).astype(np.float32) @ unit
        ridge = 1e-3 / strength
        return (
            -told / len(starts) + ridge * float(weights @ weights),
            -slope.astype(np.float64) / len(starts) + 2.0 * ridge * weights,
        )

    weights = minimize(lost, np.zeros(unit.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
    return lined(Logistic(center=center, scale=scale, weights=np.append(weights, 0.0)), check, number)


def lined(model: Logistic, check: Examples, number: int) -> Logistic:
    """The same sum on the line that makes log odds of it, by the outcomes of people held out (Platt 2000)."""
    slope, offset = line_through(model.log_odds(check.seen), check.done[:, number], check.weight)
    *weights, intercept = (slope * model.weights).tolist()
    return replace(model, weights=np.array([*weights, intercept + offset]))


def line_through(raw: Floats, done: Bools, weight: Floats) -> tuple[float, float]:
    """Slope, above 0, and offset that make log odds of a score, by the outcomes of people held out.

    To the end: the usual tolerance is far above the gradient where one of 100,000 comes true.
    """
    from sklearn.linear_model import LogisticRegression

    center, scale = float(raw.mean()), max(float(raw.std()), 1e-9)
    model = LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-12)
    model.fit((raw[:, None] - center) / scale, done, sample_weight=weight)
    slope, offset = float(model.coef_[0, 0]) / scale, float(model.intercept_[0])
    if slope < FLAT:  # no order is better than a wrong one
        slope, offset = FLAT, _log_odds(float(np.average(done, weights=weight)))
    return slope, offset - slope * center


def _trees(fit: Examples, check: Examples, number: int, seed: int) -> tuple[Trees, Trees]:
    """Boosted until the people held out gain no more, then laid on a line through their outcomes.

    They learn from what was drawn as it was drawn, which orders better: that a pair weighs what it
    stands for shifts the log odds, and the line finds that.

    Returns:
        What has not seen the people held out, to be compared; and what learned from them too, in
        as many rounds, to be used.
    """
    import lightgbm

    def heard(examples: Examples) -> Floats:
        return np.minimum(examples.weight, 1.0)

    def data(examples: Examples) -> Any:
        done = examples.done[:, number].astype(int)
        return lightgbm.Dataset(examples.seen, done, weight=heard(examples), free_raw_data=False)

    settings = TREES | {"seed": seed}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    first = data(fit)
    second = first.create_valid(check.seen, check.done[:, number].astype(int), weight=heard(check))
    booster = lightgbm.train(settings, first, ROUNDS, valid_sets=[second], callbacks=[stop])
    rounds = booster.best_iteration or ROUNDS
    raw = np.asarray(booster.predict(check.seen, raw_score=True, num_iteration=rounds))
    line = np.array(line_through(raw, check.done[:, number], check.weight))
    whole = lightgbm.train(settings, data(Examples.joined([fit, check])), rounds)
    return Trees(onnx_of(booster), line), Trees(onnx_of(whole), line)
