"""A policy judged: beside the best constant profile, on people held out, under more than one behavior."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from raysys.behavior.response import Behavior
from raysys.behavior.simulator import Choose, Simulator
from raysys.behavior.situations import Situations
from raysys.policy.learn import (
    Comparison,
    HeadRoom,
    as_served,
    compare,
    constant,
    people_of,
    returns_of,
    varied,
)
from raysys.policy.scorer import Policy
from raysys.policy.segments import Segment
from raysys.types import Floats
from tuning.profiles import Bank


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A policy beside the best constant profile, on people that nothing was learned from."""

    name: str
    """Of the behavior, or of what was assumed otherwise."""
    comparison: Comparison


def judge(policy: Policy, unseen: Simulator, seed: int, chances: Sequence[int]) -> list[Judged]:
    """The policy against profile 0 under the behavior it learned in, a second one, and other assumptions.

    Args:
        unseen: people held out, behaving as they did where the policy was learned.
        chances: seeds of the two comparisons that count; other assumptions get the first.
    """
    behavior, here = unseen.behavior, unseen.situations
    second = Behavior.cascades(behavior.choice, behavior.leave)
    unpriced = replace(here, margin=here.present.astype(np.float32))
    worlds: list[tuple[str, Situations, Behavior, int]] = [
        ("as learned", here, behavior, len(chances)),
        ("second behavior: first good enough", here, second, len(chances)),
        ("without margins: purchases count", unpriced, behavior, 1),
    ]
    told = set(behavior.assumptions())
    for other in behavior.swept():
        changed = "; ".join(line for line in other.assumptions() if line not in told)
        worlds.append((changed, here, other, 1))
    judged = []
    for name, situations, people, count in tqdm(worlds, desc="judging", unit="world", mininterval=1.0):
        simulator = varied(
            unseen,
            situations=situations,
            behavior=people,
            weights=policy.weights,
            temperature=policy.temperature,
        )
        mine = returns_of(simulator, as_served(policy, seed), chances[:count])
        base = returns_of(simulator, constant(0), chances[:count])
        judged.append(Judged(name=name, comparison=compare(mine, base, people_of(simulator))))
    name = "against the constant profile that is best in hindsight"
    return [*judged, Judged(name=name, comparison=_hindsight(policy, unseen, seed, chances))]


def _hindsight(policy: Policy, unseen: Simulator, seed: int, chances: Sequence[int]) -> Comparison:
    """The policy against the constant profile that the people held out would have chosen themselves."""
    simulator = varied(unseen, weights=policy.weights, temperature=policy.temperature)
    every = [returns_of(simulator, constant(profile), chances) for profile in range(len(policy.weights))]
    base = max(every, key=lambda returns: float(returns.mean()))
    return compare(returns_of(simulator, as_served(policy, seed), chances), base, people_of(simulator))


def against_rule(
    policy: Policy, rule: Choose, unseen: Simulator, seed: int, chances: Sequence[int]
) -> Comparison:
    """The policy against the rule with a profile for each segment: what learning adds to searching."""
    simulator = varied(unseen, weights=policy.weights, temperature=policy.temperature)
    mine, base = (returns_of(simulator, choose, chances) for choose in (as_served(policy, seed), rule))
    return compare(mine, base, people_of(simulator))


def against_hand_set(unseen: Simulator, hand_set: Floats, chances: Sequence[int]) -> Comparison:
    """The best constant profile against weights (S,) set by hand, which it was searched from."""
    simulator = varied(unseen, weights=np.vstack([unseen.weights[:1], hand_set]))
    mine, base = (returns_of(simulator, constant(profile), chances) for profile in (0, 1))
    return compare(mine, base, people_of(simulator))


def chosen(
    policy: Policy, names: Sequence[str], situations: Situations, segments: Sequence[Segment]
) -> dict[str, dict[str, float]]:
    """How often each profile is chosen in each segment."""
    profiles = as_served(policy, 0)(situations.context, situations.surface)
    shares = {}
    for segment in segments:
        here = segment.holds(situations.context_names, situations.context, situations.surface)
        count = np.bincount(profiles[here], minlength=len(names)) / max(int(here.sum()), 1)
        shares[segment.name] = dict(zip(names, count.round(3).tolist(), strict=True))
    return shares


def plain(comparison: Comparison) -> dict[str, float]:
    """Numbers for a report; gain, low and high are shares of the base."""
    gain, low, high = comparison.share
    return {"value": comparison.value, "base": comparison.base, "gain": gain, "low": low, "high": high}


def room_rows(room: HeadRoom, bank: Bank) -> list[tuple[str, str, str]]:
    """Segment, its best profile, and what that is worth on people held out."""
    return [
        (segment.name, bank.names[profile], str(gain))
        for segment, profile, gain in zip(room.segments, room.profiles, room.gains, strict=True)
    ]


def print_room(room: HeadRoom, bank: Bank) -> None:
    """The head-room, which no policy over these segments can pass by more than chance."""
    table("head-room: the best profile of each segment against the best constant", room_rows(room, bank))
    print(f"head-room of all segments together: {room.whole}")


def print_judged(judged: Iterable[Judged]) -> None:
    rows = [(row.name, str(row.comparison)) for row in judged]
    table("the policy against the best constant profile, on people held out (95 %)", rows)


def verdict(better: bool, keep: bool) -> str:
    """What the judgement comes to, in a sentence."""
    if better:
        return "The learned policy is better than the best constant profile; it is released."
    end = "released all the same, as the settings say" if keep else "the best constant profile is released"
    return f"The learned policy is not shown to be better than the best constant profile: a tie; {end}."


def table(title: str, rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns."""
    told = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    print(f"\n{title}")
    for row in told:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
