"""Pairs of person and item that a combination learns from: what came next, and some of what did not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from raysys.catalog import Catalog
from raysys.events import KINDS, Kind
from raysys.interest.asked import Asked, places_from_end
from raysys.interest.examples import Examples
from raysys.interest.features import UserView, features
from raysys.interest.habits import NOBODY, Habits, habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.newness import Newness
from raysys.interest.recall import recall
from raysys.interest.scorer import InterestScorer
from raysys.interest.shelf import LEAF
from raysys.interest.untaken import untaken
from raysys.types import Bools, Floats, Ints

if TYPE_CHECKING:  # who fits holds the settings, and draws with this
    from raysys.interest.fit import InterestConfig

UNSEEN = 0.25
"""Weight in fitting of an item that was not recalled: few of them will ever be near the top."""
NEWCOMERS = 700
"""About so many people are also asked about as if they had come but lately."""
LATEST = (0, 1, 2, 4, 8, 16, 32)
"""How many of a person's latest interactions a made newcomer keeps."""


class Drawn(NamedTuple):
    """n items drawn for a person."""

    rows: Ints
    weight: Floats
    """(n,) in fitting and calibrating."""
    stands: Floats
    """(n,) for how many items each stands."""

    def of(self, keep: Bools) -> "Drawn":
        """Those that `keep` (n,) says."""
        return Drawn(self.rows[keep], self.weight[keep], self.stands[keep])


