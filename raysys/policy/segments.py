"""Segments: pages that are alike in what the policy can see, and the rule that has a profile for each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.behavior.simulator import Choose
from raysys.behavior.situations import Situations
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


def ruled(segments: Sequence[Segment], profiles: Sequence[int], names: Sequence[str]) -> Choose:
    """The profile of the page's segment, the incumbent in none of them."""

    def choose(contexts: Floats, surfaces: Ints) -> Ints:
        chosen = np.zeros(len(contexts), np.int64)
        for segment, profile in zip(segments, profiles, strict=True):
            chosen[segment.holds(names, contexts, surfaces)] = profile
        return chosen

    return choose
