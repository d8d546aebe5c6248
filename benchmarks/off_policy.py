"""Off-policy estimators beside what is known: two policies' logs of one shop, and a gate with known truth."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from raysys.evaluation.cascade import (
    LoggedRankings,
    RewardToGo,
    delta_cascade_dr,
    delta_snrips,
)
from raysys.evaluation.estimate import Estimate
from raysys.evaluation.off_policy import Logged, Support, dr, dros, ips, sndr, snips, switch_dr
from raysys.evaluation.reward_model import fit_rewards, folds_of
from raysys.types import Bools, Floats, Ints
from tuning.gate import gate_change

CAMPAIGNS = ("all", "men", "women")
POLICIES = ("random", "bts")
DRAWS = 2_000
SHRINK = 200.0
"""Rows' worth of pull of an item's click rate towards that of all items."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open-bandit", type=Path, help="folder of the Open Bandit logs, random/ and bts/")
    parser.add_argument("--candidates", type=int, default=120, help="changes in each gate trial")
    options = parser.parse_args()
    if options.open_bandit is None or not options.open_bandit.is_dir():
        print("Open Bandit skipped: no folder given with --open-bandit, or it is absent")
    else:
        open_bandit(options.open_bandit)
    for temperature, pages in TRIALS:
        gate_trial(options.candidates, temperature, pages)


@dataclass(frozen=True, slots=True)
class Clicks:
    """One log of Open Bandit: single choices at one of three positions; a row names no user."""

    item: Ints
    place: Ints
    click: Floats
    propensity: Floats

    @classmethod
    def read(cls, folder: Path, policy: str, campaign: str) -> "Clicks":
        names = ["item_id", "position", "click", "propensity_score"]
        frame = pl.read_csv(folder / policy / campaign / f"{campaign}.csv.gz", columns=names)
        item, place, click, propensity = (frame[name].to_numpy() for name in names)
        return cls(item, place - 1, click.astype(np.float64), propensity)

    def shares(self) -> Floats:
        """How often (place, item) this policy chose each item, over the whole log."""
        counts = np.zeros((3, int(self.item.max()) + 1))
        np.add.at(counts, (self.place, self.item), 1.0)
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def open_bandit(folder: Path) -> None:
    """Estimate each policy from the other one's log and compare with its own click rate."""
    print(f"Open Bandit, 95 % intervals of {DRAWS} bootstrap draws of rows; the rate to find is on-policy")
    covered: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    for campaign in CAMPAIGNS:
        logs = {policy: Clicks.read(folder, policy, campaign) for policy in POLICIES}
        for source, target in (POLICIES, POLICIES[::-1]):
            truth = float(logs[target].click.mean())
            logged, predicted, expected = other_policy(logs[source], logs[target], uniform=target == "random")
            support = Support.of(logged.weights)
            print(
                f"{campaign}, {source} -> {target}: truth {truth:.4f}, effective n {support.effective_n:,.0f}"
                f" of {support.n:,}, mean weight {support.mean_weight:.3f}, overlap {support.overlap:.2f},"
                f" largest {support.largest:,.0f}"
            )
            print(f"  REFUSED: {lack}" if (lack := support.lacking()) else "  support: enough")
            for name, found in estimates(logged, predicted, expected).items():
                print(f"  {name:<10} {found.value:.5f} [{found.low:.5f}, {found.high:.5f}]")
                covered.setdefault(name, []).append(found.low <= truth <= found.high)
                errors.setdefault(name, []).append(abs(found.value - truth) / truth)
    for name, held in covered.items():
        print(f"  {name:<10} covers {sum(held)} of {len(held)}, median error {np.median(errors[name]):.2f}")


def other_policy(log: Clicks, other: Clicks, *, uniform: bool) -> tuple[Logged, Floats, Floats]:
    """The log as the other policy would have made it, with a reward model fitted on other rows.

    `random` is uniform; of `bts`, which changes over time, the log tells how often it chose what.
    """
    shares = np.full((3, int(log.item.max()) + 1), 1.0) if uniform else other.shares()
    shares = shares / shares.sum(axis=1, keepdims=True)
    logged = Logged(reward=log.click, propensity=log.propensity, target_prob=shares[log.place, log.item])
    folds = folds_of(np.arange(len(log.item)), 3)
    predicted, expected = np.zeros(len(log.item)), np.zeros(len(log.item))
    for fold in range(3):
        rest, held = folds != fold, folds == fold
        clicks, seen = (
            np.bincount(log.item[rest], weights, shares.shape[1]) for weights in (log.click[rest], None)
        )
        rate = (clicks + SHRINK * log.click[rest].mean()) / (seen + SHRINK)
        predicted[held] = rate[log.item[held]]
        expected[held] = (shares @ rate)[log.place[held]]
    return logged, predicted, expected


