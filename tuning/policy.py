"""Job: situations become a policy: behavior, bank of profiles, head-room, RLlib, paired judgement."""

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from raysys.behavior.choice import fit_choice
from raysys.behavior.fidelity import fidelity
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.reward import Reward
from raysys.behavior.simulator import Simulator
from raysys.behavior.situations import Situations
from raysys.config import read_settings, read_toml
from raysys.errors import ConfigError
from raysys.policy.export import learned_policy
from raysys.policy.learn import (
    Comparison,
    HeadRoom,
    as_served,
    compare,
    constant,
    exploring_temperature,
    head_room,
    people_of,
    returns_of,
    unit_spread,
    with_bank,
)
from raysys.policy.scorer import Policy
from raysys.policy.segments import Segment, segments_of
from raysys.signals import SIGNALS
from raysys.types import SURFACES, Floats
from tuning.learning import LearningConfig, Progress, learn
from tuning.profiles import Bank, ProfileSettings, make_bank
from tuning.situations import SituationSettings
from tuning.stand_in import MarginSettings
from tuning.trials import start_ray
from tuning.world import WEIGHTS

SETTINGS = Path(__file__).with_name("settings.toml")
HAND_SET = np.array([WEIGHTS.get(name, 0.0) for name in SIGNALS])
"""(S,) where the search for profiles begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """The table [policy]."""

    held_out: float = 0.4
    page: int = 10
    exploring_cost: float = 0.01
    seeds: int = 3
    only_if_better: bool = True
    seed: int = 0
    cpus: int = 2
    situations: SituationSettings = field(default_factory=SituationSettings)
    margins: MarginSettings = field(default_factory=MarginSettings)
    reward: Reward = field(default_factory=Reward)
    profiles: ProfileSettings = field(default_factory=ProfileSettings)
    learning: LearningConfig = field(default_factory=LearningConfig)

    def __post_init__(self) -> None:
        if not 0.0 < self.held_out < 1.0:
            raise ConfigError(f"held_out is {self.held_out}, expected a share between 0 and 1")
        if self.seeds < 1:
            raise ConfigError(f"seeds is {self.seeds}, expected 1 or more")

    @classmethod
    def read(cls, path: Path = SETTINGS) -> "PolicySettings":
        """The settings of a TOML file."""
        table = dict(read_toml(path).get("policy", {}))
        parts: dict[str, Any] = {
            "situations": SituationSettings,
            "margins": MarginSettings,
            "reward": Reward,
            "profiles": ProfileSettings,
            "learning": LearningConfig,
        }
        read = {name: read_settings(part, table.pop(name, {})) for name, part in parts.items()}
        return replace(read_settings(cls, table), **read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A policy beside the best constant profile, on people that nothing was learned from."""

    name: str
    """Of the behavior, or of what was assumed otherwise."""
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What `tune_policy` came to."""

    policy: Policy
    """The one to release."""
    learned: Policy
    """What RLlib learned, released or not."""
    report: dict[str, Any]


def tune_policy(situations: Situations, settings: PolicySettings, out: Path) -> Tuned:
    """Learn a policy, judge it on people held out, write it to `out`/policy, and say everything on the way.

    `out` must not hold a policy yet. The report is also in `out`/report.json.
    """
    out.mkdir(parents=True, exist_ok=True)
    start_ray(settings.cpus)
    train, held_out = situations.split(1.0 - settings.held_out, settings.seed)
    behavior = Behavior.compares(fit_choice(train), Leave.fit(train.lengths))
    checks = fidelity(behavior, train, held_out)
    _table("behavior, fitted and held against people it has not seen", (check.row() for check in checks))
    _say("assumed", behavior.assumptions())
    begin = unit_spread(HAND_SET, train)[None]
    temperature = _temperature(train, begin[0], settings)
    start = _simulator(train, behavior, begin, temperature, settings)
    segments = segments_of(train, settings.profiles.least)
    bank = make_bank(start, segments, settings.profiles, out, settings.seed)
    there = with_bank(start, bank.weights)
    unseen = _simulator(held_out, behavior, bank.weights, temperature, settings)
    room = head_room(there, unseen, segments, _seeds(settings, 1))
    _print_room(room, bank)
    learned, curve = _learn(there, settings)
    temperature = _temperature(held_out, _weights(learned, held_out), settings)
    learned = replace(learned, temperature=temperature)
    judged = judge(learned, held_out, behavior, settings)
    _print_judged(judged)
    better = judged[0].comparison.gain.low > 0.0
    keep = better or not settings.only_if_better
    policy = learned if keep else Policy.constant(SIGNALS, bank.weights[0], temperature)
    print(_verdict(better, keep))
    policy.save(out / "policy")
    report = {
        "fidelity": [check.row() for check in checks],
        "assumptions": behavior.assumptions(),
        "bank": {name: weights.tolist() for name, weights in zip(bank.names, bank.weights, strict=True)},
        "searches": [{"name": found.name, "curve": found.curve} for found in bank.searches],
        "hand_set": _plain(_against_hand(begin, bank, held_out, behavior, settings)),
        "head_room": _plain(room.whole),
        "head_room_by_segment": _room_rows(room, bank),
        "curve": curve,
        "judged": [{"name": row.name, **_plain(row.comparison)} for row in judged],
        "chosen": _chosen(learned, bank, held_out, segments),
        "temperature": temperature,
        "better": better,
        "released": "learned" if keep else "constant",
        "policy_id": policy.id,
    }
    (out / "report.json").write_text(json.dumps(report, indent=1))
    return Tuned(policy=policy, learned=learned, report=report)


def judge(policy: Policy, held_out: Situations, behavior: Behavior, settings: PolicySettings) -> list[Judged]:
    """The policy against profile 0 under the behavior it learned in, a second one, and other assumptions."""
    second = Behavior.cascades(behavior.choice, behavior.leave)
    unpriced = replace(held_out, margin=held_out.present.astype(np.float32))
    worlds: list[tuple[str, Situations, Behavior, int]] = [
        ("as learned", held_out, behavior, settings.seeds),
        ("second behavior: first good enough", held_out, second, settings.seeds),
        ("without margins: purchases count", unpriced, behavior, 1),
    ]
    told = set(behavior.assumptions())
    for other in behavior.swept():
        changed = "; ".join(line for line in other.assumptions() if line not in told)
        worlds.append((changed, held_out, other, 1))
    judged = []
    for name, situations, people, seeds in tqdm(worlds, desc="judging", unit="world", mininterval=1.0):
        simulator = _simulator(situations, people, policy.weights, policy.temperature, settings)
        chances = _seeds(settings, seeds)
        mine = returns_of(simulator, as_served(policy, settings.seed), chances)
        base = returns_of(simulator, constant(0), chances)
        judged.append(Judged(name=name, comparison=compare(mine, base, people_of(simulator))))
    return judged


def _seeds(settings: PolicySettings, count: int) -> Sequence[int]:
    """Seeds of evaluations: none of them is a seed of the search or of the learning."""
    return range(1_000_003 * (settings.seed + 1), 1_000_003 * (settings.seed + 1) + count)


def _simulator(
    situations: Situations,
    behavior: Behavior,
    weights: Floats,
    temperature: float,
    settings: PolicySettings,
) -> Simulator:
    allowed = np.ones((len(SURFACES), len(weights)), np.bool_)
    return Simulator(situations, behavior, settings.reward, weights, temperature, allowed, settings.page)


def _temperature(situations: Situations, weights: Floats, settings: PolicySettings) -> float:
    """The temperature of rankings with `weights` (S,) or, by page, (N, S)."""
    utility = (situations.signals * weights.reshape(-1, 1, len(SIGNALS))).sum(axis=-1)
    return exploring_temperature(utility, situations.present, settings.page, settings.exploring_cost)


def _weights(policy: Policy, situations: Situations) -> Floats:
    """The weights (N, S) that a policy serves each page with."""
    return policy.weights[as_served(policy, 0)(situations.context, situations.surface)]


def _learn(simulator: Simulator, settings: PolicySettings) -> tuple[Policy, list[dict[str, float]]]:
    """The best of the policies met while learning, by the people that are learned from, and the curve."""
    config, chances = settings.learning, [settings.seed]
    base, person = returns_of(simulator, constant(0), chances), people_of(simulator)
    best: tuple[float, Policy] | None = None
    curve = []
    with tqdm(total=config.env_steps, desc=config.algorithm, unit="page", mininterval=1.0) as bar:
        for progress in learn(simulator, config, settings.seed):
            policy = _policy(simulator, progress)
            gain = compare(returns_of(simulator, as_served(policy, settings.seed), chances), base, person)
            if best is None or gain.gain.value > best[0]:
                best = gain.gain.value, policy
            curve.append({"env_steps": progress.env_steps, "explored": progress.gain, "gain": gain.share[0]})
            bar.update(min(progress.env_steps, config.env_steps) - bar.n)
            bar.set_postfix_str(f"{gain.share[0]:+.2%} against the best constant")
    assert best is not None, "learning ends after one iteration at least"
    return best[1], curve


def _policy(simulator: Simulator, progress: Progress) -> Policy:
    return learned_policy(
        SIGNALS, simulator.weights, simulator.allowed, simulator.temperature, progress.layers
    )


def _against_hand(
    begin: Floats, bank: Bank, held_out: Situations, behavior: Behavior, settings: PolicySettings
) -> Comparison:
    """The best constant profile against the hand-set one."""
    both = np.vstack([bank.weights[:1], begin])
    simulator = _simulator(
        held_out, behavior, both, _temperature(held_out, bank.weights[0], settings), settings
    )
    mine, base = (returns_of(simulator, constant(p), _seeds(settings, 1)) for p in (0, 1))
    return compare(mine, base, people_of(simulator))


def _chosen(
    policy: Policy, bank: Bank, situations: Situations, segments: Sequence[Segment]
) -> dict[str, dict[str, float]]:
    """How often each profile is chosen in each segment."""
    profiles = as_served(policy, 0)(situations.context, situations.surface)
    shares = {}
    for segment in segments:
        here = segment.holds(situations.context_names, situations.context, situations.surface)
        count = np.bincount(profiles[here], minlength=len(bank.names)) / max(int(here.sum()), 1)
        shares[segment.name] = dict(zip(bank.names, count.round(3).tolist(), strict=True))
    return shares


def _plain(comparison: Comparison) -> dict[str, float]:
    gain, low, high = comparison.share
    return {"value": comparison.value, "base": comparison.base, "gain": gain, "low": low, "high": high}


def _room_rows(room: HeadRoom, bank: Bank) -> list[tuple[str, str, str]]:
    return [
        (segment.name, bank.names[profile], str(gain))
        for segment, profile, gain in zip(room.segments, room.profiles, room.gains, strict=True)
    ]


def _print_room(room: HeadRoom, bank: Bank) -> None:
    _table("head-room: the best profile of each segment against the best constant", _room_rows(room, bank))
    print(f"head-room of all segments together: {room.whole}")


def _print_judged(judged: Iterable[Judged]) -> None:
    rows = [(row.name, str(row.comparison)) for row in judged]
    _table("the policy against the best constant profile, on people held out (95 %)", rows)


def _verdict(better: bool, keep: bool) -> str:
    if better:
        return "The learned policy is better than the best constant profile; it is released."
    end = "released all the same, as the settings say" if keep else "the best constant profile is released"
    return f"The learned policy is not shown to be better than the best constant profile: a tie; {end}."


def _table(title: str, rows: Iterable[Sequence[object]]) -> None:
    told = [tuple(str(cell) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*told, strict=True)]
    print(f"\n{title}")
    for row in told:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _say(what: str, lines: Iterable[str]) -> None:
    for line in lines:
        print(f"{what}: {line}")


def main(arguments: list[str] | None = None) -> None:
    """Learn a policy from a folder of situations."""
    parser = argparse.ArgumentParser(prog="python -m tuning.policy", description=__doc__)
    parser.add_argument("--situations", type=Path, required=True, help="folder that Situations.save wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--algorithm", choices=["ppo", "dqn"])
    given = parser.parse_args(arguments)
    settings = PolicySettings.read(given.settings)
    if given.algorithm:
        settings = replace(settings, learning=replace(settings.learning, algorithm=given.algorithm))
    tuned = tune_policy(Situations.load(given.situations), settings, given.out)
    print(f"{given.out / 'policy'}: policy {tuned.policy.id}, {tuned.report['released']}")


if __name__ == "__main__":
    main()
