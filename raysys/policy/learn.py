"""What learning a policy needs beside the learner: head-room, paired comparison, scale, temperature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raysys.behavior.response import Behavior
from raysys.behavior.simulator import Choose, Simulator
from raysys.behavior.situations import Situations
from raysys.errors import ConfigError
from raysys.evaluation.estimate import Estimate, Ratio, estimate
from raysys.policy.draw import COLDEST
from raysys.policy.scorer import Policy
from raysys.policy.segments import Segment, ruled
from raysys.types import SURFACES, Bools, Floats, Ints


def constant(profile: int) -> Choose:
    """One profile for every page."""
    return lambda contexts, surfaces: np.full(len(contexts), profile)


def as_served(policy: Policy, seed: int) -> Choose:
    """A policy that draws its profile as it does when it serves."""
    rng = np.random.default_rng(seed)

    def choose(contexts: Floats, surfaces: Ints) -> Ints:
        logits = np.where(policy.allowed[surfaces], policy.logits(contexts), -np.inf)
        return np.asarray(np.argmax(logits + rng.gumbel(size=logits.shape), axis=1))

    return choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The value of one policy beside another's, under common random numbers."""

    value: float
    """Mean return of a session."""
    base: float
    gain: Estimate
    """Their difference, with an interval over people."""

    @property
    def share(self) -> tuple[float, float, float]:
        """The gain and its interval as shares of the base."""
        scale = max(abs(self.base), 1e-12)
        return self.gain.value / scale, self.gain.low / scale, self.gain.high / scale

    def __str__(self) -> str:
        gain, low, high = self.share
        return f"{self.value:.4f} against {self.base:.4f}: {gain:+.2%} [{low:+.2%}, {high:+.2%}]"


def compare(mine: Floats, other: Floats, person: Ints) -> Comparison:
    """Two policies' returns (n,) of the same sessions, whose people (n,) are resampled together."""
    gain = estimate([Ratio.mean(mine - other)], np.ones(len(mine)), person)
    return Comparison(value=float(mine.mean()), base=float(other.mean()), gain=gain)


def returns_of(simulator: Simulator, choose: Choose, seeds: Sequence[int]) -> Floats:
    """Return (n,) of every session, a mean over `seeds`."""
    found = [simulator.returns(choose, simulator.sessions, seed) for seed in seeds]
    return np.asarray(np.mean(found, axis=0))


def people_of(simulator: Simulator) -> Ints:
    """Whose each session (n,) is."""
    return np.asarray(simulator.situations.person[simulator.starts])


def varied(
    simulator: Simulator,
    *,
    situations: Situations | None = None,
    behavior: Behavior | None = None,
    weights: Floats | None = None,
    temperature: float | None = None,
) -> Simulator:
    """The same simulator but for what is given; another bank (A, S) may be used on every surface."""
    bank = simulator.weights if weights is None else weights
    return Simulator(
        simulator.situations if situations is None else situations,
        simulator.behavior if behavior is None else behavior,
        simulator.reward,
        bank,
        simulator.temperature if temperature is None else temperature,
        simulator.allowed if weights is None else np.ones((len(SURFACES), len(bank)), np.bool_),
        simulator.page,
    )


def profile_values(
    simulator: Simulator, segment: Segment | None, seeds: Sequence[int]
) -> Callable[[Floats], Floats]:
    """What weights (P, S), brought to unit spread, are worth (P,) under common random numbers.

    Args:
        simulator: profile 0 of its bank is used outside the segment.
        segment: where the weights are used; None is everywhere.
    """
    situations = simulator.situations
    if segment is not None:  # sessions without such a page are worth the same under all weights
        here = segment.holds(situations.context_names, situations.context, situations.surface)
        situations = situations.take(np.unique(situations.session[here]))
    base = varied(simulator, situations=situations, weights=simulator.weights[:1])

    def values(rows: Floats) -> Floats:
        bank = np.vstack([base.weights, unit_spread(rows, simulator.situations)])
        played = varied(base, weights=bank)
        names = situations.context_names
        chosen = range(1, len(rows) + 1)
        rules = [constant(p) if segment is None else ruled([segment], [p], names) for p in chosen]
        return np.array([returns_of(played, rule, seeds).mean() for rule in rules])

    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRoom:
    """What choosing by segment could gain over the best constant profile, before anything is learned."""

    segments: tuple[Segment, ...]
    profiles: tuple[int, ...]
    """The best profile of each segment, chosen on the people that are learned from."""
    gains: tuple[Comparison, ...]
    """Of each segment's profile alone, on the people held out."""
    whole: Comparison
    """Of all of them together, on the people held out."""


