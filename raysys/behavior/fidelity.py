"""How like the people of a held-out log the simulated ones are, told before anything is learned in them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raysys.behavior.choice import ChoiceModel, choice_loss, fit_choice
from raysys.behavior.leave import Leave
from raysys.behavior.noise import Noise
from raysys.behavior.response import Behavior, how_many, read_page
from raysys.behavior.simulator import Choose, Simulator
from raysys.behavior.situations import Situations
from raysys.behavior.visits import Visits, fit_visits
from raysys.errors import DataError
from raysys.evaluation.metrics import log_loss, mean_error
from raysys.types import SURFACES, Bools, Floats

HEAD = ("what", "held-out log", "model", "limit", "reading")
POPULARITY, OWN = "popularity", "own"
"""Wish features that the report reads by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One comparison of the model with a log that it was not fitted on."""

    what: str
    logged: float
    model: float
    limit: str = ""
    """What must hold, in words; empty where the row only informs."""
    passed: bool | None = None

    def row(self) -> tuple[str, str, str, str, str]:
        """Cells under HEAD."""
        reading = "" if self.passed is None else "pass" if self.passed else "FAIL"
        return self.what, f"{self.logged:.4g}", f"{self.model:.4g}", self.limit, reading


def passed(checks: Sequence[Check]) -> bool:
    """Whether no check failed."""
    return all(check.passed is not False for check in checks)


def fidelity(behavior: Behavior, fitted_on: Situations, held_out: Situations, seed: int = 0) -> list[Check]:
    """All checks of a behavior that was fitted on some situations, against others.

    Positions, clicks and leaving because of a page are in no log of purchases, and so in no check.
    """
    checks: list[Check] = []
    popular = fit_choice(_by_popularity(fitted_on))
    bought = replayed(behavior, held_out, seed)
    for surface, name in enumerate(SURFACES):
        here = held_out.surface == surface
        if held_out.bought[here].any():
            part = held_out.where(here)
            checks += _choices(behavior.choice, popular, part, name)
            checks += _purchases(part, bought[here], name)
    return [*checks, *_baskets(held_out, bought), _lengths(behavior.leave, held_out)]


def visit_checks(visits: Visits, fit_until_ms: int, until_ms: int) -> list[Check]:
    """Who comes back in time: a model of the visits before `fit_until_ms`, held against those after."""
    from sklearn.metrics import roc_auc_score

    checks = []
    told = visits.where(visits.time_ms < until_ms)
    early, late = told.time_ms < fit_until_ms, told.time_ms >= fit_until_ms
    features = told.features()
    before = told.where(early)
    for days in (3.0, 7.0, 14.0):
        model = fit_visits(features[early], before.returned(fit_until_ms, days))
        truth = told.returned(until_ms, days)
        known = late & np.isfinite(truth)
        if not known.any():
            raise DataError(f"no visit after the cut has {days:g} days of log behind it; give a longer log")
        prob, truth = model.probs(features[known]), truth[known]
        rate, what = float(truth.mean()), f"visit within {days:g} days"
        checks.append(_near(f"{what}: share", rate, float(prob.mean()), 0.05))
        auc = float(roc_auc_score(truth, prob)) if 0.0 < rate < 1.0 else float("nan")
        checks.append(Check(what=f"{what}: AUC of chance and model", logged=0.5, model=auc))
        loss, plain = log_loss(prob, truth > 0), log_loss(np.full(len(truth), rate), truth > 0)
        checks.append(
            Check(what=f"{what}: log loss, constant and model", logged=plain, model=loss,
                  limit="below", passed=loss < plain)
        )  # fmt: skip
    return checks


def shown(simulator: Simulator, choose: Choose, seed: int = 0) -> list[Check]:
    """What becomes of the sessions under a policy, beside the log; for information, as much is assumed."""
    outcome = simulator.play(choose, simulator.sessions, seed)
    logged = simulator.situations
    pages, bought = float(outcome.pages.sum()), float(logged.bought.sum())
    sold = outcome.purchases.sum() / pages
    return [
        Check(what="shown: purchases a page", logged=bought / len(logged), model=sold),
        Check(what="shown: clicks a page", logged=float("nan"), model=outcome.clicks.sum() / pages),
        Check(what="shown: pages a session", logged=logged.lengths.mean(), model=outcome.pages.mean()),
        Check(what="shown: sessions left early", logged=float("nan"), model=outcome.early.mean()),
    ]


def replayed(behavior: Behavior, situations: Situations, seed: int) -> Bools:
    """What (N, C) is bought with every candidate in sight, and nobody tired."""
    choice, size = behavior.choice, len(situations)
    appeal = choice.appeal(situations)
    first = np.repeat(situations.starts, situations.lengths)
    noise = Noise.of(
        np.full(size, seed), situations.session, np.arange(size) - first, situations.present.shape[1]
    )
    return read_page(
        appeal + noise.wish,
        behavior.outside(situations, appeal) + noise.outside,
        situations.present,
        np.zeros_like(situations.present),
        how_many(choice.again[situations.surface], noise.more),
        satisfices=False,
    ).bought


def _column(situations: Situations, name: str) -> Floats:
    if name not in situations.wish_names:
        raise DataError(f"wish has no feature {name!r}; it has {situations.wish_names}", field="wish_names")
    return np.asarray(situations.wish[:, :, situations.wish_names.index(name)])


def _by_popularity(situations: Situations) -> Situations:
    """The same, with people who see nothing but popularity."""
    return replace(situations, wish=_column(situations, POPULARITY)[:, :, None], wish_names=(POPULARITY,))


def _choices(choice: ChoiceModel, popular: ChoiceModel, part: Situations, name: str) -> list[Check]:
    """Negative log likelihood of a purchase beside that of people without and with a sense for fashion."""
    model = choice_loss(choice.appeal(part), part)
    rivals = {
        "uniform": choice_loss(np.zeros(part.present.shape), part),
        POPULARITY: choice_loss(popular.appeal(_by_popularity(part)), part),
    }
    checks = []
    for rival, loss in rivals.items():
        gain, error = mean_error(_by_person(part, loss - model))
        checks.append(
            Check(
                what=f"{name}: loss of a choice, {rival} and model",
                logged=float(np.nanmean(loss)),
                model=float(np.nanmean(model)),
                limit=f"below, by 3 errors of {error:.2g}",
                passed=bool(gain > 3.0 * error),
            )
        )
    return checks


def _by_person(part: Situations, values: Floats) -> Floats:
    """Mean (P,) of each person's values (N,); NaN are left out."""
    known = np.isfinite(values)
    code = np.unique(part.person[known], return_inverse=True)[1]
    return np.asarray(np.bincount(code, values[known]) / np.bincount(code))


