"""Items that nobody took yet and people of whom little is known: raysys beside what can be had without it.

A tenth of the items is held out with every interaction, and so is a tenth of the people. Asked are,
among the items held out alone and in the whole catalog, people whose next item was one of them; and
of the people held out their last item, as if only the latest 0, 1, 2 or 4 before it were known.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.sets import OUT, bench_set
from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.evaluation.metrics import mean_error
from raysys.interest.asked import Asked, Split, last_one, places_from_end
from raysys.interest.encoder import UserEncoder
from raysys.interest.export import export_network
from raysys.interest.fit import relearned
from raysys.interest.habits import Habits
from raysys.interest.interactions import Interactions
from raysys.interest.partners import Following
from raysys.interest.scorer import InterestScorer
from raysys.interest.source import NetworkSource
from raysys.interest.train import REPORTS, fit_network
from raysys.interest.words import BAGS, Likeness
from raysys.types import Bools, Floats
from tuning.baselines import Tuned
from tuning.events import read_events
from tuning.minutes import StudySettings
from tuning.ranked import Scores, ranked, whole
from tuning.study import Study
from tuning.study_networks import Networks, start_of

ENCODER = Path("var/encoder")
NETWORK = "network"
HELD_OUT = 0.1
"""Share of the items, and of the people."""
KNOWN = (0, 1, 2, 4)
"""How many interactions of a new person are known."""
ASKED, PEOPLE = 1000, 20_000
"""People asked for each table, and those whom the combination learns from, at most."""
CHANCE = 1e-9
"""Weight of chance among items that a system cannot tell apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """A log cut such that some items and some people are new."""

    split: Split
    """For the study: nothing in it is known of what is new."""
    items: Bools
    """(I,) which items nobody took in what is learned from."""
    fresh: Asked
    """People whose next item is one of those."""
    newcomers: Mapping[int, Asked]
    """The people held out, by how many interactions are known of each."""


def cold_split(events: Interactions, size: int, seed: int, most: int = ASKED) -> Cold:
    """Hold out items and people at random; of who is asked about a new item nothing later is learned from."""
    rng = np.random.default_rng(seed)
    taken, people = np.unique(events.row), np.unique(events.user)
    cold = np.isin(np.arange(size), _some(taken, rng))
    strangers = np.isin(events.user, _some(people, rng))
    new = cold[events.row]
    asked, gone, others = [], new | strangers, np.flatnonzero(~strangers)
    for _, places in events.where(~strangers).by_user():
        mine = others[places]
        at = np.flatnonzero(new[mine])
        if len(at) and not new[mine[: at[-1]]].all():
            gone[mine[at[-1] :]] = True
            asked.append(mine[at[-1]])
    warm = events.where(~gone)
    last = np.array(asked)
    fresh = Asked(
        before=warm,
        user=events.user[last],
        now_ms=events.time_ms[last],
        truth=tuple(events.row[last][:, None]),
        new_only=True,
    )
    able = np.unique(warm.user[places_from_end(warm) == 2])
    valid = last_one(warm, able, new_only=True)
    theirs = events.where(strangers & ~new)
    return Cold(
        split=Split(train=valid.before, valid=valid, test=_few(fresh, most, seed)),
        items=cold,
        fresh=_few(fresh, most, seed),
        newcomers={known: _few(_latest(theirs, known), most, seed) for known in KNOWN},
    )


