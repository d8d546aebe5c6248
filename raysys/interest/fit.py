"""Fitting the interest model: partners from the log, their combination from what came next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.events import KINDS, Kind
from raysys.interest.combine import Contest, Examples, combine
from raysys.interest.encoder import UserEncoder
from raysys.interest.features import Partners, UserView, features
from raysys.interest.habits import NOBODY, Habits, habits_of
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.partners import Neighbors, co_visits, item_knn
from raysys.interest.recall import SIZES, RecallSizes, recall
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import Sales
from raysys.interest.source import NetworkSource
from raysys.types import DAY_MS, Bools, Floats, Ints

LATEST = (0, 1, 2, 4, 8, 16, 32)
"""How many of a person's latest interactions a made newcomer keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestConfig:
    """How the interest model is fitted; the network has a config of its own."""

    kinds: tuple[Kind, ...] = ("click", "purchase")
    primary: Kind = "click"
    horizon_days: float = 7.0
    """A probability is that of the deed within so many days."""
    half_life_days: float = 112.0
    recalled: int = 200
    """Items drawn for each person from those recalled and not chosen."""
    others: int = 100
    """Items drawn for each person from the rest of the catalog."""
    strength: float = 1.0
    """Inverse of the ridge penalty of the logistic combination."""
    sizes: RecallSizes = SIZES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.primary not in self.kinds:
            raise ConfigError(f"primary is {self.primary!r}, must be one of kinds {self.kinds}")
        for name in ("horizon_days", "half_life_days", "recalled", "others", "strength"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0")


@dataclass(frozen=True, slots=True)
class Fitted:
    """An interest model, and how the competitors for its last step compared."""

    scorer: InterestScorer
    contests: tuple[Contest, ...]


def combination_cut(events: Interactions, config: InterestConfig) -> int:
    """The moment from which on the combination learns; a network must be fitted on what was before."""
    if not len(events):
        raise DataError("the log has no interactions; nothing can be fitted")
    return int(events.time_ms[-1]) + 1 - int(config.horizon_days * DAY_MS)


def fit_interest(
    events: Interactions, catalog: Catalog, config: InterestConfig, encoder: UserEncoder | None = None
) -> Fitted:
    """Fit on a log that ends now.

    The combination learns from the last `horizon_days`: partners and habits from before them are
    asked about what was done in them. Then the partners are learned again from everything.

    Args:
        encoder: a network fitted on the log before `combination_cut`, on the same catalog.

    Raises:
        DataError: the log is too short, or holds none of the kinds.
    """
    cut = combination_cut(events, config)
    before, after = events.before(cut), events.since(cut)
    if not len(before) or not len(after):
        raise DataError(
            f"the log spans less than horizon_days ({config.horizon_days}); send a longer one or lower it"
        )
    network = None if encoder is None else NetworkSource.of(encoder, catalog)
    early = _untrained(before, catalog, cut, config, network)
    combinations, contests = combine(
        _examples(before, after, early, cut, config), config.kinds, config.strength, config.seed
    )
    late = _untrained(events, catalog, int(events.time_ms[-1]) + 1, config, network)
    return Fitted(replace(late, combinations=combinations), contests)


def _untrained(
    events: Interactions, catalog: Catalog, now_ms: int, config: InterestConfig, network: NetworkSource | None
) -> InterestScorer:
    """A scorer that knows a log before `now_ms`, still without a combination."""
    # what the catalog counts may reach beyond this log, into the very days that are asked about
    counted = replace(catalog, popularity=popularity(events, len(catalog), now_ms, config.half_life_days))
    return InterestScorer(
        kinds=config.kinds,
        primary=config.primary,
        partners=learn_partners(events, catalog, now_ms, config),
        sales=Sales.of(events, len(catalog), now_ms),
        combinations=(),
        network=network,
        sizes=config.sizes,
    ).with_items(counted)


def learn_partners(events: Interactions, catalog: Catalog, now_ms: int, config: InterestConfig) -> Partners:
    """The partners' matrices from a log before `now_ms`."""
    users, items = int(events.user.max()) + 1, len(catalog)
    return Partners(
        co_visit=co_visits(events, items),
        item_knn=item_knn(events, users, items),
        neighbors=Neighbors.learn(events, users, items, now_ms, config.half_life_days),
    )


def _examples(
    before: Interactions, after: Interactions, scorer: InterestScorer, cut: int, config: InterestConfig
) -> Examples:
    """What everybody known before the cut did after it, and some of what they did not."""
    rng = np.random.default_rng(config.seed)
    assert scorer.shelf is not None
    size = len(scorer.shelf)
    done = {kind: _by_user(after.where(after.kind == KINDS.index(kind))) for kind in config.kinds}
    seen: list[Floats] = []
    labels: list[Bools] = []
    weights: list[Floats] = []
    people: list[Ints] = []
    for user, habits in _asked(before, rng):
        chosen = [done[kind].get(user, np.zeros(0, np.int64)) for kind in config.kinds]
        view = scorer.view_of(habits, cut)
        rows, weight = _drawn(view, np.unique(np.concatenate(chosen)), size, config, rng)
        seen.append(features(view, rows, cut))
        labels.append(np.stack([np.isin(rows, mine) for mine in chosen], axis=1))
        weights.append(weight)
        people.append(np.full(len(rows), user))
    if not any(label.any() for label in labels):
        raise DataError(
            f"nobody known before did any of {config.kinds} in the last {config.horizon_days} days"
        )
    return Examples(
        seen=np.concatenate(seen),
        done=np.concatenate(labels),
        weight=np.concatenate(weights),
        person=np.concatenate(people),
    )


def _asked(before: Interactions, rng: np.random.Generator) -> Iterator[tuple[int, Habits]]:
    """Everybody as they are known, and as if they had come but lately: so that newcomers are answered too."""
    known = habits_of(before)
    order = np.argsort(before.user, kind="stable")
    users, starts, counts = np.unique(before.user[order], return_index=True, return_counts=True)
    from_end = np.empty(len(before), np.int64)
    from_end[order] = np.repeat(starts + counts, counts) - np.arange(len(before))
    latest = dict(zip(users.tolist(), rng.choice(LATEST, len(users)).tolist(), strict=True))
    few = np.array([latest[user] for user in users.tolist()])[np.searchsorted(users, before.user)]
    newcomers = habits_of(before.where(from_end <= few))
    for user in users.tolist():
        yield user, known[user]
        yield user, newcomers.get(user, NOBODY)


def _drawn(
    view: UserView, chosen: Ints, size: int, config: InterestConfig, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """Rows of all that was chosen and of some that was not, with what each stands for."""
    kind = np.zeros(size, np.int64)
    kind[recall(view, config.sizes)] = 1
    kind[chosen] = 2
    rows, weights = [chosen], [np.ones(len(chosen))]
    for stratum, most in ((1, config.recalled), (0, config.others)):
        there = np.flatnonzero(kind == stratum)
        drawn = rng.choice(there, min(most, len(there)), replace=False)
        rows.append(drawn)
        weights.append(np.full(len(drawn), len(there) / max(len(drawn), 1)))
    return np.concatenate(rows), np.concatenate(weights)


def _by_user(events: Interactions) -> Mapping[int, Ints]:
    order = np.argsort(events.user, kind="stable")
    users, starts = np.unique(events.user[order], return_index=True)
    return dict(zip(users.tolist(), np.split(events.row[order], starts[1:]), strict=True))
