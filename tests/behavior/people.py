"""Made-up situations with a planted choice, for the tests of behavior."""

from typing import Any

import numpy as np

from raysys.behavior.choice import ChoiceModel, fit_choice
from raysys.behavior.examination import NONE
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.simulator import Reward, Simulator
from raysys.behavior.situations import Situations
from raysys.policy.context import CONTEXT
from raysys.types import Floats

WISHES = ("popularity", "own", "other")


def situations(
    sessions: int = 60,
    *,
    candidates: int = 8,
    longest: int = 5,
    weights: tuple[float, ...] = (0.5, 1.5, -1.0),
    outside: float = 1.0,
    surfaces: int = 3,
    seed: int = 0,
) -> Situations:
    """Sessions in which one thing or nothing is bought, by a logit with these weights; signals = wishes."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, sessions)
    size = int(lengths.sum())
    session = np.repeat(np.arange(sessions) * 3 + 1, lengths)
    present = np.arange(candidates) < rng.integers(2, candidates + 1, size)[:, None]
    wish = rng.normal(size=(size, candidates, len(WISHES))).astype(np.float32)
    utility = np.where(present, wish @ np.array(weights), -np.inf) + rng.gumbel(size=present.shape)
    bought = (utility == utility.max(1, keepdims=True)) & (utility > outside + rng.gumbel(size=(size, 1)))
    return Situations(
        surface=rng.integers(0, surfaces, size),
        context=rng.random((size, len(CONTEXT))).astype(np.float32),
        context_names=CONTEXT,
        signals=wish.copy(),
        present=present,
        wish=wish,
        wish_names=WISHES,
        margin=rng.random(present.shape),
        bid=np.where(rng.random(present.shape) < 0.2, 0.1, 0.0),
        group=rng.integers(-1, 4, present.shape),
        bought=bought,
        person=session // 6,
        session=session,
    )


def simulator(
    people: Situations | None = None, behavior: Behavior | None = None, **changes: Any
) -> Simulator:
    """Profile 0 ranks as people wish, profile 1 the other way around, profile 2 by popularity."""
    people = people or situations()
    behavior = behavior or Behavior.compares(fit_choice(people), Leave.fit(people.lengths))
    settings: dict[str, Any] = {
        "reward": Reward(click=0.1),
        "weights": np.array([[0.5, 1.5, -1.0], [-0.5, -1.5, 1.0], [1.0, 0.0, 0.0]]),
        "temperature": 0.2,
        "allowed": np.ones((3, 3), bool),
        "page": 4,
    }
    return Simulator(people, behavior, **settings | changes)


def one_page(wish: Floats, *, outside: float, page: int = 10, **changes: Any) -> Simulator:
    """A single page (C, 1) shown in the order of its wishes, to people with weight 1 who look at it all."""
    size = len(wish)
    people = Situations(
        surface=np.zeros(1, np.int64),
        context=np.zeros((1, 1), np.float32),
        context_names=("log_step",),
        signals=wish[None].astype(np.float32),
        present=np.ones((1, size), bool),
        wish=wish[None].astype(np.float32),
        wish_names=("worth",),
        margin=np.ones((1, size)),
        bid=np.zeros((1, size)),
        group=np.full((1, size), -1),
        bought=np.zeros((1, size), bool),
        person=np.zeros(1, np.int64),
        session=np.zeros(1, np.int64),
    )
    behavior = Behavior(
        choice=ChoiceModel(
            names=("worth",),
            weights=np.ones((3, 1)),
            outside=np.full(3, outside),
            again=np.zeros(3),
        ),
        leave=Leave(np.zeros(1)),
        **{"examination": NONE} | changes,
    )
    return Simulator(people, behavior, Reward(), np.ones((1, 1)), 0.0, np.ones((3, 1), bool), page)


def always(profile: int) -> Any:
    """The policy that chooses this profile everywhere."""
    return lambda context, surface: np.full(len(context), profile)
