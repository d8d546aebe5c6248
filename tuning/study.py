"""A study of a log: the best next-item model that some minutes can find, beside every simple system.

Simple systems are tuned on the validation. The combination of them all learns from the validation's
answers (strict: from answers inside the training log), and networks are searched by the same answers.
Then all but the combination learns anew, with those answers in it and the validation (strict: without
the validation), and the test is asked once, at the end.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import ConfigError, DataError
from raysys.evaluation.metrics import mean_error
from raysys.evaluation.next_item import NextItemMetrics
from raysys.events import KINDS, Kind
from raysys.interest.asked import Asked, Split, earlier, last_one, places_from_end
from raysys.interest.defaults import mean_history
from raysys.interest.fit import Fitted, InterestConfig, Lesson, counted, fit_lessons, relearned
from raysys.interest.interactions import Interactions
from raysys.interest.recall import RecallSizes
from raysys.interest.scorer import HEAD, InterestScorer
from raysys.types import Floats, Ints
from tuning.baselines import Log, Tuned, ask_each, sampled, tune_baselines
from tuning.compress import CompressSettings, compress_fitted
from tuning.minutes import Minutes, StudySettings
from tuning.network import TABLE
from tuning.network import Tuned as Found
from tuning.ranked import ranked_side_by_side
from tuning.study_networks import Networks, NetworkStudy
from tuning.trials import claim, cores, described, told
from tuning.variants import Compressed

MODEL = "raysys"
EARLY, LATE = "early", "interest"
"""Folders of the model as the validation is asked, and as the test is."""
MANY = 4000
"""People from whom on it pays to ask them in several processes."""
SPARE = 20
"""Interactions of the mean history for each answer that may be taken from its end; so networks, which
learn what is before it, lack no more of long histories than they need not be fitted again for."""
CLEARLY = 2.0
"""Paired standard errors by which a simple system must be better than the model to be taken instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A log, what is asked of it, and how much time there is."""

    split: Split
    learned: Interactions
    """What all but the combination knows when the test is asked."""
    catalog: Catalog
    minutes: float
    out: Path
    settings: StudySettings
    strict: bool = False
    """Whether the combination learns from answers inside the training log, not from the validation's."""
    network: bool = True
    content: bool = True
    unseen: int = 0
    """Interactions between what is known of somebody and what is asked for."""
    next_one: bool = True
    """Whether one interaction is asked for, and not all of a stretch of time."""
    seed: int = 0
    cores: int = field(default_factory=cores)
    compression: CompressSettings | None = None
    """How smaller models are looked for, if they are."""

    def __post_init__(self) -> None:
        if not 0.0 < self.minutes < float("inf"):
            raise ConfigError(f"minutes is {self.minutes}, must be above 0")
        if self.seed < 0:
            raise ConfigError(f"seed is {self.seed}, must not be negative")
        for folder in (self.out / EARLY, self.out / LATE):
            if folder.exists() and not (folder / HEAD).is_file():
                raise ConfigError(
                    f"{folder} is no interest model, and one would take its place; name another out"
                )

    def run(self) -> dict[str, Any]:
        """Find the best system, and ask it and every simple one the test.

        Raises:
            ConfigError: `out` holds the study of something else.
        """
        mine = time.process_time()
        claim(self.out, self._identity())
        train, valid = self.split.train, self.split.valid
        simple = tune_baselines(train, valid, len(self.catalog), self.budget.tuning_seconds)
        asked = self.asked()
        networks = self.networks(asked)
        config = self.interest(simple, heard=networks.searched is not None)
        fitted, smaller = self.compressed(self.fitted(asked, config, networks), asked[0], config)
        late = fitted.scorer
        if self.learned is not train:
            late = relearned(replace(late, network=networks.late), self.learned, self.catalog, config)
            late = late if smaller is None else smaller.chosen.form.reduced(late)
        mine = time.process_time() - mine
        report = self.judged(simple, config, fitted, late)
        if smaller is not None:
            report["compression"] = smaller.plain()
        report["settings"] |= {"simple": dict(simple.settings), "network": networks.config}
        report["cpu_seconds"] = mine + networks.spent  # until there is a model
        report["training"] = networks.report
        return report

    def _identity(self) -> Iterator[bytes | Ints | Floats]:
        """What makes it another study."""
        said = (self.settings, self.minutes, self.strict, self.network, self.content, self.unseen)
        test = self.split.test
        yield repr((*said, self.next_one, self.seed, self.cores, self.compression, test.new_only)).encode()
        for log in (self.split.train, self.learned, test.before):
            yield from told(log)
        yield from (test.user, np.concatenate(test.truth), *described(self.catalog))

    @property
    def budget(self) -> Minutes:
        """What there is time for."""
        return Minutes(minutes=self.minutes, cores=self.cores, items=len(self.catalog))

    def asked(self) -> list[Asked]:
        """What the combination learns from: several answers of each where histories are long."""
        known, asked = (self.split.train, self.inner()) if self.strict else (self.learned, self.split.valid)
        spared = int(mean_history(asked.before) / SPARE)
        lessons = min(-(-self.budget.answers // len(asked)), spared) if self.next_one else 1
        return earlier(known, asked, max(lessons, 1), spare=SPARE, unseen=self.unseen)

    def inner(self) -> Asked:
        """The last interaction of the training log of everybody who has one to spare."""
        train = self.split.train
        able = train.user[places_from_end(train) == 1 + self.unseen]
        if not len(able):
            raise DataError(
                f"nobody has {2 + self.unseen} interactions in the training log, and a strict run asks for"
                " the last of them: send a longer log, or run without strict"
            )
        return last_one(train, np.unique(able), new_only=self.split.test.new_only, unseen=self.unseen)

    def networks(self, asked: Sequence[Asked]) -> Networks:
        """Found by what the earliest of the lessons `asked` asks for; none if none was asked for."""
        if not self.network:
            return Networks()
        return NetworkStudy(
            lesson=asked[-1],
            learned=self.learned,
            catalog=self.catalog,
            settings=self.settings,
            budget=self.budget,
            answers=sum(map(len, asked)),
            unseen=self.unseen,
            seed=self.seed,
            out=self.out,
        ).find()

    def trials(self) -> Sequence[Mapping[str, Any]]:
        """How the trials of the network's search went."""
        return Found.load(self.out / "search").trials if (self.out / "search" / TABLE).exists() else ()

    def interest(self, simple: Tuned, *, heard: bool) -> InterestConfig:
        """How the interest model is fitted, on top of networks if there are some to be `heard`."""
        primary, size = primary_of(self.split.train), self.settings.recalled
        config = InterestConfig(
            kinds=(primary,),
            primary=primary,
            following=simple.following,
            network_heard=heard,
            content_heard=self.content,
            new_only=self.split.test.new_only,
            recalled=self.settings.learned,
            near=1,
            others=10,
            asked=0,
            aim="ndcg",
            sizes=RecallSizes(source=size, popular=size, leaf=size),
            seed=self.seed,
        )
        return replace(config, people=min(config.people, self.budget.answers))

    def fitted(
        self,
        asked: Sequence[Asked],
        config: InterestConfig,
        networks: Networks,
    ) -> Fitted:
        """The interest model as of the training log, its combination fitted on what `asked` were answered."""
        kind = KINDS.index(config.kinds[0])
        lessons = [
            Lesson(
                asked=replace(one, after=replace(one.after, kind=np.full(len(one.after), kind))),
                learned=one.before,
                known_ms=int(one.before.time_ms[-1]) + 1,
                network=networks.searched,
            )
            for one in asked
        ]
        train = self.split.train
        network = networks.late if self.learned is train else networks.searched
        return fit_lessons(lessons, train, self.catalog, config, network)

    def compressed(
        self, fitted: Fitted, asked: Asked, config: InterestConfig
    ) -> tuple[Fitted, Compressed | None]:
        """The model in the form that the budget asks for, and what all forms reached and cost."""
        if self.compression is None:
            return fitted, None
        known = Log(events=self.split.train, items=len(self.catalog))
        catalog = counted(self.catalog, known.events, known.now_ms, config)
        out = self.out / "smaller"
        return compress_fitted(fitted, catalog, asked, self.new_to(fitted), self.compression, out)

    def new_to(self, fitted: Fitted) -> Asked:
        """The validation's people whose answers the combination, as it is compared, did not learn from."""
        valid, taught = self.split.valid, np.setdiff1d(fitted.people, fitted.held)
        return valid if self.strict else valid.of(~np.isin(valid.user, taught))

    def judged(
        self, simple: Tuned, config: InterestConfig, fitted: Fitted, late: InterestScorer
    ) -> dict[str, Any]:
        """Every system's test, and which of them the validation would have chosen."""
        fresh = sampled(self.new_to(fitted), self.budget.judges)
        test = self.split.test
        before, known = (
            Log(events=events, items=len(self.catalog)) for events in (self.split.train, self.learned)
        )
        cores = self.cores if len(test) >= MANY else 1
        if self.learned is self.split.train:
            others = ask_each(simple.systems, before, [fresh, test], cores)
        else:
            early = ask_each(simple.systems, before, [fresh], cores)
            others = {
                name: early[name] + both
                for name, both in ask_each(simple.systems, known, [test], cores).items()
            }
        validation: dict[str, NextItemMetrics] = {}
        tested: dict[str, NextItemMetrics] = {}
        for number, (log, asked, scorer, found) in enumerate(
            ((before, fresh, fitted.fresh, validation), (known, test, late, tested))
        ):
            folder = self.out / (LATE if asked is test else EARLY)
            catalog = counted(self.catalog, log.events, log.now_ms, config)
            found[MODEL] = self._model(scorer, catalog, asked, folder)
            found |= {name: rankings[number].judged(asked) for name, rankings in others.items()}
        chosen = chosen_of(validation)
        summaries = {name: value.summary() for name, value in tested.items()}
        return {
            "test": summaries[chosen],
            "chosen": chosen,
            "baselines": {name: value for name, value in summaries.items() if name != MODEL},
            "model": summaries[MODEL],
            "validation": {name: value.summary() for name, value in validation.items()},
            "asked": {"validation": len(fresh), "test": len(test)},
            "combination": [asdict(contest) for contest in fitted.contests],
            "settings": {
                "study": asdict(self.settings),
                "minutes": self.minutes,
                "cores": self.cores,
                "strict": self.strict,
                "network": self.network,
                "content": self.content,
                "unseen": self.unseen,
                "new_only": test.new_only,
                "seed": self.seed,
            },
        }

    def _model(self, scorer: InterestScorer, catalog: Catalog, asked: Asked, folder: Path) -> NextItemMetrics:
        """The interest model's metrics; it is saved to `folder`."""
        partial = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        scorer.save(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        cores = self.cores if len(asked) >= MANY else 1
        return ranked_side_by_side(folder, catalog, asked, cores).judged(asked)


def chosen_of(validation: Mapping[str, NextItemMetrics]) -> str:
    """The model, unless a simple system is clearly better: all of them are among what it combines."""
    best = max(validation, key=lambda name: float(validation[name].ndcg.mean()))
    gain, error = mean_error(validation[best].ndcg - validation[MODEL].ndcg)
    return best if gain > CLEARLY * error else MODEL


def primary_of(events: Interactions) -> Kind:
    """The kind that most interactions are of."""
    return KINDS[int(np.bincount(events.kind, minlength=len(KINDS)).argmax())]
