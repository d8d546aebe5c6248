"""Fitting the combination: a sum of features and boosted trees compete on people held out."""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np

from raysys.evaluation.metrics import log_loss
from raysys.interest.boosted import boosted
from raysys.interest.combination import Average, Combination
from raysys.interest.examples import Examples
from raysys.interest.lines import line_through, log_odds_of
from raysys.interest.sums import lined, listwise, logistic
from raysys.types import Bools, Floats, Ints

HELD_OUT = 0.2
"""Share of the people on whom the competitors are compared and calibrated."""
TREES_NEED = 200
"""Positive examples below which trees do not compete."""


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
    found = [
        _winner(examples, outside, number, kind, strength, seed, aim) for number, kind in enumerate(kinds)
    ]
    used, fresh, contests = zip(*found, strict=True)
    return Combined(used, contests, fresh)


def held_out(person: Ints, seed: int) -> Ints:
    """The people, of all in `person`, on whom competitors are compared and trees know when to stop."""
    people = np.unique(person)
    order = np.random.default_rng([seed, 1]).permutation(people)
    return np.asarray(order[: max(int(len(people) * HELD_OUT), 1)])


def _winner(
    examples: Examples, outside: Bools, number: int, kind: str, strength: float, seed: int, aim: Aim
) -> tuple[Combination, Combination, Contest]:
    """The best of them, fitted on everybody and as it was compared, and how they compared."""
    found, used = competitors(examples, outside, number, strength, seed, aim)
    check = examples.of(outside)
    asked = check.done[:, number]
    odds = {name: model.log_odds(check.seen) for name, model in found.items()}
    losses = {name: _loss(values, asked, check.weight) for name, values in odds.items()}
    ndcg = {name: page_ndcg(values, asked, check.page) for name, values in odds.items()}
    if aim == "ndcg":
        winner = max(ndcg, key=lambda name: ndcg[name])
    else:
        winner = min(losses, key=lambda name: losses[name])
    rate = np.average(examples.done[~outside, number], weights=examples.weight[~outside])
    losses["constant"] = _loss(np.full(len(asked), log_odds_of(float(rate))), asked, check.weight)
    best, fresh = used[winner], found[winner]
    if isinstance(fresh, Average):
        # a mean of log odds is less sure than it could be, for its parts know different things (Ranjan
        # and Gneiting 2010); beside items that are combined by something else, that would count
        line = line_through(odds[winner], asked, check.weight)
        best, fresh = best.on_line(*line), fresh.on_line(*line)
    return best, fresh, Contest(kind=kind, log_loss=losses, ndcg=ndcg, winner=winner)


def competitors(
    examples: Examples, outside: Bools, number: int, strength: float, seed: int, aim: Aim
) -> tuple[dict[str, Combination], dict[str, Combination]]:
    """By name: combinations that know nothing of those `outside` (N,), and the same fitted on everybody."""
    fit, check = examples.of(~outside), examples.of(outside)
    done = fit.done[:, number]
    able = bool(done.any() and check.done[:, number].any())
    found: dict[str, Combination] = {}
    if aim == "ndcg" and able:
        found["listwise"] = listwise(fit, check, number, strength)
    elif able:
        found["logistic"] = lined(logistic(fit, done, strength), check, number)
    else:
        found["logistic"] = logistic(fit, done, strength)
    used = dict(found)  # a sum would hardly be another with everybody
    if done.sum() < TREES_NEED or not able:
        return found, used
    found["trees"], used["trees"] = boosted(examples, outside, number, seed)
    if aim == "log_loss":
        return found, used
    found["ranked"], used["ranked"] = boosted(examples, outside, number, seed, ranked=True)
    return with_averages(found), with_averages(used)


def with_averages(single: dict[str, Combination]) -> dict[str, Combination]:
    """Each alone and the average of any of them: what they get wrong they do not get wrong together."""
    names = [some for size in range(2, len(single) + 1) for some in combinations(single, size)]
    return single | {" + ".join(some): Average(tuple(single[name] for name in some)) for some in names}


def page_ndcg(scores: Floats, done: Bools, page: Ints, length: int = 10) -> float:
    """Mean binary NDCG of the order by `scores` (N,) within each page; 0 where nothing was done on any.

    Of equal scores what was done comes last: that a model tells nothing apart is no merit.
    """
    number = np.unique(page, return_inverse=True)[1]
    order = np.lexsort((done, -scores, number))
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