def estimates(logged: Logged, predicted: Floats, expected: Floats) -> dict[str, Estimate]:
    """Every estimator, also where it would refuse: this is about them, not about the policies."""
    told = {"draws": DRAWS, "check": False}
    return {
        "IPS": ips(logged, **told),
        "SNIPS": snips(logged, **told),
        "DR": dr(logged, predicted, expected, **told),
        "SNDR": sndr(logged, predicted, expected, **told),
        "Switch-DR": switch_dr(logged, predicted, expected, threshold=20.0, **told),
        "DRos": dros(logged, predicted, expected, shrinkage=100.0, **told),
    }


ITEMS, LENGTH, SIGNALS = 20, 5, 6
TRIALS = ((0.5, 8_000), (1.0, 8_000), (1.0, 32_000))
"""Temperature and logged pages: what exploring more and logging longer buy."""
STEPS = (0.1, 0.2, 0.4)
"""How far the weights of a change are from the incumbent's, whose length is about 1.4."""
STAY, LEAVE = 0.85, 0.5
"""A user goes on to the next position, and goes on after a click, with these odds."""


@dataclass(frozen=True, slots=True)
class Pages:
    """N pages with candidates; four by each user, whose taste differs from the others'."""

    signals: Floats
    """(N, C, S)"""
    prob: Floats
    """(N, C) that a candidate is clicked once it is looked at; not linear in the signals."""
    users: Ints

    @classmethod
    def draw(cls, size: int, taste: Floats, rng: np.random.Generator) -> "Pages":
        users = np.arange(size) // 4
        signals = rng.normal(size=(size, ITEMS, SIGNALS))
        own = taste + 0.5 * rng.normal(size=(size // 4 + 1, SIGNALS))[users]
        logit = -2.5 + np.tanh(np.einsum("ncs,ns->nc", signals, own)) * 1.5 + rng.normal(size=(size, ITEMS))
        return cls(signals, 1.0 / (1.0 + np.exp(-logit)), users)

    def utility(self, weights: Floats) -> Floats:
        return np.asarray(self.signals @ weights)

    def worth(self, order: Ints) -> Floats:
        """Expected clicks (N,) of rankings (N, K): from the top, until the user leaves."""
        prob = np.take_along_axis(self.prob, order, axis=1)
        going_on = STAY * (1.0 - (1.0 - LEAVE) * prob)
        reached = np.cumprod(np.hstack([np.ones((len(prob), 1)), going_on[:, :-1]]), axis=1)
        return np.asarray((reached * prob).sum(axis=1))

    def clicks(self, order: Ints, rng: np.random.Generator) -> tuple[Floats, Bools]:
        """Clicks and what was looked at, (N, K) each; what was not looked at counts as shown."""
        prob = np.take_along_axis(self.prob, order, axis=1)
        looking, clicks = np.ones(len(order), bool), np.zeros(order.shape)
        for place in range(order.shape[1]):
            clicks[:, place] = looking & (rng.random(len(order)) < prob[:, place])
            stay = np.where(clicks[:, place] > 0, STAY * LEAVE, STAY)
            looking &= rng.random(len(order)) < stay
        return clicks, np.ones(order.shape, bool)


def draw(utility: Floats, noise: Floats) -> Ints:
    """Plackett-Luce rankings (N, K) of utilities over temperature (N, C)."""
    return np.argsort(-(utility + noise), axis=1)[:, :LENGTH]


def odds_of(utility: Floats, order: Ints) -> Floats:
    """Odds (N, K, C) of every candidate at each position, given the picks above."""
    values = np.exp(utility - utility.max(axis=1, keepdims=True))
    odds = np.empty((*order.shape, utility.shape[1]))
    for place in range(order.shape[1]):
        odds[:, place] = values / values.sum(axis=1, keepdims=True)
        np.put_along_axis(values, order[:, place : place + 1], 0.0, axis=1)
    return odds


def gate_trial(candidates: int, temperature: float, pages: int) -> None:
    """Judge random changes of the weights, each on a log of its own, and compare with their true worth."""
    began, rng = time.process_time(), np.random.default_rng(0)
    taste = rng.normal(size=SIGNALS)
    incumbent = taste / np.linalg.norm(taste) + rng.normal(size=SIGNALS) / np.sqrt(SIGNALS)
    fresh = Pages.draw(60_000, taste, rng)
    noise = rng.gumbel(size=fresh.prob.shape)
    greedy = fresh.worth(draw(fresh.utility(incumbent), 0.0 * noise)).mean()
    incumbent = incumbent / temperature
    base = fresh.worth(draw(fresh.utility(incumbent), noise))
    rows: dict[str, list[tuple[float, float, Estimate, bool]]] = {}
    for number in range(candidates):
        shift = rng.normal(size=SIGNALS)
        step = STEPS[number % len(STEPS)]
        target = incumbent + step / temperature * shift / np.linalg.norm(shift)
        gain = fresh.worth(draw(fresh.utility(target), noise)) - base
        truth, error = float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
        for name, found in judged(Pages.draw(pages, taste, rng), incumbent, target, rng).items():
            rows.setdefault(name, []).append((truth, error, found, gate_change(found).passed))
    print(
        f"gate trial: {candidates} changes of {SIGNALS} weights, {pages:,} pages each,"
        f" {LENGTH} of {ITEMS} items, temperature {temperature}, incumbent {base.mean():.4f} clicks a page,"
        f" {1 - base.mean() / greedy:.1%} of which exploring costs,"
        f" {time.process_time() - began:.0f} CPU s"
    )
    for name, judgments in rows.items():
        print_trial(name, judgments, base.mean())


def judged(pages: Pages, incumbent: Floats, target: Floats, rng: np.random.Generator) -> dict[str, Estimate]:
    """The difference of target and incumbent, from a log of the incumbent."""
    utility = pages.utility(incumbent)
    order = draw(utility, rng.gumbel(size=utility.shape))
    reward, shown = pages.clicks(order, rng)
    old, new = odds_of(utility, order), odds_of(pages.utility(target), order)
    folds, worth = folds_of(pages.users, 3), np.empty(old.shape)
    picked = np.take_along_axis(pages.signals, order[:, :, None], axis=1)
    for fold in range(3):
        rest = folds != fold
        model = fit_rewards(picked[rest], reward[rest], shown[rest])
        worth[~rest] = model.at(pages.signals[~rest])
    pick = order[:, :, None]
    own = [np.take_along_axis(table, pick, axis=2)[..., 0] for table in (old, new, worth)]
    logged = LoggedRankings(
        reward=reward, propensity=own[0], target_prob=own[1], shown=shown, clusters=pages.users
    )
    told = RewardToGo(
        predicted=own[2], expected=(new * worth).sum(axis=2), expected_logging=(old * worth).sum(axis=2)
    )
    return {
        "Δ cascade-DR": delta_cascade_dr(logged, told, check=False),
        "Δ SNRIPS": delta_snrips(logged, check=False),
    }


def print_trial(name: str, judgments: list[tuple[float, float, Estimate, bool]], base: float) -> None:
    """False promotions, power and coverage of one estimator; gains are shares of the incumbent's clicks."""
    truth, error = (np.array([row[place] for row in judgments]) / base for place in (0, 1))
    passed = np.array([row[3] for row in judgments])
    columns = [[row[2].value, row[2].low, row[2].high] for row in judgments]
    value, low, high = np.array(columns).T / base
    evidence = np.array([row[2].effective_n for row in judgments])
    unsure = np.array([abs(row[2].mean_weight - 1) > 0.05 for row in judgments]) | (evidence < 1_000)
    worse = truth <= 0
    print(
        f"  {name}: {passed.sum()} of {len(passed)} promoted, correlation with the truth"
        f" {np.corrcoef(truth, value)[0, 1]:.3f}, covered {np.mean((low <= truth) & (truth <= high)):.3f},"
        f" half width {np.median(high - low) / 2:.2%}, error of the truth {np.median(error):.2%}"
    )
    print(f"    not better: {(passed & worse).sum()} of {worse.sum()} promoted")
    for least, most in ((0.0, 0.01), (0.01, 0.02), (0.02, 1.0)):
        band = (truth > least) & (truth <= most)
        print(f"    better by {least:.0%} to {most:.0%}: {(passed & band).sum()} of {band.sum()} promoted")
    print(f"    better: {(passed & ~worse).sum()} of {(~worse).sum()} promoted")
    print(f"    without enough evidence: {unsure.sum()}, median effective n {np.median(evidence):,.0f}")


if __name__ == "__main__":
    main()
