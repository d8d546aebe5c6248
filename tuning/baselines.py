"""The simple systems that a model must beat, each tuned on the validation as honestly as the model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeVar, cast

import numpy as np
import ray
from tqdm import tqdm

from raysys.evaluation.next_item import judge
from raysys.interest.asked import Asked
from raysys.interest.habits import Habits
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.partners import Following, Neighbors, co_visits, item_knn
from raysys.types import DAY_MS, Floats
from tuning.ranked import Ranked, Scores, ranked
from tuning.trials import start_ray

SAMPLE, FEWEST = 2000, 200
"""People of the validation on whom settings are compared, at most and at least."""
EVENTS, LEAST = 1_000_000, 100_000
"""Interactions that are enough to compare settings on, and that are always looked at."""
LEARN_S = 3e-5
"""CPU seconds that learning from one of them takes, with all settings."""
ASK_S, ITEM_S = 4e-4, 8e-9
"""CPU seconds that a person takes, asked with one setting, and each item that is ranked for them."""
FOREVER = 36_500.0
"""Half-life in days of what is not forgotten."""
NAMES = ("popularity", "own frequency", "item-kNN", "user-kNN", "co-visitation")


Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a system may learn from."""

    events: Interactions
    items: int
    learned: dict[object, object] = field(default_factory=dict)
    """What several settings have in common."""

    def once(self, what: object, learn: Callable[[], Part]) -> Part:
        """Learned the first time, remembered afterwards."""
        if what not in self.learned:
            self.learned[what] = learn()
        return cast(Part, self.learned[what])

    @property
    def users(self) -> int:
        return int(self.events.user.max()) + 1

    @property
    def now_ms(self) -> int:
        return int(self.events.time_ms[-1]) + 1

    def popular(self, half_life_days: float = FOREVER) -> Floats:
        """(I,) decayed counts, at most a little below 1."""
        count = popularity(self.events, self.items, self.now_ms, half_life_days).astype(np.float64)
        return count / (float(count.max(initial=0.0)) + 1.0)


System = Callable[[Log], Scores]
"""Learns from a log, and then scores every item for a person."""


def by_popularity(half_life_days: float) -> System:
    """The same order for everybody."""

    def learn(log: Log) -> Scores:
        popular = log.popular(half_life_days)
        return lambda habits, now_ms: popular

    return learn


def by_own_frequency(column: str) -> System:
    """What one took oneself, by a column of `Habits`; of equal counts the popular ones first."""

    def learn(log: Log) -> Scores:
        popular = log.popular()

        def scores(habits: Habits, now_ms: int) -> Floats:
            found = popular.copy()
            own = getattr(habits, column) if column != "counts" else habits.bought + habits.touched
            if column in ("slow", "fast"):
                half_life = 112.0 if column == "slow" else 14.0
                own = own * 0.5 ** ((now_ms - habits.last_ms) / DAY_MS / half_life)
            if column == "last_ms":
                own = np.arange(1.0, len(own) + 1)
            found[habits.rows] += 1e3 * own
            return found

        return scores

    return learn


def by_item_knn(shrink: float, fade: float) -> System:
    """What goes with what one took last."""
    how = Following(last=50, fade=fade)

    def learn(log: Log) -> Scores:
        similar = log.once(
            (item_knn, shrink), lambda: item_knn(log.events, log.users, log.items, shrink=shrink)
        )
        return _asked_of(lambda rows, weights: similar.weighted(rows, weights, log.items), how, log)

    return learn


def by_user_knn(most: int, fade: float) -> System:
    """What the people alike took."""
    how = Following(last=100, fade=fade)

    def learn(log: Log) -> Scores:
        people = log.once(
            Neighbors, lambda: Neighbors.learn(log.events, log.users, log.items, log.now_ms, FOREVER)
        )
        return _asked_of(lambda rows, weights: people.scores(rows, weights, most=most), how, log)

    return learn


def by_co_visits(how: Following) -> System:
    """What others took after what one took last."""

    def learn(log: Log) -> Scores:
        followed = co_visits(log.events, log.items, how)
        return _asked_of(lambda rows, weights: followed.weighted(rows, weights, log.items), how, log)

    return learn


