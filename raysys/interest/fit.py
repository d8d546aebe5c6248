"""Fitting the interest model: partners from the log, their combination from what came next."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.events import KINDS, Interaction, Kind
from raysys.interest.features import Partners, features, user_view
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.partners import Neighbors, co_visits, item_knn
from raysys.interest.scorer import InterestScorer, codes_of
from raysys.state.fold import fold_all
from raysys.state.protocol import State
from raysys.types import DAY_MS, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestConfig:
    """How the interest model is fitted; every field may be searched by `tuning.interest`."""

    kinds: tuple[Kind, ...] = ("click", "purchase")
    primary: Kind = "click"
    horizon_days: float = 7.0
    """A probability is that of the deed within so many days."""
    half_life_days: float = 112.0
    negatives: int = 100
    """Items drawn for each person beside those that were chosen."""
    strength: float = 1.0
    """Inverse of the ridge penalty."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.primary not in self.kinds:
            raise ConfigError(f"primary is {self.primary!r}, must be one of kinds {self.kinds}")
        for name in ("horizon_days", "half_life_days", "negatives", "strength"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0")


def states_of(events: Interactions, item_ids: Sequence[str]) -> Mapping[int, State]:
    """The state of every user code after `events`, by the fold that serving uses."""
    mine: dict[int, list[tuple[int, Interaction]]] = defaultdict(list)
    columns = (events.user.tolist(), events.row.tolist(), events.kind.tolist(), events.time_ms.tolist())
    for number, (user, row, kind, time_ms) in enumerate(zip(*columns, strict=True), start=1):
        deed = Interaction(kind=KINDS[kind], item_id=item_ids[row], time_ms=time_ms)
        mine[user].append((number, deed))
    return {user: state for user, deeds in mine.items() if (state := fold_all(deeds)) is not None}


def fit_interest(events: Interactions, catalog: Catalog, config: InterestConfig) -> InterestScorer:
    """Fit on a log that ends now.

    The combination learns from the last `horizon_days`: partners and states from before them are
    asked about what was done in them. Then the partners are learned again from everything.

    Raises:
        DataError: the log is too short, or holds none of the kinds.
    """
    if not len(events):
        raise DataError("the log has no interactions; nothing can be fitted")
    cut = int(events.time_ms[-1]) + 1 - int(config.horizon_days * DAY_MS)
    before, after = events.before(cut), events.since(cut)
    if not len(before) or not len(after):
        raise DataError(
            f"the log spans less than horizon_days ({config.horizon_days}); send a longer one or lower it"
        )
    partners = learn_partners(before, catalog, cut, config)
    seen, done, sampled = _examples(before, after, catalog, partners, cut, config)
    center, scale = seen.mean(0), np.maximum(seen.std(0), 1e-3)
    weights = [
        _logistic((seen - center) / scale, done[:, kind], sampled, config.strength)
        for kind in range(len(config.kinds))
    ]
    end = int(events.time_ms[-1]) + 1
    liked = popularity(events, len(catalog), end, config.half_life_days)
    return InterestScorer(
        kinds=config.kinds,
        primary=config.primary,
        partners=learn_partners(events, catalog, end, config),
        center=center.astype(np.float32),
        scale=scale.astype(np.float32),
        weights=np.stack(weights).astype(np.float32),
        popular=np.argsort(-liked, kind="stable"),
        codes=codes_of(catalog),
    )


def learn_partners(events: Interactions, catalog: Catalog, now_ms: int, config: InterestConfig) -> Partners:
    """The partners' matrices from a log before `now_ms`."""
    users, items = int(events.user.max()) + 1, len(catalog)
    return Partners(
        co_visit=co_visits(events, items),
        item_knn=item_knn(events, users, items),
        neighbors=Neighbors.learn(events, users, items, now_ms, config.half_life_days),
    )


def _examples(
    before: Interactions,
    after: Interactions,
    catalog: Catalog,
    partners: Partners,
    cut: int,
    config: InterestConfig,
) -> tuple[Floats, Floats, Floats]:
    """Features (N, Fi), what was done (N, E), and the share (N,) of such items that was drawn."""
    rng = np.random.default_rng(config.seed)
    # what the catalog counts may reach into the very days that are asked about
    then = popularity(before, len(catalog), cut, config.half_life_days)
    catalog = replace(catalog, popularity=then)
    codes, states = codes_of(catalog), states_of(before, catalog.item_ids)
    size = len(catalog)
    done = {kind: _by_user(after.where(after.kind == KINDS.index(kind))) for kind in config.kinds}
    seen: list[Floats] = []
    labels: list[Floats] = []
    shares: list[Floats] = []
    for user, state in sorted(states.items()):
        chosen = {kind: done[kind].get(user, np.zeros(0, np.int64)) for kind in config.kinds}
        positive = np.unique(np.concatenate(list(chosen.values())))
        others = np.setdiff1d(np.arange(size), positive, assume_unique=True)
        drawn = rng.choice(others, min(config.negatives, len(others)), replace=False)
        rows = np.concatenate([positive, drawn])
        view = user_view(state, catalog, partners, codes, cut)
        seen.append(features(view, rows, cut))
        labels.append(np.stack([np.isin(rows, chosen[kind]) for kind in config.kinds], axis=1))
        share = np.ones(len(rows))
        share[len(positive) :] = len(drawn) / max(len(others), 1)
        shares.append(share)
    if not any(label.any() for label in labels):
        raise DataError(
            f"nobody known before did any of {config.kinds} in the last {config.horizon_days} days"
        )
    return np.concatenate(seen), np.concatenate(labels).astype(float), np.concatenate(shares)


def _by_user(events: Interactions) -> dict[int, Ints]:
    order = np.argsort(events.user, kind="stable")
    users, starts = np.unique(events.user[order], return_index=True)
    return dict(zip(users.tolist(), np.split(events.row[order], starts[1:]), strict=True))


def _logistic(seen: Floats, done: Floats, sampled: Floats, strength: float) -> Floats:
    """Weights (Fi + 1,); examples weigh 1 / their share, so that a probability means what it says."""
    from sklearn.linear_model import LogisticRegression

    if done.min() == done.max():
        odds = np.log(0.5 / (len(done) + 0.5)) if done.max() == 0 else 10.0
        return np.append(np.zeros(seen.shape[1]), odds)
    model = LogisticRegression(C=strength, max_iter=500)
    model.fit(seen, done, sample_weight=1.0 / sampled)
    return np.append(model.coef_[0], model.intercept_[0])
