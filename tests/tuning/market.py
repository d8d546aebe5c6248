"""A market whose best policy is known by construction.

Interest tells what people who are known want and popularity what strangers want; for the others
each tells the opposite. Whoever is shown nothing they want buys nothing.
"""

import numpy as np

from raysys.behavior.choice import ChoiceModel
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.reward import Reward
from raysys.behavior.simulator import Simulator
from raysys.behavior.situations import Situations
from raysys.policy.context import CONTEXT
from raysys.signals import SIGNALS
from raysys.types import SURFACES, Floats

STEPS, CANDIDATES = 3, 12
TASTE = ChoiceModel(
    names=("taste", "own", "popularity"),
    weights=np.tile([3.0, 0.0, 0.0], (3, 1)),
    outside=np.full(3, 3.0),
    again=np.zeros(3),
)
BEHAVIOR = Behavior.compares(TASTE, Leave(np.full(STEPS, 0.1)))


def market(sessions: int = 200, seed: int = 0) -> Situations:
    """Sessions of a feed page and two searches; three in ten people are strangers."""
    rng = np.random.default_rng(seed)
    size = sessions * STEPS
    session = np.repeat(np.arange(sessions), STEPS)
    stranger = np.repeat(rng.random(sessions) < 0.3, STEPS)
    surface = np.tile([SURFACES.index(name) for name in ("feed", "search", "search")], sessions)
    taste, told = rng.normal(size=(2, size, CANDIDATES))
    clue = 0.95 * taste + 0.3 * told
    sign = np.where(stranger, -1.0, 1.0)[:, None]
    signals = np.zeros((size, CANDIDATES, len(SIGNALS)), np.float32)
    signals[..., SIGNALS.index("interest")] = sign * clue
    signals[..., SIGNALS.index("popularity")] = -sign * clue
    present = np.ones((size, CANDIDATES), np.bool_)
    present[:, -1] = rng.random(size) < 0.5
    wanted = np.where(present, 3.0 * taste + rng.gumbel(size=taste.shape), -np.inf)
    return Situations(
        surface=surface,
        context=_contexts(surface, stranger, rng),
        context_names=CONTEXT,
        signals=signals,
        present=present,
        wish=np.stack([taste, np.zeros_like(taste), -sign * clue], axis=-1).astype(np.float32),
        wish_names=TASTE.names,
        margin=np.ones((size, CANDIDATES), np.float32),
        bid=np.zeros((size, CANDIDATES), np.float32),
        group=np.full((size, CANDIDATES), -1),
        bought=np.arange(CANDIDATES) == wanted.argmax(axis=1)[:, None],
        person=session // 2,
        session=session,
    )


def _contexts(surface: np.ndarray, stranger: np.ndarray, rng: np.random.Generator) -> Floats:
    sessions = len(surface) // STEPS
    context = np.zeros((len(surface), len(CONTEXT)), np.float32)
    context[np.arange(len(surface)), surface] = 1.0
    columns = {
        "known": ~stranger,
        "log_own_items": np.where(stranger, 0.0, 0.5),
        "repeat_share": np.where(stranger, 0.0, np.repeat(rng.random(sessions), STEPS)),
        "query:head": (surface == SURFACES.index("search")) & (rng.random(len(surface)) < 0.5),
    }
    for name, column in columns.items():
        context[:, CONTEXT.index(name)] = column
    return context


def simulator(situations: Situations, bank: Floats) -> Simulator:
    """People of the market who are shown pages of four."""
    allowed = np.ones((len(SURFACES), len(bank)), np.bool_)
    return Simulator(situations, BEHAVIOR, Reward(), bank, 0.05, allowed, page=4)