@dataclass(frozen=True, slots=True)
class Pairs:
    """A page of examples for each person and moment."""

    known: list[Examples] = field(default_factory=list)
    """Of all items, as they are."""
    made: list[Examples] = field(default_factory=list)
    """Of items made new."""
    new: list[Examples] = field(default_factory=list)
    """Those of the first that are truly new and were there to be taken."""

    def add(self, more: "Pairs") -> None:
        """What another lesson tells too."""
        for mine, theirs in ((self.known, more.known), (self.made, more.made), (self.new, more.new)):
            mine += theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is asked about, and what they did."""

    user: int
    view: UserView
    now_ms: int
    chosen: Sequence[Ints]
    """(E,) rows of each kind."""

    def told(self, drawn: Drawn, view: UserView | None = None) -> Examples:
        """A page of these pairs, of the person as seen by another `view` if there is one."""
        rows = drawn.rows
        return Examples(
            seen=features(view or self.view, rows, self.now_ms),
            done=np.stack([np.isin(rows, mine) for mine in self.chosen], axis=1),
            weight=drawn.weight,
            stands=drawn.stands,
            person=np.full(len(rows), self.user),
            page=np.zeros(len(rows), np.int64),
        )


def pairs_of(
    asked: Asked, scorer: InterestScorer, catalog: Catalog, known_ms: int, config: "InterestConfig"
) -> tuple[Pairs, Pairs]:
    """What everybody known before did next, and some of what they did not.

    Args:
        scorer: knows what was known at `known_ms`.

    Returns:
        As if all had been offered to them, and as if they had asked for a leaf.
    """
    rng, other = np.random.default_rng(config.seed), np.random.default_rng([config.seed, 5])
    done = [rows_by_user(asked.after, kind) for kind in config.kinds]
    newness = Newness.of(scorer, catalog, config.seed)
    there = catalog.first_ms < known_ms  # as far as the catalog says
    nothing = np.zeros(0, np.int64)
    offers, answers = Pairs(), Pairs()
    for user, habits, now_ms in known_and_newcomers(asked, config.people, rng):
        person = Person(
            user=user,
            view=scorer.view_of(habits, now_ms),
            now_ms=now_ms,
            chosen=[mine.get(user, nothing) for mine in done],
        )
        anything = np.unique(np.concatenate(person.chosen))
        view = newness.view(person.view, habits, now_ms)
        left = newness.left(person.view)
        recalled = recall(person.view, config.sizes, new_only=config.new_only)
        offered = drawn_of(strata(person.view, recalled, config), anything, config, rng)
        new = strata(view, np.flatnonzero(newness.recalled(view, config.sizes)), config)
        made = drawn_of(np.where(left, new, -1), anything[left[anything]], config, other)
        _add(offers, person, offered, there)
        offers.made.append(person.told(made, view))
        for answer in _answers(person.view, anything, config, rng):
            _add(answers, person, answer, there)
            answers.made.append(person.told(answer.of(left[answer.rows]), view))
    return offers, answers


def _add(pairs: Pairs, person: Person, drawn: Drawn, there: Bools) -> None:
    page = person.told(drawn)
    pairs.known.append(page)
    pairs.new.append(page.of(untaken(person.view, drawn.rows) & there[drawn.rows]))


def _answers(
    view: UserView, chosen: Ints, config: "InterestConfig", rng: np.random.Generator
) -> Iterator[Drawn]:
    """For some leaves that something was chosen from: its items, as if they had been asked for."""
    leaf = view.shelf.codes[LEAF]
    leaves = np.unique(leaf[chosen])
    for code in rng.permutation(leaves)[: config.asked].tolist():
        inside = np.flatnonzero(leaf == code)
        mine = np.isin(inside, chosen)
        other, each = _some(inside[~mine], config.answers, rng)
        stands = np.concatenate([np.ones(int(mine.sum())), each])
        yield Drawn(np.concatenate([inside[mine], other]), stands, stands)


def known_and_newcomers(
    asked: Asked, most: int, rng: np.random.Generator
) -> Iterator[tuple[int, Habits, int]]:
    """People as they are known, and as if they had come but lately, so that newcomers are answered too."""
    some = np.sort(rng.permutation(len(asked))[:most])
    users, moments = asked.user[some], asked.now_ms[some]
    before = asked.before.where(np.isin(asked.before.user, users))
    known = habits_of(before)
    latest = rng.choice(LATEST, len(users))
    place = np.searchsorted(users, before.user)
    newcomers = habits_of(before.where(places_from_end(before) < latest[place]))
    for number, (user, now_ms) in enumerate(zip(users.tolist(), moments.tolist(), strict=True)):
        yield user, known[user], now_ms
        if number % max(len(users) // NEWCOMERS, 1) == 0:
            yield user, newcomers.get(user, NOBODY), now_ms


def strata(view: UserView, recalled: Ints, config: "InterestConfig") -> Ints:
    """(I,) 2 for what is recalled, 1 for the rest of the leaves that a person buys from, 0 for all others.

    It is -1 for what is left out: one's own, where nobody takes a thing twice.
    """
    found = np.zeros(len(view.place), np.int64)
    found[view.shelf.near(view.groups)] = 1
    found[recalled] = 2
    if config.new_only:
        found[view.rows] = -1
    return found


def drawn_of(stratum: Ints, chosen: Ints, config: "InterestConfig", rng: np.random.Generator) -> Drawn:
    """Rows of all that was recalled and chosen, and of some of everything else.

    What nobody recalled is drawn without a look at what was chosen, and what was recalled and not
    chosen weighs what it stands for, so that within each stratum the odds are what they are; each
    stratum then counts for the attention that it gets in rankings.

    Args:
        stratum: (I,) see `strata`; it is changed.
        chosen: rows.
    """
    recalled_and_chosen = chosen[stratum[chosen] == 2]
    stratum[recalled_and_chosen] = 3
    rows, weights, stands = [], [], []
    for number, most in enumerate((config.others, config.near, config.recalled, len(stratum))):
        drawn, each = _some(np.flatnonzero(stratum == number), most, rng)
        rows.append(drawn)
        stands.append(each)
        weights.append(each if number >= 2 else np.full(len(drawn), UNSEEN))
    return Drawn(np.concatenate(rows), np.concatenate(weights), np.concatenate(stands))


def _some(there: Ints, most: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """At most `most` of the rows `there` (n,), and for how many each stands."""
    drawn = rng.choice(there, min(most, len(there)), replace=False)
    return drawn, np.full(len(drawn), len(there) / max(len(drawn), 1))


def rows_by_user(events: Interactions, kind: Kind) -> dict[int, Ints]:
    """The distinct rows that every user did something of a kind with."""
    mine = events.where(events.kind == KINDS.index(kind))
    return {user: np.unique(mine.row[places]) for user, places in mine.by_user()}