def _some(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(codes)[: max(int(len(codes) * HELD_OUT), 1)]


def _few(asked: Asked, most: int, seed: int) -> Asked:
    order = np.random.default_rng(seed).permutation(len(asked))
    return asked.of(np.isin(np.arange(len(asked)), order[:most]))


def _latest(events: Interactions, known: int) -> Asked:
    """The last item of everybody who has enough, asked for after the latest `known` before it."""
    able = np.unique(events.user[places_from_end(events) == max(KNOWN)])
    asked = last_one(events, able, new_only=True)
    return replace(asked, before=asked.before.where(places_from_end(asked.before) < known))


@dataclass(frozen=True, slots=True)
class Systems:
    """Who is asked: each scores every item for a person, `model` the new ones alone."""

    scorer: InterestScorer
    catalog: Catalog
    """With its items counted as of what is learned from."""
    items: Bools
    """(I,) which are new."""
    chance: Floats
    """(I,) a little noise: rows would betray when an item came."""

    def of(self) -> Iterator[tuple[str, Scores]]:
        chance = self.chance
        popular = np.asarray(self.catalog.popularity, np.float64)
        likeness = {bag: Likeness.learn(bag, self.catalog) for bag in BAGS}

        def alike(bags: Sequence[str]) -> Scores:
            def scores(habits: Habits, now_ms: int) -> Floats:
                rows, weights = self.scorer.partners.following.weights(habits.history_rows)
                found = [likeness[bag].scores(rows, weights, len(self.catalog)) for bag in bags]
                return np.asarray(sum(found) + chance)

            return scores

        def segment(habits: Habits, now_ms: int) -> Floats:
            return alike(["traits"])(habits, now_ms) * np.log1p(popular) + 1e-6 * popular + chance

        def network(habits: Habits, now_ms: int) -> Floats:
            assert self.scorer.network is not None
            known = len(habits.history_rows) > 0
            return self.scorer.network.scores(habits, now_ms) + chance if known else popular + chance

        def together(habits: Habits, now_ms: int) -> Floats:
            if not len(habits.history_rows):
                return popular + chance
            log_share = np.log(network(habits, now_ms))
            return _standard(log_share, self.items) + _standard(alike(list(BAGS))(habits, now_ms), self.items)

        yield "raysys", self.model
        yield "network alone", network
        yield "content-kNN, words", alike(["words"])
        yield "content-kNN, traits", alike(["traits"])
        yield "content-kNN, both", alike(["words", "traits"])
        yield "network and content-kNN, standardized and added", together
        yield "popularity in the segment", segment
        yield "popularity", lambda habits, now_ms: popular + chance
        yield "random", lambda habits, now_ms: chance

    def model(self, habits: Habits, now_ms: int) -> Floats:
        """Log odds of the new items, and nothing of others."""
        view = self.scorer.view_of(habits, now_ms)
        found = np.full(len(self.catalog), -np.inf)
        rows = np.flatnonzero(self.items)
        found[rows] = self.scorer.log_odds(view, rows, now_ms)[:, 0] + self.chance[rows]
        return found


def _standard(values: Floats, among: Bools) -> Floats:
    """Values (I,) in standard deviations of those that are `among` (I,)."""
    some = values[among]
    return np.asarray((values - some.mean()) / max(float(some.std()), 1e-9))


def among(scores: Scores, items: Bools) -> Scores:
    """The same, of some items alone."""
    return lambda habits, now_ms: np.where(items, scores(habits, now_ms), -np.inf)


def learned(name: str, options: argparse.Namespace) -> tuple[Cold, Systems]:
    """A set cut, and who is asked about it; its network is kept."""
    files, seed, cpu_seconds = bench_set(name), options.seed, options.cpu_seconds
    if not options.encoder.is_dir():
        raise DataError(f"{options.encoder} is not here; `make {options.encoder}` builds it")
    log = read_events([files.events], [files.items], encoder=options.encoder)
    cold = cold_split(log.events, len(log.catalog), seed, options.asked)
    out = OUT / "cold" / f"{name}-{cpu_seconds:g}-{seed}"
    return cold, systems_of(cold, log.catalog, out, cpu_seconds, options.people, seed)


def systems_of(
    cold: Cold, catalog: Catalog, out: Path, cpu_seconds: float, people: int, seed: int
) -> Systems:
    """The interest model, with one network by the rules, that knows nothing of what is held out."""
    warm, train = cold.fresh.before, cold.split.train
    if not (out / NETWORK).exists():
        training = fit_network(train, catalog, start_of(train, len(catalog), cpu_seconds, seed))
        list(tqdm(training, desc=f"{out.name}: fitting the network", total=REPORTS, unit="part"))
        export_network(training.model, out / NETWORK)
    network = NetworkSource.of(UserEncoder.load(out / NETWORK), catalog)
    study = Study(
        split=cold.split,
        learned=warm,
        catalog=catalog,
        minutes=1.0,  # no settings are searched, and whom the combination learns from is said below
        out=out,
        settings=StudySettings.read(),
        seed=seed,
    )
    config = study.interest(
        Tuned(systems={}, settings={}, ndcg={}, following=Following()), heard=study.network
    )
    config = replace(config, people=people)
    scorer = study.fitted([cold.split.valid], config, Networks(searched=network)).scorer
    popular = np.bincount(warm.row, minlength=len(catalog)).astype(np.float32)
    chance = CHANCE * np.random.default_rng(seed).random(len(catalog))
    counts = replace(catalog, popularity=popular)
    return Systems(relearned(scorer, warm, counts, config), counts, cold.items, chance)


def line(name: str, scores: Scores, asked: Asked) -> str:
    """One system's row: NDCG@10 and HR@10 with their standard errors over people, and the median place."""
    found = ranked(scores, asked, name)
    judged = found.judged(asked)
    (ndcg, ndcg_se), (hit, hit_se) = mean_error(judged.ndcg), mean_error(judged.hit)
    place = np.median(np.where(found.first < 0, np.inf, found.first + 1.0))
    return f"| {name} | {ndcg:.4f} ± {ndcg_se:.4f} | {hit:.4f} ± {hit_se:.4f} | {place:,.0f} |"


def table(title: str, systems: Mapping[str, Scores], asked: Asked) -> None:
    """Print what every system reaches with the people asked."""
    print(f"\n{title}; {len(asked)} people\n")
    print("| | NDCG@10 | HR@10 | median place |\n|---|---|---|---|")
    for name, scores in systems.items():
        print(line(name, scores, asked), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn what is not there yet and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("--sets", nargs="+", default=["beauty", "toys"])
    parser.add_argument("--cpu-seconds", type=float, default=120.0, help="of fitting the network, at most")
    parser.add_argument("--encoder", type=Path, default=ENCODER, help="folder of a text encoder")
    parser.add_argument("--asked", type=int, default=ASKED, help="people asked for each table")
    parser.add_argument("--people", type=int, default=PEOPLE, help="whom the combination learns from")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in options.sets:
        cold, made = learned(name, options)
        systems = dict(made.of())
        alone = {system: among(scores, cold.items) for system, scores in systems.items()}
        table(f"{name}: new items, among the {int(cold.items.sum())} new ones", alone, cold.fresh)
        everything = systems | {"raysys": whole(made.scorer, made.catalog.popularity)}
        table(f"{name}: new items, among all {len(cold.items)}", everything, cold.fresh)
        for known, asked in cold.newcomers.items():
            table(f"{name}: new people, of whom {known} interactions are known", everything, asked)


if __name__ == "__main__":
    main()
