"""Fitting the interest model: partners from the log, their combination from what came next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.events import Kind
from raysys.interest.asked import Asked, stretch
from raysys.interest.combine import Aim, Contest, held_out
from raysys.interest.encoder import UserEncoder
from raysys.interest.features import Partners
from raysys.interest.interactions import Interactions, popularity
from raysys.interest.last_step import LastStep
from raysys.interest.pairs import Pairs, pairs_of
from raysys.interest.partners import Following, Neighbors, co_visits, item_knn
from raysys.interest.rating import fit_rating
from raysys.interest.recall import SIZES, RecallSizes
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import Sales
from raysys.interest.source import NetworkSource
from raysys.interest.untaken import Untaken
from raysys.interest.words import BAGS, Likeness
from raysys.types import DAY_MS, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestConfig:
    """How the interest model is fitted; the network has a config of its own."""

    kinds: tuple[Kind, ...] = ("click", "purchase")
    primary: Kind = "click"
    horizon_days: float = 7.0
    """A probability is that of the deed within so many days."""
    windows: int = 1
    """Of `horizon_days` each, before the end of the log: the combination learns from all of them."""
    network_heard: bool = True
    """Whether the combination looks at the network's score; else the network only recalls, which
    is what finds items that nobody has taken yet."""
    half_life_days: float = 112.0
    following: Following = field(default_factory=Following)
    content_heard: bool = True
    """Whether what items say of themselves, their words and traits, is a source."""
    new_only: bool = False
    """Whether nobody takes a thing twice, so that what is one's own is not proposed."""
    people: int = 20_000
    """People that the combination learns from, at most."""
    recalled: int = 250
    """Items drawn for each person from those recalled and not chosen."""
    near: int = 40
    """Items drawn for each person from the leaves they buy from, not recalled."""
    asked: int = 6
    """Leaves of the category, of those chosen from, that a person is taken to have asked for."""
    answers: int = 40
    """Items drawn from each of them that were not chosen."""
    others: int = 40
    """Items drawn for each person from the rest of the catalog."""
    strength: float = 1.0
    """Inverse of the ridge penalty of the combinations that are sums."""
    aim: Aim = "log_loss"
    """What competing combinations are compared by."""
    sizes: RecallSizes = SIZES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.primary not in self.kinds:
            raise ConfigError(f"primary is {self.primary!r}, must be one of kinds {self.kinds}")
        for name in ("horizon_days", "windows", "half_life_days", "recalled", "near", "others", "strength"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be above 0")


@dataclass(frozen=True, slots=True)
class Fitted:
    """An interest model, and how the competitors for its last step compared."""

    scorer: InterestScorer
    contests: tuple[Contest, ...]
    people: Ints
    """User codes of those it learned from."""
    held: Ints
    """Of them those on whom the competitors were compared."""
    fresh: InterestScorer
    """The same with combinations that know nothing of those held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What the combination learns from: people asked, by a scorer that does not know their answers."""

    asked: Asked
    learned: Interactions
    """What the partners learn from before; none of the answers are in it."""
    known_ms: int
    """When what they learned ends."""
    network: NetworkSource | None = None
    """That has not seen the answers either."""


def lessons_of(
    events: Interactions, config: InterestConfig, network: NetworkSource | None = None
) -> list[Lesson]:
    """The last windows of a log, the latest first; those with less than a horizon before them are left out.

    Raises:
        DataError: the log is shorter than a horizon.
    """
    if not len(events):
        raise DataError("the log has no interactions; nothing can be fitted")
    horizon = int(config.horizon_days * DAY_MS)
    first, end = int(events.time_ms[0]), int(events.time_ms[-1]) + 1
    cuts = [end - (number + 1) * horizon for number in range(config.windows)]
    if cuts[0] <= first:
        raise DataError(
            f"the log spans less than horizon_days ({config.horizon_days}); send a longer one or lower it"
        )
    lessons = []
    for cut in (cut for cut in cuts if cut == cuts[0] or cut - horizon > first):
        asked = stretch(events.before(cut + horizon), cut, at_cut=True, everybody=True)
        lessons.append(Lesson(asked=asked, learned=asked.before, known_ms=cut, network=network))
    return lessons


def fit_interest(
    events: Interactions, catalog: Catalog, config: InterestConfig, encoder: UserEncoder | None = None
) -> Fitted:
    """Fit on a log that ends now.

    The combination learns from the last windows: partners and habits from before each of them are
    asked about what was done in it. Then the partners are learned again from everything.

    Args:
        encoder: a network on the same catalog; to be heard it must not have seen any of the windows.

    Raises:
        DataError: the log is too short, or holds none of the kinds.
    """
    network = None if encoder is None else NetworkSource.of(encoder, catalog)
    lessons = lessons_of(events, config, network if config.network_heard else None)
    return fit_lessons(lessons, events, catalog, config, network)


def fit_lessons(
    lessons: Sequence[Lesson],
    events: Interactions,
    catalog: Catalog,
    config: InterestConfig,
    network: NetworkSource | None,
) -> Fitted:
    """Fit the combination on lessons, then the partners on `events`, which end now.

    Raises:
        DataError: the lessons hold none of the kinds.
    """
    offers, answers = Pairs(), Pairs()
    now_ms = int(events.time_ms[-1]) + 1
    partners = learn_partners(events, catalog, now_ms, config)
    for number, lesson in enumerate(lessons):
        heard = lesson.network if config.network_heard else None
        same = partners if lesson.learned is events and lesson.known_ms == now_ms else None
        scorer = _untrained(lesson.learned, catalog, lesson.known_ms, config, heard, same)
        again = replace(config, seed=config.seed + number)
        offered, asked = pairs_of(lesson.asked, scorer, catalog, lesson.known_ms, again)
        offers.add(offered)
        answers.add(asked)
    if not offers.known or (config.asked and not answers.known):
        raise DataError(
            f"nobody known before did any of {config.kinds} in the last {config.horizon_days} days"
        )
    people = np.unique(np.concatenate([page.person for page in offers.known]))
    if len(people) < 2:
        raise DataError(
            "the combination learns from what some people did and is compared on others, and there is 1 to"
            " learn from; send a log with more of them"
        )
    strength, seed = config.strength, config.seed
    combined = LastStep.of(offers, config.kinds, strength, seed, config.aim)
    told, contests = combined, combined.contests
    if config.asked:
        told = LastStep.of(answers, tuple(f"{kind} if asked" for kind in config.kinds), strength, seed)
        contests = (*contests, *told.contests)
    late = _untrained(events, catalog, now_ms, config, network, partners)
    rating = fit_rating(events, len(catalog))
    scorer = replace(
        late,
        combinations=combined.known,
        answers=told.known,
        untaken=Untaken(combinations=combined.new, answers=told.new),
        rating=rating,
    )
    fresh = replace(
        scorer,
        combinations=combined.fresh,
        answers=combined.fresh,
        untaken=Untaken(combinations=combined.fresh_new, answers=combined.fresh_new),
    )
    return Fitted(scorer, contests, people, held_out(people, seed), fresh)


def relearned(
    scorer: InterestScorer, events: Interactions, catalog: Catalog, config: InterestConfig
) -> InterestScorer:
    """The same combinations over partners that know another log, of the same catalog."""
    other = _untrained(events, catalog, int(events.time_ms[-1]) + 1, config, scorer.network)
    rating = fit_rating(events, len(catalog))
    return replace(
        other,
        combinations=scorer.combinations,
        answers=scorer.answers,
        untaken=scorer.untaken,
        rating=rating,
    )


def _untrained(
    events: Interactions,
    catalog: Catalog,
    now_ms: int,
    config: InterestConfig,
    network: NetworkSource | None,
    partners: Partners | None = None,
) -> InterestScorer:
    """A scorer that knows a log before `now_ms`, still without a combination."""
    return InterestScorer(
        kinds=config.kinds,
        primary=config.primary,
        partners=partners or learn_partners(events, catalog, now_ms, config),
        sales=Sales.of(events, len(catalog), now_ms),
        combinations=(),
        answers=(),
        network=network,
        network_heard=config.network_heard,
        sizes=config.sizes,
        new_only=config.new_only,
        # what the catalog counts may reach beyond this log, into the very days that are asked about
    ).with_items(counted(catalog, events, now_ms, config))


def counted(catalog: Catalog, events: Interactions, now_ms: int, config: InterestConfig) -> Catalog:
    """The catalog with its items counted as of `now_ms`."""
    return replace(catalog, popularity=popularity(events, len(catalog), now_ms, config.half_life_days))


def learn_partners(events: Interactions, catalog: Catalog, now_ms: int, config: InterestConfig) -> Partners:
    """The partners' matrices from a log before `now_ms`."""
    users, items = int(events.user.max()) + 1, len(catalog)
    return Partners(
        co_visit=co_visits(events, items, config.following),
        following=config.following,
        item_knn=item_knn(events, users, items),
        neighbors=Neighbors.learn(events, users, items, now_ms, config.half_life_days),
        likeness=tuple(Likeness.learn(bag, catalog) for bag in BAGS) if config.content_heard else (),
    )
