"""Fitting the combination: a logistic regression and boosted trees compete on people held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysys.evaluation.metrics import log_loss
from raysys.interest.combination import Combination, Logistic, Trees
from raysys.types import Bools, Floats, Ints

HELD_OUT = 0.2
"""Share of the people on whom the competitors are compared and calibrated."""
TREES_NEED = 200
"""Positive examples below which trees do not compete."""
RARE = 0.25
"""Least scale of a feature: all are of the order of 1, and what hardly varied must not count for much."""
ENOUGH = 150_000
"""Examples that the logistic regression is fitted on, at most about."""
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
    """(N,) in fitting."""
    stands: Floats
    """(N,) for how many such pairs each stands; what probabilities are laid on."""
    person: Ints
    """(N,) user codes."""

    @classmethod
    def joined(cls, parts: Sequence["Examples"]) -> "Examples":
        """All of them, in order."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__}
        )

    def of(self, keep: Bools) -> "Examples":
        """Those that `keep` (N,) says."""
        return Examples(
            seen=self.seen[keep],
            done=self.done[keep],
            weight=self.weight[keep],
            stands=self.stands[keep],
            person=self.person[keep],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What the competitors reached for one kind, on people held out."""

    kind: str
    log_loss: dict[str, float]
    """Weighted, by competitor; `constant` is the base rate."""
    winner: str


def combine(
    examples: Examples, kinds: tuple[str, ...], strength: float, seed: int
) -> tuple[tuple[Combination, ...], tuple[Contest, ...]]:
    """A combination for each kind: whichever predicts better for people it has not seen."""
    outside = np.isin(examples.person, held_out(examples.person, seed))
    fit, check = examples.of(~outside), examples.of(outside)
    pairs = [_winner(fit, check, number, kind, strength, seed) for number, kind in enumerate(kinds)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def held_out(person: Ints, seed: int) -> Ints:
    """The people, of all in `person`, on whom competitors are compared and trees know when to stop."""
    people = np.unique(person)
    order = np.random.default_rng([seed, 1]).permutation(people)
    return np.asarray(order[: max(int(len(people) * HELD_OUT), 1)])


def _winner(
    fit: Examples, check: Examples, number: int, kind: str, strength: float, seed: int
) -> tuple[Combination, Contest]:
    """The better of the two, and how they compared."""
    done, asked = fit.done[:, number], check.done[:, number]
    found: dict[str, Combination] = {"logistic": _logistic(fit, done, strength)}
    if done.sum() >= TREES_NEED and asked.any():
        found["trees"] = _trees(fit, check, number, seed)
    losses = {name: _loss(model.log_odds(check.seen), asked, check.stands) for name, model in found.items()}
    winner = min(losses, key=lambda name: losses[name])
    rate = np.average(done, weights=fit.stands)
    losses["constant"] = _loss(np.full(len(asked), _log_odds(float(rate))), asked, check.stands)
    return found[winner], Contest(kind=kind, log_loss=losses, winner=winner)


def _loss(log_odds: Floats, done: Bools, weight: Floats) -> float:
    return log_loss(1.0 / (1.0 + np.exp(-np.clip(log_odds, -50, 50))), done, weight)


def _log_odds(prob: float) -> float:
    safe = min(max(prob, 1e-9), 1 - 1e-9)
    return float(np.log(safe / (1.0 - safe)))


def _logistic(fit: Examples, done: Bools, strength: float) -> Logistic:
    """Examples weigh what they stand for, so that a probability means what it says."""
    from sklearn.linear_model import LogisticRegression

    center = fit.seen.mean(0, dtype=np.float64)
    scale = np.maximum(fit.seen.std(0, dtype=np.float64), RARE)
    if done.min() == done.max():
        odds = np.log(0.5 / (len(done) + 0.5)) if not done.any() else 10.0
        return Logistic(center=center, scale=scale, weights=np.append(np.zeros(len(center)), odds))
    model = LogisticRegression(C=strength, max_iter=300)
    some = np.arange(0, len(done), max(len(done) // ENOUGH, 1))  # its 40 weights need no more
    if done[some].min() == done[some].max():
        some = np.arange(len(done))
    unit, weight = (fit.seen[some] - center) / scale, fit.weight[some]
    model.fit(unit, done[some], sample_weight=weight / weight.mean())
    weights = np.append(model.coef_[0], model.intercept_[0])
    return Logistic(center=center, scale=scale, weights=weights)


def _trees(fit: Examples, check: Examples, number: int, seed: int) -> Trees:
    """Boosted until the people held out gain no more, then laid on a line through their outcomes."""
    import lightgbm
    from sklearn.linear_model import LogisticRegression

    first = lightgbm.Dataset(fit.seen, fit.done[:, number].astype(int), weight=fit.weight)
    second = first.create_valid(check.seen, check.done[:, number].astype(int), weight=check.weight)
    booster = lightgbm.train(
        TREES | {"seed": seed},
        first,
        ROUNDS,
        valid_sets=[second],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    raw = booster.predict(check.seen, raw_score=True, num_iteration=booster.best_iteration)
    line = LogisticRegression(C=1e6)
    line.fit(np.asarray(raw)[:, None], check.done[:, number], sample_weight=check.stands)
    return Trees(onnx_of(booster), np.array([max(float(line.coef_[0, 0]), 1e-3), line.intercept_[0]]))


def onnx_of(booster: Any) -> bytes:
    """A LightGBM model's raw sum as an ONNX graph over float32 features."""
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    text = booster.model_to_string(num_iteration=booster.best_iteration or None)
    # told to be a regression, the converter adds neither a sigmoid nor labels
    text = text.replace("objective=binary sigmoid:1", "objective=regression")
    text = text.replace("[objective: binary]", "[objective: regression]")
    model = lightgbm.Booster(model_str=text)
    wide = FloatTensorType([None, model.num_feature()])
    graph = convert_lightgbm(model, initial_types=[("features", wide)], target_opset=15)
    return bytes(graph.SerializeToString())
