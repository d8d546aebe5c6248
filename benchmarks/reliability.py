"""RetailRocket's views, carts and purchases: does a probability of each kind mean what it says?

The interest model is fitted on everything before the last days of the log (`--validate`: of the log without
them) and asked what each person known before will do in them. Pairs are those of a person with every item
that is recalled for them, and with the ten best of these, which are what an auction sees. They are asked
about at the cut, as in fitting, and right after their first deed in those days, as somebody is whom a page
is shown. Users were selected for having bought: rates are no shop's, calibration is judged within the file.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sets import bench_set
from raysys.evaluation.calibration import BINS, reliability
from raysys.evaluation.metrics import log_loss
from raysys.evaluation.report import Section, calibration, write_report
from raysys.events import KINDS, Kind
from raysys.interest.asked import Asked, places_from_end, stretch
from raysys.interest.combination import Combination, Trees
from raysys.interest.features import features
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import Interactions
from raysys.interest.recall import recall
from raysys.interest.scorer import InterestScorer
from raysys.types import DAY_MS, Bools, Floats, Ints
from tuning.baselines import sampled
from tuning.events import read_events
from tuning.ranked import people_of

OF: tuple[Kind, ...] = ("view", "cart", "purchase")
HEAD = (
    "kind", "who", "pairs", "done", "rate", "constant", "raw", "log loss", "ece", "if true", "raw ece",
    "said / done",
)  # fmt: skip
BEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """N pairs of a person and an item that was recalled for them."""

    prob: Floats
    """(N, E) of each kind."""
    raw: Floats
    """(N, E) the trees' sum as it stands, before the line through people held out; NaN where none won."""
    done: Bools
    """(N, E)"""
    place: Ints
    """(N, E) in the person's own order by the probability of each kind, from 0."""

    def of(self, number: int, best: bool) -> tuple[Floats, Floats, Bools]:
        """Probability, raw score and outcome of one kind, of all pairs or of each person's best."""
        kept = self.place[:, number] < (BEST if best else np.inf)
        return self.prob[kept, number], self.raw[kept, number], self.done[kept, number]


def in_session(events: Interactions, cut_ms: int) -> Asked:
    """Users known before the cut, right after their first deed since, about what they did after it."""
    since = events.time_ms >= cut_ms
    early = np.cumsum(~since)[-1] if len(since) else 0
    later = events.since(cut_ms)
    known = np.isin(later.user, events.user[:early])
    from_start = np.bincount(later.user, minlength=int(later.user.max()) + 1)[later.user] - 1
    first = known & (places_from_end(later) == from_start)
    users, begun = later.user[first], later.time_ms[first]
    order = np.argsort(users)
    before = events.where(np.append(np.ones(early, np.bool_), first))
    after = later.where(known & ~first)
    rows = {user: after.row[mine] for user, mine in after.by_user()}
    nothing = np.zeros(0, np.int64)
    return Asked(
        before=before,
        user=users[order],
        now_ms=begun[order] + 1,
        truth=tuple(rows.get(user, nothing) for user in users[order].tolist()),
        new_only=False,
        after=after,
    )


def pairs_of(scorer: InterestScorer, asked: Asked) -> Pairs:
    """Every recalled item of everybody asked, with what was said and what was done."""
    done = [dict(_rows_by_user(asked.after, kind)) for kind in OF]
    nothing = np.zeros(0, np.int64)
    parts: list[tuple[Floats, ...]] = []
    for user, (habits, now_ms, _) in zip(asked.user.tolist(), people_of(asked), strict=True):
        view = scorer.view_of(habits, now_ms)
        rows = recall(view, scorer.sizes)
        seen = features(view, rows, now_ms)
        odds = [combination.log_odds(seen) for combination in scorer.combinations]
        prob, raw = _prob(odds), _prob([unlined(*one) for one in zip(scorer.combinations, odds, strict=True)])
        true = np.stack([np.isin(rows, mine.get(user, nothing)) for mine in done], axis=1)
        place = np.argsort(np.argsort(-prob, axis=0, kind="stable"), axis=0)
        parts.append((prob, raw, true, place))
    prob, raw, true, place = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Pairs(prob=prob, raw=raw, done=true, place=place)


