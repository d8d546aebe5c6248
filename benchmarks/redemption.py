"""Who redeems, of those targeted, in Complete Journey: response, not uplift, of simulated households."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss

from raysys.ads.features import FEATURES
from raysys.ads.fit import fit_response, held_out
from raysys.ads.redemptions import Level, Offered, offered
from raysys.dataset.complete_journey import package_folder
from raysys.evaluation.report import Section, calibration, write_report
from raysys.types import Floats, Ints

TARGETS: dict[Level, float] = {"campaign": 0.84, "coupon": 0.93}
Way: TypeAlias = Callable[[Floats, Floats, Floats], Floats]
"""From chances and outcomes of some rows, and chances of others, to better chances of the others."""
DRAWS = 500
BINS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=["campaign", "coupon", "both"], default="both")
    parser.add_argument("--training-only", action="store_true", help="choose without looking at the test")
    parser.add_argument("--report", type=Path, help="an HTML page with the calibration plots")
    options = parser.parse_args()
    sections: list[Section] = []
    for level in TARGETS:
        if options.level in (level, "both"):
            sections += measure(level, training_only=options.training_only)
    if options.report:
        write_report(options.report, "Who redeems, of those targeted", sections)


def measure(level: Level, *, training_only: bool) -> list[Section]:
    """Fit on campaigns before 30 October, print held-out training campaigns, then the test."""
    began = time.process_time()
    train = offered(package_folder(), level, test=False)
    held = held_out(train.columns, train.redeemed, train.campaign)
    print(f"household x {level}, training campaigns, each held out in turn: {_size(train)}")
    for name, prob in recalibrated(held, train).items():
        print(f"  {name:15} {_scores(train, prob)}")
    sections = [_section(f"household × {level}: training campaigns, held out", train, held)]
    if not training_only:
        test = offered(package_folder(), level, test=True)
        print(f"household x {level}, test: {_size(test)}")
        prob = fit_response(train.columns, train.redeemed).of_features(test.columns)
        alone = fit_response(_only(train.columns), train.redeemed).of_features(_only(test.columns))
        constant = np.full(len(test.redeemed), train.redeemed.mean())
        for name, chances in (("constant", constant), ("own purchases", alone), ("response model", prob)):
            print(f"  {name:15} {_scores(test, chances)}")
        print(f"  target AUC {TARGETS[level]}; predicted and redeemed by tenths of the prediction:")
        print("  ", "  ".join(f"{said:.4f}/{seen:.4f}" for said, seen, _ in reliability(test.redeemed, prob)))
        sections.append(_section(f"household × {level}: test campaigns", test, prob))
    print(f"  {time.process_time() - began:.0f} CPU s")
    return sections


def recalibrated(held: Floats, train: Offered) -> dict[str, Floats]:
    """Held-out chances (N,) as they are, and put right by what the other campaigns tell."""
    ways: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
        "with Platt": _platt,
        "with isotonic": _isotonic,
    }
    found = {"as fitted": held}
    for name, way in ways.items():
        found[name] = np.empty(len(held))
        for campaign in np.unique(train.campaign):
            own = train.campaign == campaign
            found[name][own] = way(held[~own], train.redeemed[~own], held[own])
    return found


def _platt(prob: Floats, redeemed: Floats, new: Floats) -> Floats:
    model = LogisticRegression(C=1e6).fit(_log_odds(prob)[:, None], redeemed)
    return np.asarray(model.predict_proba(_log_odds(new)[:, None])[:, 1])


def _isotonic(prob: Floats, redeemed: Floats, new: Floats) -> Floats:
    found = IsotonicRegression(out_of_bounds="clip").fit(prob, redeemed).predict(new)
    return np.clip(found, 1e-5, 1 - 1e-5)


def _log_odds(prob: Floats) -> Floats:
    return np.log(prob / (1 - prob))


def auc(redeemed: Floats, scores: Floats, weights: Floats) -> float:
    """Chance that a redeemer scores above a non-redeemer, ties half, by rows of these weights."""
    _, level = np.unique(scores, return_inverse=True)
    yes, no = np.bincount(level, weights * redeemed), np.bincount(level, weights * (1 - redeemed))
    return float(np.sum(yes * (np.cumsum(no) - no / 2)) / (yes.sum() * no.sum()))


def auc_error(rows: Offered, scores: Floats) -> float:
    """Standard error of the AUC over bootstrap draws of households, each with all of its rows."""
    rng = np.random.default_rng(0)
    _, place = np.unique(rows.household, return_inverse=True)
    count, draws = int(place.max()) + 1, list[float]()
    _, level = np.unique(scores, return_inverse=True)
    for _ in range(DRAWS if len(scores) < 50_000 else DRAWS // 5):
        times = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        draws.append(auc(rows.redeemed, level, times[place]))
    return float(np.std(draws))


def reliability(redeemed: Floats, prob: Floats) -> list[tuple[float, float, int]]:
    """Mean prediction, share that redeemed, and number of rows, in tenths of the prediction."""
    parts: list[Ints] = np.array_split(np.argsort(prob, kind="stable"), BINS)
    return [(float(prob[part].mean()), float(redeemed[part].mean()), len(part)) for part in parts]


def expected_error(redeemed: Floats, prob: Floats) -> float:
    """Expected calibration error: the mean distance of prediction and share, over `reliability`."""
    return sum(abs(said - seen) * n for said, seen, n in reliability(redeemed, prob)) / len(prob)


def _scores(rows: Offered, prob: Floats) -> str:
    truth = rows.redeemed
    return (
        f"AUC {auc(truth, prob, np.ones(len(prob))):.4f} ± {auc_error(rows, prob):.4f}"
        f"  AP {average_precision_score(truth, prob):.4f}  log loss {log_loss(truth, prob):.5f}"
        f"  ECE {expected_error(truth, prob):.5f}"
    )


def _size(rows: Offered) -> str:
    return (
        f"{len(rows.redeemed):,} rows, {rows.redeemed.sum():.0f} redeemed,"
        f" {len(np.unique(rows.household)):,} households, {len(np.unique(rows.campaign))} campaigns"
    )


def _section(title: str, rows: Offered, prob: Floats) -> Section:
    told: Sequence[Sequence[object]] = reliability(rows.redeemed, prob)
    return Section(
        title=title,
        text=f"{_scores(rows, prob)}. Response, not uplift; the data are simulated.",
        head=("predicted", "redeemed", "rows"),
        rows=told,
        png=calibration(prob, rows.redeemed),
    )


def _only(columns: Floats) -> Floats:
    """The baseline's one column: days on which the household bought what the offer is about."""
    kept = np.zeros_like(columns)
    kept[:, FEATURES.index("promoted_bought")] = columns[:, FEATURES.index("promoted_bought")]
    return kept


if __name__ == "__main__":
    main()
