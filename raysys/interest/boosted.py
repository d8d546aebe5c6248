"""Gradient-boosted trees over features, told what was done or the order of a page, on a line of log odds."""

from typing import Any

import numpy as np

from raysys.boosting import onnx_of
from raysys.interest.combination import Trees
from raysys.interest.examples import Examples
from raysys.interest.lines import line_through
from raysys.types import Bools

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
"""Chosen on weeks 45-48 of Complete Journey among a handful."""
RANKED = TREES | {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "lambdarank_truncation_level": 15,
    "num_leaves": 15,
    "min_data_in_leaf": 200,
}
"""LambdaMART (Burges 2010): few answers are a lot of pairs, which small trees learn from."""


def boosted(
    examples: Examples, outside: Bools, number: int, seed: int, *, ranked: bool = False
) -> tuple[Trees, Trees]:
    """Boosted until the people held out gain no more, then laid on a line through their outcomes.

    They learn from what was drawn as it was drawn, which orders better: that a pair weighs what it
    stands for shifts the log odds, and the line finds that.

    Args:
        outside: (N,) which examples are of people held out.
        number: of the kind.
        ranked: whether they learn the order of each page on which something was done, and not what
            was done. That a sum is higher on one page than on another then means little.

    Returns:
        What has not seen the people held out, to be compared; and what learned from them too, in
        as many rounds, to be used.
    """
    import lightgbm

    settings = (RANKED if ranked else TREES) | {"seed": seed}
    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    check = examples.of(outside)
    first = _data(examples.of(~outside), number, ranked)
    second = _data(check, number, ranked, first)
    booster = lightgbm.train(settings, first, ROUNDS, valid_sets=[second], callbacks=[stop])
    rounds = booster.best_iteration or ROUNDS
    raw = np.asarray(booster.predict(check.seen, raw_score=True, num_iteration=rounds))
    line = np.array(line_through(raw, check.done[:, number], check.weight))
    order = np.argsort(outside, kind="stable")
    whole = lightgbm.train(settings, _data(examples.of(order), number, ranked), rounds)
    return Trees(onnx_of(booster), line), Trees(onnx_of(whole), line)


def _data(examples: Examples, number: int, ranked: bool, reference: Any = None) -> Any:
    import lightgbm

    more: dict[str, Any] = {"weight": np.minimum(examples.weight, 1.0)}
    if ranked:
        told = np.unique(examples.page[examples.done[:, number]])
        examples = examples.of(np.isin(examples.page, told))
        # LightGBM leaves equal scores in this order, and stops early by what that order is worth
        examples = examples.of(np.lexsort((examples.done[:, number], examples.page)))
        starts = np.flatnonzero(np.diff(examples.page, prepend=-1))
        more = {"group": np.diff(starts, append=len(examples.page))}
    done = examples.done[:, number].astype(int)
    return lightgbm.Dataset(examples.seen, done, reference=reference, free_raw_data=False, **more)
