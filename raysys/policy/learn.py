"""What learning a policy needs beside the learner: segments, head-room, paired comparison, temperature."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.behavior.simulator import Choose, Simulator
from raysys.behavior.situations import Situations
from raysys.errors import ConfigError
from raysys.evaluation.estimate import Estimate, Ratio, estimate
from raysys.policy.draw import COLDEST
from raysys.policy.scorer import Policy
from raysys.types import SURFACES, Bools, Floats, Ints

Condition = tuple[str, float, float]
"""A context feature and the half-open interval that it lies in."""
ANY = np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Pages that are alike in what the policy can see; segments do not overlap."""

    name: str
    surface: int
    """Index into SURFACES."""
    conditions: tuple[Condition, ...] = ()

    def holds(self, names: Sequence[str], contexts: Floats, surfaces: Ints) -> Bools:
        """Which pages (B,) belong to it, by their contexts (B, F), whose features have `names`."""
        inside = np.asarray(surfaces == self.surface)
        for name, low, high in self.conditions:
            column = contexts[:, list(names).index(name)]
            inside &= (column >= low) & (column < high)
        return inside


def segments_of(situations: Situations, least: int = 100) -> tuple[Segment, ...]:
    """Surface x how well the person is known x how often the query is asked, the largest first.

    A person is a stranger or one who buys again rarely or often, by the median of the others.
    Segments of fewer than `least` pages are left out.
    """
    names = situations.context_names
    owns = situations.context[:, names.index("log_own_items")]
    repeats = situations.context[:, names.index("repeat_share")]
    middle = float(np.median(repeats[owns > 0])) if np.any(owns > 0) else 0.5
    people: dict[str, tuple[Condition, ...]] = {
        "stranger": (("log_own_items", -ANY, 1e-9),),
        "repeats rarely": (("log_own_items", 1e-9, ANY), ("repeat_share", -ANY, middle)),
        "repeats often": (("log_own_items", 1e-9, ANY), ("repeat_share", middle, ANY)),
    }
    queries: dict[str, tuple[Condition, ...]] = {
        "frequent query": (("query:head", 0.5, ANY),),
        "rarer query": (("query:head", -ANY, 0.5),),
    }
    found = []
    for surface, place in enumerate(SURFACES):
        kinds = queries if place == "search" else {"": ()}
        for person, who in people.items():
            for query, what in kinds.items():
                name = ", ".join(part for part in (place, person, query) if part)
                segment = Segment(name=name, surface=surface, conditions=(*who, *what))
                size = int(segment.holds(names, situations.context, situations.surface).sum())
                if size >= least:
                    found.append((size, segment))
    return tuple(segment for _, segment in sorted(found, key=lambda entry: (-entry[0], entry[1].name)))


def constant(profile: int) -> Choose:
    """One profile for every page."""
    return lambda contexts, surfaces: np.full(len(contexts), profile)


def ruled(segments: Sequence[Segment], profiles: Sequence[int], names: Sequence[str]) -> Choose:
    """The profile of the page's segment, the incumbent in none of them."""

    def choose(contexts: Floats, surfaces: Ints) -> Ints:
        chosen = np.zeros(len(contexts), np.int64)
        for segment, profile in zip(segments, profiles, strict=True):
            chosen[segment.holds(names, contexts, surfaces)] = profile
        return chosen

    return choose


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
    best: list[int] = []
    for segment in segments:
        tried = range(len(train.weights))
        value = [returns_of(train, ruled([segment], [profile], names), seeds).mean() for profile in tried]
        best.append(int(np.argmax(value)))
    base, person = returns_of(held_out, constant(0), seeds), people_of(held_out)

    def gain(chosen: Sequence[Segment], profiles: Sequence[int]) -> Comparison:
        return compare(returns_of(held_out, ruled(chosen, profiles, names), seeds), base, person)

    return HeadRoom(
        segments=tuple(segments),
        profiles=tuple(best),
        gains=tuple(gain([segment], [profile]) for segment, profile in zip(segments, best, strict=True)),
        whole=gain(segments, best),
    )


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