def _asked_of(partner: Callable[..., Floats], how: Following, log: Log) -> Scores:
    """A partner asked with the latest history; where it says nothing, the popular ones."""
    popular = 1e-9 * log.popular()

    def scores(habits: Habits, now_ms: int) -> Floats:
        rows, weights = how.weights(habits.history_rows)
        return partner(rows, weights) + popular if len(rows) else popular

    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The best settings of every simple system."""

    systems: Mapping[str, System]
    settings: Mapping[str, Mapping[str, object]]
    ndcg: Mapping[str, float]
    """NDCG@10 of the people sampled from the validation."""
    following: Following
    """Of the best co-visitation."""


def tune_baselines(
    learned: Interactions, valid: Asked, items: int, cpu_seconds: float = float("inf")
) -> Tuned:
    """Try the settings of every simple system on people of the validation.

    Args:
        cpu_seconds: that it should take, about; on large logs it then looks at fewer people and events.
    """
    tries = list(_tries())
    each = (len(tries) + sum(map(len, CLIMB.values()))) * (ASK_S + ITEM_S * items)
    people = min(max(0.5 * cpu_seconds / each, FEWEST), SAMPLE)
    size = min(max(0.5 * cpu_seconds / LEARN_S, LEAST), EVENTS)
    some, log = sampled(valid, int(people)), Log(events=_enough(learned, int(size)), items=items)

    def ndcg(system: System) -> float:
        found = ranked(system(log), some)
        return float(judge(found.top, some.truth, found.first).ndcg.mean())

    best: dict[str, tuple[float, System, Mapping[str, object]]] = {}
    for name, settings, system in tqdm(tries, desc="tuning the simple systems", unit="setting"):
        reached = ndcg(system)
        if name not in best or reached > best[name][0]:
            best[name] = reached, system, settings
    reached, following = _climb(ndcg)
    best["co-visitation"] = reached, by_co_visits(following), _fields(following)
    return Tuned(
        systems={name: best[name][1] for name in NAMES},
        settings={name: best[name][2] for name in NAMES},
        ndcg={name: best[name][0] for name in NAMES},
        following=following,
    )


def ask_each(
    systems: Mapping[str, System], log: Log, asked: Sequence[Asked], cores: int
) -> dict[str, list[Ranked]]:
    """Everybody's ranking by each of some systems, learned from a log; a system on each core.

    Args:
        asked: some groups of people, each with a list of its own.
    """
    if cores == 1:
        return {name: _by_system(system, log, asked, name) for name, system in systems.items()}
    start_ray(cores)
    task, told, people = ray.remote(num_cpus=1)(_by_system), ray.put(log), ray.put(asked)
    pending = {name: task.remote(system, told, people) for name, system in systems.items()}
    bar = tqdm(pending.items(), desc="asking the simple systems", unit="system")
    return {name: ray.get(one) for name, one in bar}


def _by_system(system: System, log: Log, asked: Sequence[Asked], words: str = "") -> list[Ranked]:
    scores = system(log)
    return [ranked(scores, one, words) for one in asked]


def sampled(asked: Asked, most: int) -> Asked:
    """At most so many of the people asked, drawn at random but always the same ones."""
    keep = np.zeros(len(asked), np.bool_)
    keep[np.random.default_rng(0).permutation(len(asked))[:most]] = True
    return asked.of(keep)


def _enough(events: Interactions, most: int) -> Interactions:
    """What settings are compared on: about so many of a longer log, all of some users."""
    if len(events) <= most:
        return events
    users = np.unique(events.user)
    kept = np.random.default_rng(0).permutation(users)[: max(len(users) * most // len(events), 1)]
    return events.where(np.isin(events.user, kept))


def _tries() -> Iterator[tuple[str, Mapping[str, object], System]]:
    for days in (FOREVER, 112.0, 28.0, 7.0):
        yield "popularity", {"half_life_days": days}, by_popularity(days)
    for column in ("counts", "slow", "fast", "last_ms"):
        yield "own frequency", {"by": column}, by_own_frequency(column)
    for shrink, fade in product((0.0, 20.0, 100.0), (0.7, 0.9, 1.0)):
        yield "item-kNN", {"shrink": shrink, "fade": fade}, by_item_knn(shrink, fade)
    for most, fade in product((50, 200, 800), (0.8, 0.95, 1.0)):
        yield "user-kNN", {"most": most, "fade": fade}, by_user_knn(most, fade)


CLIMB = {
    "power": (0.0, 0.25, 0.5, 0.75),
    "fade": (0.3, 0.5, 0.7, 0.85),
    "gap": (1, 3, 8, 20),
    "reverse": (0.0, 0.25, 0.5, 1.0),
    "shrink": (1.0, 5.0, 20.0, 100.0),
}


def _climb(ndcg: Callable[[System], float]) -> tuple[float, Following]:
    """One setting of the co-visitation after the other, each at its best given the others."""
    best = Following()
    reached = ndcg(by_co_visits(best))
    tries = [(name, value) for name, values in CLIMB.items() for value in values]
    for name, value in tqdm(tries, desc="tuning co-visitation", unit="setting"):
        other = replace(best, **{name: value})
        if other != best and (found := ndcg(by_co_visits(other))) > reached:
            reached, best = found, other
    return reached, best


def _fields(how: Following) -> dict[str, object]:
    return {name: getattr(how, name) for name in how.__slots__}
