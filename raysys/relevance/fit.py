"""Fit how much words and meaning each say about relevance, from judged pairs."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raysys.errors import DataError
from raysys.relevance.scorer import RelevanceScorer
from raysys.types import Floats


def fit_relevance(
    scorer: RelevanceScorer,
    pairs: Sequence[tuple[str, str]],
    vectors: tuple[Floats, Floats],
    relevant: Floats,
) -> RelevanceScorer:
    """`scorer` with the share of words that orders judged pairs like a logistic mix of both.

    Args:
        scorer: its word rarity is kept.
        pairs: (query, text of an item), N of them.
        vectors: unit rows (N, D) of the queries and of the texts.
        relevant: (N,) chance that the text answers the query, in [0, 1]; grades are scaled to it.
    """
    from sklearn.linear_model import LogisticRegression

    if not 0.0 < relevant.mean() < 1.0:
        raise DataError(
            f"{len(relevant)} judgements with mean {relevant.mean()}, expected good and bad ones;"
            " use RelevanceScorer.learn until there are"
        )
    words = np.array([scorer.of_texts(query, None, [text], None)[0] for query, text in pairs])
    meaning = np.clip(np.sum(vectors[0] * vectors[1], axis=1), 0.0, 1.0)
    columns = np.stack([words, meaning], axis=1)
    model = LogisticRegression(C=100.0, max_iter=1000)
    labels = np.repeat([1, 0], len(relevant))
    model.fit(np.tile(columns, (2, 1)), labels, sample_weight=np.concatenate([relevant, 1.0 - relevant]))
    by_words, by_meaning = np.maximum(model.coef_[0], 0.0).tolist()
    if by_words + by_meaning == 0.0:
        raise DataError(
            "neither words nor meaning go with the judgements; check that grades grow with relevance"
        )
    return replace(scorer, lexical_share=by_words / (by_words + by_meaning))
