"""Job: situations become a policy: behavior, bank of profiles, head-room, RLlib, paired judgement."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from raysys.behavior.choice import fit_choice
from raysys.behavior.fidelity import Check, fidelity
from raysys.behavior.leave import Leave
from raysys.behavior.response import Behavior
from raysys.behavior.reward import Reward
from raysys.behavior.simulator import Choose, Simulator
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
    varied,
)
from raysys.policy.scorer import Policy
from raysys.policy.segments import ruled, segments_of
from raysys.signals import SIGNALS
from raysys.surfaces.order import spreads
from raysys.types import SURFACES, Floats
from tuning.judging import (
    Judged,
    against_hand_set,
    against_rule,
    chosen,
    judge,
    plain,
    print_judged,
    print_room,
    room_rows,
    table,
    verdict,
)
from tuning.learning import LearningConfig, learn
from tuning.profiles import Bank, ProfileSettings, make_bank
from tuning.situations import SituationSettings
from tuning.stand_in import MarginSettings
from tuning.trials import start_ray
from tuning.world import WEIGHTS

SETTINGS = Path(__file__).with_name("settings.toml")
Curve = list[dict[str, float]]
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

    @property
    def chances(self) -> Sequence[int]:
        """Seeds of evaluations; no search and no learning uses them."""
        first = 1_000_003 * (self.seed + 1)
        return range(first, first + self.seeds)

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
class Tuned:
    """What `tune_policy` came to."""

    policy: Policy
    """The one to release."""
    learned: Policy
    """What RLlib learned, released or not."""
    report: dict[str, Any]
    """Plain values; `spread` is what `Settings.spread` of the bundle must be, for the dial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Everything that was found on the way to a policy."""

    start: Simulator
    """The people that are learned from, shown rankings of the hand-set profile."""
    unseen: Simulator
    """The people held out, shown rankings of the bank."""
    checks: Sequence[Check]
    bank: Bank
    room: HeadRoom
    learned: Policy
    curve: Sequence[Mapping[str, float]]
    judged: Sequence[Judged]
    over_rule: Comparison
    """The learned policy against the rule of the segments that it began at."""

    @property
    def better(self) -> bool:
        """Whether the gain over the best constant profile is above zero with 95 %."""
        return self.judged[0].comparison.gain.low > 0.0

    def report(self, policy: Policy, settings: PolicySettings) -> dict[str, Any]:
        """Plain values for the demo's report and the bundle's manifest."""
        here, bank = self.unseen.situations, self.bank
        return {
            "fidelity": [check.row() for check in self.checks],
            "assumptions": self.start.behavior.assumptions(),
            "bank": {name: weights.tolist() for name, weights in zip(bank.names, bank.weights, strict=True)},
            "searches": [{"name": found.name, "curve": found.curve} for found in bank.searches],
            "hand_set": plain(against_hand_set(self.unseen, self.start.weights[0], settings.chances)),
            "head_room": plain(self.room.whole),
            "head_room_by_segment": room_rows(self.room, bank),
            "algorithm": settings.learning.algorithm,
            "curve": self.curve,
            "judged": [{"name": row.name, **plain(row.comparison)} for row in self.judged],
            "over_rule": plain(self.over_rule),
            "chosen": chosen(self.learned, bank.names, here, self.room.segments),
            "temperature": policy.temperature,
            "spread": spreads(policy.weights, here.signals[here.present]),
            "better": self.better,
            "released": "learned" if policy is self.learned else "constant",
            "policy_id": policy.id,
        }


def tune_policy(situations: Situations, settings: PolicySettings, out: Path) -> Tuned:
    """Learn a policy, judge it on people held out, write it to `out`/policy, and say everything on the way.

    The report is also in `out`/report.json.

    Raises:
        ConfigError: `out` holds a policy already.
    """
    if (out / "policy").exists():
        raise ConfigError(f"{out / 'policy'} holds a policy already; name another folder")
    out.mkdir(parents=True, exist_ok=True)
    start_ray(settings.cpus)
    study = _study(situations, settings, out)
    keep = study.better or not settings.only_if_better
    print(verdict(study.better, keep))
    learned = study.learned
    constant_one = Policy.constant(SIGNALS, learned.weights[0], learned.temperature)
    policy = learned if keep else constant_one
    policy.save(out / "policy")
    report = study.report(policy, settings)
    (out / "report.json").write_text(json.dumps(report, indent=1))
    return Tuned(policy=policy, learned=learned, report=report)


def _study(situations: Situations, settings: PolicySettings, out: Path) -> Study:
    """Fit behavior, search the bank, look for head-room, learn, judge; print each as it is known."""
    train, held_out = situations.split(1.0 - settings.held_out, settings.seed)
    start = _fitted(train, settings)
    checks = fidelity(start.behavior, train, held_out)
    table("behavior, fitted and held against people it has not seen", (check.row() for check in checks))
    for line in start.behavior.assumptions():
        print(f"assumed: {line}")
    segments = segments_of(train, settings.profiles.least)
    bank = make_bank(start, segments, settings.profiles, out, settings.seed)
    there = varied(start, weights=bank.weights)
    unseen = varied(there, situations=held_out)
    room = head_room(there, unseen, segments, settings.chances[:1])
    print_room(room, bank)
    rule = ruled(segments, room.profiles, situations.context_names)
    learned, curve = _learn(there, rule, settings)
    served = learned.weights[as_served(learned, 0)(held_out.context, held_out.surface)]
    learned = replace(learned, temperature=_temperature(held_out, served, settings))
    judged = judge(learned, unseen, settings.seed, settings.chances)
    print_judged(judged)
    over_rule = against_rule(learned, rule, unseen, settings.seed, settings.chances)
    print(f"against the rule with a profile for each segment: {over_rule}")
    return Study(
        start=start,
        unseen=unseen,
        checks=checks,
        bank=bank,
        room=room,
        learned=learned,
        curve=curve,
        judged=judged,
        over_rule=over_rule,
    )


def _fitted(train: Situations, settings: PolicySettings) -> Simulator:
    """People as fitted, shown rankings of the hand-set profile."""
    behavior = Behavior.compares(fit_choice(train), Leave.fit(train.lengths))
    begin = unit_spread(HAND_SET, train)[None]
    allowed = np.ones((len(SURFACES), 1), np.bool_)
    temperature = _temperature(train, begin, settings)
    return Simulator(train, behavior, settings.reward, begin, temperature, allowed, settings.page)


def _temperature(situations: Situations, weights: Floats, settings: PolicySettings) -> float:
    """The temperature of rankings of each page (N) with weights (1, S) or (N, S)."""
    utility = (situations.signals * weights[:, None, :]).sum(axis=-1)
    return exploring_temperature(utility, situations.present, settings.page, settings.exploring_cost)


def _learn(
    simulator: Simulator, rule: Choose, settings: PolicySettings
) -> tuple[Policy, list[dict[str, float]]]:
    """The best of the policies met while learning, by the people that are learned from, and the curve."""
    config, chances = settings.learning, [settings.seed]
    base, person = returns_of(simulator, constant(0), chances), people_of(simulator)
    best, best_gain, curve = None, -np.inf, []
    with tqdm(total=config.env_steps, desc=config.algorithm, unit="page", mininterval=1.0) as bar:
        for progress in learn(simulator, config, settings.seed, rule):
            policy = learned_policy(
                SIGNALS, simulator.weights, simulator.allowed, simulator.temperature, progress.layers
            )
            gain = compare(returns_of(simulator, as_served(policy, settings.seed), chances), base, person)
            if gain.gain.value > best_gain:
                best, best_gain = policy, gain.gain.value
            curve.append({"env_steps": progress.env_steps, "gain": gain.share[0]})
            bar.set_postfix_str(f"{gain.share[0]:+.2%} against the best constant", refresh=False)
            bar.update(min(progress.env_steps, config.env_steps) - bar.n)
    if best is None:
        raise ConfigError("learning ended before its first iteration; raise env_steps")
    return best, curve


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