def head_room(
    train: Simulator, held_out: Simulator, segments: Sequence[Segment], seeds: Sequence[int]
) -> HeadRoom:
    """The best profile for each segment by `train`, and what that is worth on `held_out`.

    Args:
        train, held_out: simulators of one bank whose profile 0 is the best constant one.
    """
    names = train.situations.context_names
    best = [int(np.argmax(_by_profile(train, segment, seeds))) for segment in segments]
    base, person = returns_of(held_out, constant(0), seeds), people_of(held_out)

    def gain(chosen: Sequence[Segment], profiles: Sequence[int]) -> Comparison:
        return compare(returns_of(held_out, ruled(chosen, profiles, names), seeds), base, person)

    return HeadRoom(
        segments=tuple(segments),
        profiles=tuple(best),
        gains=tuple(gain([segment], [profile]) for segment, profile in zip(segments, best, strict=True)),
        whole=gain(segments, best),
    )


def _by_profile(simulator: Simulator, segment: Segment, seeds: Sequence[int]) -> list[float]:
    """The mean return with each profile of the bank in a segment and the incumbent outside it."""
    here, names = simulator.situations, simulator.situations.context_names
    inside = np.unique(here.session[segment.holds(names, here.context, here.surface)])
    tried = [ruled([segment], [profile], names) for profile in range(len(simulator.weights))]
    return [
        float(np.mean([simulator.returns(rule, inside, seed).mean() for seed in seeds])) for rule in tried
    ]


def unit_spread(weights: Floats, situations: Situations) -> Floats:
    """Weights (..., S) scaled so that utility varies by 1 within a page.

    Only the ratio of utility to temperature orders a page; with one scale for all, one
    temperature means as much exploring under every profile.
    """
    present = situations.present
    count = np.maximum(present.sum(axis=1), 1)
    signals = situations.signals.astype(np.float64)
    middle = np.where(present[..., None], signals, 0.0).sum(axis=1) / count[:, None]
    apart = np.where(present[..., None], signals - middle[:, None, :], 0.0).reshape(-1, signals.shape[-1])
    covariance = apart.T @ apart / max(int(present.sum()), 1)
    spread = np.sqrt(np.maximum(np.einsum("...s,st,...t->...", weights, covariance, weights), 0.0))
    return np.asarray(weights / np.where(spread > 1e-9, spread, 1.0)[..., None])


def exploring_temperature(
    utility: Floats, present: Bools, length: int, share: float = 0.01, seed: int = 0
) -> float:
    """The highest temperature at which a draw loses at most `share` of what ordering gains.

    A page is worth the sum of its utilities over log2(2 + position). As utility has no zero of
    its own, the loss is a share of what the sorted page is worth more than one in random order.

    Args:
        utility: (N, C) of the candidates of held-out pages, finite.
        present: (N, C)
        length: K
        share: of the expected gain, above 0 and below 1.
    """
    if not 0.0 < share < 1.0:
        raise ConfigError(f"share is {share}, expected a number between 0 and 1")
    noise = np.random.default_rng(seed).gumbel(size=utility.shape)
    discount = 1.0 / np.log2(2.0 + np.arange(min(length, utility.shape[1])))

    def worth(keys: Floats) -> float:
        order = np.argsort(-np.where(present, keys, -np.inf), axis=1, kind="stable")[:, : len(discount)]
        shown = np.take_along_axis(np.where(present, utility, 0.0), order, 1)
        return float((shown * discount).sum(axis=1).mean())

    best = worth(utility)
    gained = best - worth(noise)
    if gained <= 1e-12:
        return 0.0
    low, high = COLDEST, 1e3
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        cost = (best - worth(utility / middle + noise)) / gained
        low, high = (middle, high) if cost <= share else (low, middle)
    return low