def unlined(combination: Combination, log_odds: Floats) -> Floats:
    """Of trees what they say without their line, from the log odds (C,); of others NaN."""
    if not isinstance(combination, Trees):
        return np.full(len(log_odds), np.nan)
    slope, offset = combination.line.tolist()
    return (log_odds - offset) / slope


def _prob(log_odds: Sequence[Floats]) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(np.stack(log_odds, axis=1), -50.0, 50.0)))


def _rows_by_user(events: Interactions, kind: Kind) -> Iterator[tuple[int, Ints]]:
    mine = events.where(events.kind == KINDS.index(kind))
    return ((user, mine.row[places]) for user, places in mine.by_user())


def judged(pairs: Pairs, number: int, who: str, *, best: bool) -> dict[str, Any]:
    """A row of the table; the constant is the best one there could be, the rate of these very pairs."""
    prob, raw, done = pairs.of(number, best)
    points, rate = reliability(prob, done), float(done.mean())
    plain = np.isfinite(raw).all()
    values = (
        OF[number], who, len(done), int(done.sum()), rate, log_loss(np.full(len(done), rate), done),
        log_loss(raw, done) if plain else float("nan"), log_loss(prob, done), points.ece, points.ece_if_true,
        reliability(raw, done).ece if plain else float("nan"), points.ratio,
    )  # fmt: skip
    return dict(zip(HEAD, values, strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, ask, print the table and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--days", type=float, default=14.0, help="the horizon of the probabilities")
    parser.add_argument("--windows", type=int, default=2, help="of so many days that are learned from")
    parser.add_argument(
        "--people", type=int, default=5000, help="learned from in a window, and asked, at most"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("var/reliability"))
    options = parser.parse_args(arguments)
    files = bench_set("retailrocket")
    log = read_events([files.events], [files.items])
    horizon = int(options.days * DAY_MS)
    end = int(log.events.time_ms[-1]) + 1 - (horizon if options.validate else 0)
    events, cut = log.events.before(end), end - horizon
    config = InterestConfig(
        kinds=OF, primary="view", horizon_days=options.days, windows=options.windows, content_heard=False,
        recalled=100, near=10, others=20, asked=0, people=options.people, seed=options.seed,
    )  # fmt: skip
    begun = time.process_time()
    fitted = fit_interest(events.before(cut), log.catalog, config)
    print(f"fitted in {time.process_time() - begun:.0f} CPU seconds")
    for contest in fitted.contests:
        print(contest)
    rows, sections = list[dict[str, Any]](), list[Section]()
    for who, asked in (
        ("at the cut", stretch(events, cut, at_cut=True, everybody=True)),
        ("in session", in_session(events, cut)),
    ):
        pairs = pairs_of(fitted.scorer, sampled(asked, options.people))
        for number, kind in enumerate(OF):
            for best in (False, True):
                name = f"{who}, the best {BEST}" if best else who
                rows.append(judged(pairs, number, name, best=best))
                print(json.dumps(_short(rows[-1])), flush=True)
            prob, _, done = pairs.of(number, best=False)
            png = calibration(prob, done, bins=BINS, logarithmic=True)
            sections.append(Section(title=f"{kind}, {who}", png=png))
    text = (
        f"Expected calibration error in {BINS} bins of equal mass, beside what true probabilities would have."
    )
    table = Section(
        title="Calibration", text=text, head=HEAD, rows=[list(_short(row).values()) for row in rows]
    )
    options.out.mkdir(parents=True, exist_ok=True)
    part = "validation" if options.validate else "test"
    write_report(options.out / f"{part}.html", "Probabilities of RetailRocket", [table, *sections])
    (options.out / f"{part}-{options.seed}.json").write_text(json.dumps(rows, indent=1))


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"{value:.3g}" if isinstance(value, float) else value for name, value in row.items()}


if __name__ == "__main__":
    main()