def _purchases(part: Situations, bought: Bools, name: str) -> list[Check]:
    own = _column(part, OWN) > 0
    return [
        _near(f"{name}: pages with a purchase", part.bought.any(1).mean(), bought.any(1).mean(), 0.03),
        _near(
            f"{name}: purchases a page", part.bought.sum(1).mean(), bought.sum(1).mean(), 0.1, relative=True
        ),
        _near(f"{name}: share of repeats", own[part.bought].mean(), own[bought].mean(), 0.05),
    ]


def _baskets(held_out: Situations, bought: Bools) -> list[Check]:
    """Quantiles of the purchases of a session."""
    starts = held_out.starts
    logged = np.add.reduceat(held_out.bought.sum(axis=1), starts)
    model = np.add.reduceat(bought.sum(axis=1), starts)
    rows = []
    for share in (0.25, 0.5, 0.75, 0.9):
        what = f"purchases of a session: {share:.0%} quantile"
        rows.append(_near(what, np.quantile(logged, share), np.quantile(model, share), 1.0))
    return [*rows, _near("purchases of a session: mean", logged.mean(), model.mean(), 0.1, relative=True)]


def _lengths(leave: Leave, held_out: Situations) -> Check:
    """Largest distance between the logged and the fitted distribution of session lengths (Kolmogorov)."""
    longest = int(held_out.lengths.max())
    logged = (held_out.lengths[:, None] > np.arange(longest)).mean(axis=0)
    distance = float(np.abs(logged - leave.reaching(longest)).max())
    return Check(
        what="session length: mean, and distance (KS)",
        logged=float(held_out.lengths.mean()),
        model=distance,
        limit="distance below 0.05",
        passed=distance < 0.05,
    )


def _near(what: str, logged: Any, model: Any, limit: float, *, relative: bool = False) -> Check:
    bound = limit * abs(logged) if relative else limit
    told = f"within {limit:.0%}" if relative else f"within {limit:g}"
    near = bool(abs(model - logged) <= bound)
    return Check(what=what, logged=float(logged), model=float(model), limit=told, passed=near)
