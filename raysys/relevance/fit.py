"""Learn relevance from judged pairs: boosted trees over the features, or the mix where that orders better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from raysys.boosting import onnx_of
from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.relevance.features import NAMES
from raysys.relevance.model import MEANING, Learned, Model, Trees, without_meaning
from raysys.relevance.scorer import RelevanceScorer
from raysys.types import Bools, Floats, Ints, Wording

Objective: TypeAlias = Literal["regression", "lambdarank"]
GRADES = 12
"""Steps of relevance that LambdaMART tells apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelevanceConfig:
    """How the trees are grown."""

    objectives: tuple[Objective, ...] = ("regression", "lambdarank")
    """Their models are averaged; the regression is steadier, LambdaMART minds the order."""
    rounds: int = 250
    learning_rate: float = 0.04
    leaves: int = 31
    least: int = 60
    """Pairs in a leaf."""
    held_out: float = 0.2
    """Share of the queries by which trees and mix are compared."""
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.objectives or set(self.objectives) - {"regression", "lambdarank"}:
            raise ConfigError(f"objectives are {self.objectives}, expected regression, lambdarank or both")
        if not 0.0 < self.held_out < 1.0:
            raise ConfigError(f"held_out is {self.held_out}, must be between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgements:
    """N pairs of a query and a text, each with the chance that the text answers the query."""

    queries: Sequence[str]
    texts: Sequence[str]
    query: Ints
    """(N,) which of `queries`."""
    text: Ints
    """(N,) which of `texts`."""
    relevant: Floats
    """(N,) in [0, 1]; grades are scaled to it."""
    weight: Floats | None = None
    """(N,) how much each pair counts; all alike if None."""
    row: Ints | None = None
    """(T,) which item of the catalog each text is, -1 for none; all are mere texts if None."""

    def __post_init__(self) -> None:
        if not 0.0 < float(np.mean(self.relevant)) < 1.0 or np.ptp(self.relevant) == 0.0:
            raise DataError(
                f"{len(self.relevant)} judgements with mean {np.mean(self.relevant)}, expected good and bad"
                " ones; use RelevanceScorer.of_catalog until there are"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A scorer and what queries that were held out said of its kind."""

    scorer: RelevanceScorer
    judgements: int
    mix_ndcg: float
    trees_ndcg: float
    trees_error: float
    """Root of the mean squared error, on the scale of `relevant`."""
    held: Bools
    """(N,) the pairs that were held out."""
    held_out: Floats
    """(n,) relevance of them, by the kind of model that won."""


def fit_relevance(
    scorer: RelevanceScorer,
    judged: Judgements,
    vectors: tuple[Floats, Floats] | None,
    config: RelevanceConfig | None = None,
    catalog: Catalog | None = None,
    meaning: Floats | None = None,
    apart: Bools | None = None,
) -> Fitted:
    """`scorer` with trees in the place of its model, if they order queries better that were held out.

    Args:
        vectors: unit rows (Q, D) of the queries and (T, D) of the texts; None learns from words alone.
        catalog: of the items that were judged, if some were.
        meaning: (N,) cosine of each pair by an encoder that did not learn from its query, in the place of
            what `vectors` and `catalog` say, which did; see `raysys.relevance.unseen`.
        apart: (Q,) the queries to hold out; a share of them by lot if None.
    """
    config = config or RelevanceConfig()
    seen = judged_features(scorer, judged, vectors, catalog)
    if meaning is not None:
        seen[:, MEANING] = meaning
    if apart is None:
        apart = np.random.default_rng(config.seed).random(len(judged.queries)) < config.held_out
    held = apart[judged.query]
    if len(np.unique(judged.query[held])) < 2 or len(np.unique(judged.query[~held])) < 2:
        raise DataError(f"{len(judged.queries)} queries were judged, too few to hold some out; judge more")
    weight = np.ones(len(seen)) if judged.weight is None else judged.weight
    trees = fit_trees(seen[~held], judged.relevant[~held], judged.query[~held], config, weight[~held])
    told, query = judged.relevant[held], judged.query[held]
    found = trees.relevance(seen[held])
    mixed = scorer.model.relevance(seen[held])
    by_mix, by_trees = (mean_ndcg(scores, told, query) for scores in (mixed, found))
    model: Model = scorer.model
    if by_trees > by_mix:
        model = fit_trees(seen, judged.relevant, judged.query, config, weight)
    return Fitted(
        scorer=replace(scorer, model=model),
        judgements=len(seen),
        mix_ndcg=by_mix,
        trees_ndcg=by_trees,
        trees_error=float(np.sqrt(np.mean((found - told) ** 2))),
        held=held,
        held_out=found if by_trees > by_mix else mixed,
    )


def judged_features(
    scorer: RelevanceScorer,
    judged: Judgements,
    vectors: tuple[Floats, Floats] | None,
    catalog: Catalog | None = None,
) -> Floats:
    """Features (N, len(NAMES)) of judged pairs; see `fit_relevance`."""
    found = np.zeros((len(judged.query), len(NAMES)), np.float32)
    row = np.full(len(judged.texts), -1) if judged.row is None or catalog is None else judged.row
    order = np.argsort(judged.query, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(judged.query[order])) + 1):
        query, vector = judged.queries[judged.query[places[0]]], None
        if vectors is not None:
            vector = vectors[0][judged.query[places[0]]]
        known = row[judged.text[places]] >= 0
        items, others = places[known], judged.text[places[~known]]
        if catalog is not None and len(items):
            found[items] = scorer.features(query, vector, row[judged.text[items]], catalog)
        texts = [Wording(judged.texts[text]) for text in others]
        meant = None if vectors is None else vectors[1][others]
        found[places[~known]] = scorer.features_of_texts(query, vector, texts, meant)
    return found


def fit_trees(
    seen: Floats, relevant: Floats, query: Ints, config: RelevanceConfig, weight: Floats | None = None
) -> Learned:
    """Trees with and without the meaning, from features (N, len(NAMES)) and relevance (N,) in [0, 1]."""
    whole, words = (
        trees_of(features, relevant, query, config, weight) for features in (seen, without_meaning(seen))
    )
    return Learned(whole, words)


def trees_of(
    seen: Floats, relevant: Floats, query: Ints, config: RelevanceConfig, weight: Floats | None = None
) -> Trees:
    """Trees from any features (N, F) and relevance (N,) in [0, 1].

    Each model's sum is brought to the scale of relevance by a line fitted to queries that it did not see.
    """
    weight = np.ones(len(seen)) if weight is None else weight
    order = np.argsort(query, kind="stable")
    data = _Data(seen[order], relevant[order], query[order], weight[order])
    check = (query[order] % 5) == 0
    if not check.any() or check.all():
        check = np.arange(len(order)) % 5 == 0
    return _trees(data, check, config)


@dataclass(frozen=True, slots=True)
class _Data:
    """Pairs in the order of their queries."""

    seen: Floats
    relevant: Floats
    query: Ints
    weight: Floats

    def at(self, rows: Bools) -> "_Data":
        return _Data(self.seen[rows], self.relevant[rows], self.query[rows], self.weight[rows])


def _trees(data: _Data, check: Bools, config: RelevanceConfig) -> Trees:
    models, lines = [], []
    for objective in config.objectives:
        model, line = _grown(data, objective, config), (1.0, 0.0)
        if objective == "lambdarank":
            held = data.at(check)
            said = _grown(data.at(~check), objective, config).predict(held.seen)
            line = _line(said, held.relevant, held.weight)
        models.append(onnx_of(model))
        lines.append(line)
    return Trees(models, lines)


def _line(said: Floats, relevant: Floats, weight: Floats) -> tuple[float, float]:
    """Slope and offset of the least squares line from sums (n,) to relevance (n,)."""
    mean_said, mean = np.average(said, weights=weight), np.average(relevant, weights=weight)
    spread = float(np.average((said - mean_said) ** 2, weights=weight))
    slope = np.average((said - mean_said) * (relevant - mean), weights=weight) / spread if spread > 0 else 0.0
    return float(slope), float(mean - slope * mean_said)


def _grown(data: _Data, objective: Objective, config: RelevanceConfig) -> Any:
    """A LightGBM booster."""
    import lightgbm

    settings: dict[str, Any] = {
        "objective": objective, "learning_rate": config.learning_rate, "num_leaves": config.leaves,
        "min_data_in_leaf": config.least, "lambda_l2": 20.0, "feature_fraction": 0.5, "bagging_fraction": 0.7,
        "bagging_freq": 1, "seed": config.seed, "num_threads": 1, "deterministic": True, "verbose": -1,
    }  # fmt: skip
    label, groups = data.relevant, None
    if objective == "lambdarank":
        label = np.round(data.relevant * GRADES).astype(np.int64)
        groups = np.diff(np.append(np.flatnonzero(np.diff(data.query, prepend=-1)), len(data.query)))
        settings |= {"label_gain": list(range(GRADES + 1)), "num_leaves": config.leaves // 2 + 1}
    pairs = lightgbm.Dataset(data.seen, label, weight=data.weight, group=groups)
    return lightgbm.train(settings, pairs, config.rounds)


def mean_ndcg(scores: Floats, relevant: Floats, query: Ints, length: int = 5) -> float:
    """Mean NDCG with linear gains over queries of which anything is relevant."""
    found = []
    for number in np.unique(query):
        gain = relevant[query == number]
        discount = 1.0 / np.log2(np.arange(min(length, len(gain))) + 2.0)
        best = float(np.sort(gain)[::-1][: len(discount)] @ discount)
        if best > 0.0:
            order = np.argsort(-scores[query == number], kind="stable")[: len(discount)]
            found.append(float(gain[order] @ discount) / best)
    return float(np.mean(found)) if found else float("nan")
