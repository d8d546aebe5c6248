"""One turn of the loop: a dataset becomes a bundle, with everything that was measured on the way.

Three windows of time, each judged by what came after it: the network and the behavior of people
are judged before `tune_ms`, the policy is learned from [tune_ms, test_ms), and nothing from
`test_ms` on is looked at before everything is fixed.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from raysys.behavior.situations import Situations
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.config import read_settings, read_toml
from raysys.dataset.build import Dataset
from raysys.errors import DataError
from raysys.events import KINDS, AdUpdate, Kind
from raysys.interest.compression import Form
from raysys.interest.encoder import UserEncoder
from raysys.interest.fit import Fitted, InterestConfig, counted, fit_interest
from raysys.interest.interactions import Interactions
from raysys.interest.scorer import InterestScorer
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.relevance.searches import Searches
from raysys.signals import SIGNALS, SignalConstants
from raysys.surfaces.experts import Response
from raysys.text.encoder import TextEncoder
from raysys.text.keywords import QueryClasses
from tuning.compress import CompressSettings
from tuning.compress_turn import compress_window, in_form
from tuning.document import document
from tuning.gate import Quality
from tuning.network import SearchSettings, tune_network
from tuning.network import Tuned as TunedNetwork
from tuning.policy import HAND_SET, PolicySettings, tune_policy
from tuning.policy import Tuned as TunedPolicy
from tuning.quality import MODEL, TASKS, Alternative, Table, measure
from tuning.situations import gather
from tuning.stand_in import kind as leaf_name

SETTINGS = Path(__file__).with_name("settings.toml")
POSITIVE: tuple[Kind, ...] = ("click", "cart", "purchase", "conversion")
"""Kinds that a probability is learned for, if the data has enough of them."""
ENOUGH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """The table [loop]."""

    horizon_days: float = 28.0
    """A probability is that of the deed within so many days."""
    half_life_days: float = 112.0
    day_starts_h: int = 5
    """Hour UTC at which a shopping day begins, for the quality of the first one."""
    windows: int = 1
    """How many horizons the combination learns from, where the network's score is no part of it."""
    most_queries: int = 10
    """Search queries measured for each user."""
    network_seconds: float = 20.0
    """CPU seconds at most that the released bundle's network goes on for in the next turn; 0 keeps it."""
    network: SearchSettings = field(default_factory=SearchSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    compression: CompressSettings = field(default_factory=CompressSettings)
    """A budget has the interest model released in a smaller form."""

    @classmethod
    def read(cls, path: Path = SETTINGS) -> "LoopSettings":
        """The settings of a TOML file."""
        plain = read_settings(cls, read_toml(path).get("loop", {}))
        return replace(
            plain,
            network=SearchSettings.read(path),
            policy=PolicySettings.read(path),
            compression=CompressSettings.read(path),
        )

    def measure(
        self,
        scorer: InterestScorer,
        events: Interactions,
        window: tuple[int, int],
        others: Mapping[str, Alternative] | None = None,
    ) -> Table:
        """Quality in a window of a scorer that was fitted on what was before it."""
        from_ms, to_ms = window
        return measure(
            scorer,
            events.before(from_ms),
            events.since(from_ms).before(to_ms),
            from_ms,
            others,
            most_queries=self.most_queries,
            day_starts_ms=self.day_starts_h * 3_600_000,
        )

    def interest(self, kinds: tuple[Kind, ...]) -> InterestConfig:
        """How the interest model is fitted to data of these kinds; the last of them is the dearest."""
        return InterestConfig(
            kinds=kinds,
            primary=kinds[-1],
            horizon_days=self.horizon_days,
            half_life_days=self.half_life_days,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn made, and what it was measured by."""

    bundle: Bundle
    network: TunedNetwork
    fitted: Fitted
    tried: Mapping[str, float]
    """Mean NDCG@10 in the tuning weeks of each way to use the network."""
    quality: Table
    policy: TunedPolicy

    def qualities(self) -> list[Quality]:
        """What the gate looks at: every task beside all simple systems."""
        return qualities_of(self.quality)


def qualities_of(table: Table, *, least: int = 1) -> list[Quality]:
    """The table's tasks as the gate reads them, with 95 % intervals; those of `least` users and more."""
    found = []
    for task in TASKS:
        if task in table.users and len(np.unique(table.users[task])) >= least:
            mean, error = table.mean(task, MODEL)
            spread = 1.96 * error if np.isfinite(error) else 0.0
            others = {name: table.mean(task, name)[0] for name in table.systems(task) if name != MODEL}
            found.append(
                Quality(
                    name=f"ndcg@10 {task}",
                    value=mean,
                    low=mean - spread,
                    high=mean + spread,
                    baselines=others,
                )
            )
    return found


def kinds_of(events: Interactions) -> tuple[Kind, ...]:
    """The kinds worth a probability of their own, cheapest first.

    Raises:
        DataError: the log has none of them.
    """
    counts = {kind: int((events.kind == KINDS.index(kind)).sum()) for kind in POSITIVE}
    enough = min(ENOUGH, max(max(counts.values()), 1))
    kinds = tuple(kind for kind in POSITIVE if counts[kind] >= enough)
    if not kinds:
        raise DataError(f"the log has none of {POSITIVE}; nothing can be learned from it")
    return kinds


def turn(
    data: Dataset,
    catalog: Catalog,
    windows: tuple[int, int, int],
    out: Path,
    settings: LoopSettings,
    *,
    encoder: TextEncoder | None = None,
    ads: Sequence[AdUpdate] = (),
    response: Response | None = None,
) -> Turn:
    """Learn everything from what happened before `test_ms`, and measure it on what came then.

    Called again with the same data it goes on where it was stopped.

    Args:
        catalog: of the data's items, with their text vectors.
        windows: `tune_ms`, `test_ms` and the end of the data.
        out: folder of the searches and their curves.
    """
    tune_ms, test_ms, end_ms = windows
    catalog, assumed = settings.policy.margins.assume(catalog)
    if assumed:
        print(f"assumed: the margins of {assumed} items, by brand (settings.toml, policy.margins)")
    events = Interactions.of(data, catalog)
    config = settings.interest(kinds_of(events))
    say("1/4 the network: Tune searches its settings")
    network = tune_network(events, catalog, out / "network", settings=settings.network, until_ms=tune_ms)
    source = UserEncoder.load(network.network)
    searched = searches_of(data, catalog)
    parts: dict[str, Any] = {
        "relevance": RelevanceScorer.of_catalog(catalog, taken=searched.before(tune_ms).what_was_taken()),
        "encoder": encoder,
        "classes": QueryClasses.learn(queries_of(data, events, catalog, tune_ms)),
        "response": response,
    }
    say("2/4 the interest model as of the tuning weeks, and situations to learn a policy in")
    early, config, tried = choose(events, catalog, (tune_ms, test_ms), config, source, settings)
    stocked = counted(catalog, events.before(tune_ms), tune_ms, config)
    interest, form = early.scorer, Form()
    manifest: dict[str, Any] = {
        "data": data.report,
        "network": found_by(network, settings.network),
        "interest": asdict(config),
        "tried": tried,
    }
    if settings.compression.budget_us:
        window, measure = (tune_ms, test_ms), settings.measure
        smaller = compress_window(
            interest, stocked, events, window, measure, settings.compression, out / "smaller"
        )
        form, manifest["compression"] = smaller.chosen.form, smaller.plain()
        interest = InterestScorer.load(smaller.chosen.folder).with_items(stocked)
    draft = Bundle(
        catalog=stocked,
        policy=Policy.constant(SIGNALS, HAND_SET, 0.1),
        interest=interest,
        **parts,
    )
    pages = gather(data, draft, tune_ms, test_ms, settings.policy.situations, settings.policy.seed, ads)
    constants = SignalConstants.measure(pages.raw())
    say("3/4 the policy: behavior, profiles, head-room, RLlib")
    policy = learn_policy(pages.situations(constants), settings.policy, out / "policy")
    say("4/4 the interest model as of the test weeks, and its quality in them")
    before = events.before(test_ms)
    late = fit_interest(before, catalog, config, source)
    late = replace(late, scorer=in_form(late.scorer, form, before, test_ms))
    others = {"document's network": document(before, len(catalog), test_ms, settings.half_life_days)}
    table = settings.measure(late.scorer, events, (test_ms, end_ms), others)
    bundle = replace(
        draft,
        catalog=counted(catalog, before, test_ms, config),
        interest=late.scorer,
        relevance=RelevanceScorer.of_catalog(catalog, taken=searched.before(test_ms).what_was_taken()),
        signals=constants,
        policy=policy.policy,
        settings=replace(draft.settings, spread=tuple(policy.report["spread"])),
        manifest=manifest | {"policy": policy.report["released"]},
    )
    return Turn(bundle=bundle, network=network, fitted=late, tried=tried, quality=table, policy=policy)


def choose(
    events: Interactions,
    catalog: Catalog,
    window: tuple[int, int],
    config: InterestConfig,
    source: UserEncoder,
    settings: LoopSettings,
) -> tuple[Fitted, InterestConfig, dict[str, float]]:
    """The interest model with the network's score, or with the network for recall alone.

    Whichever ranks better in the window, which both were fitted before; a score of the network
    helps where its training is recent and people seek new things, and can harm where neither is so.

    Returns:
        The better one, its config, and the mean NDCG@10 over the tasks of both.
    """
    before = events.before(window[0])
    fitted: dict[str, Fitted] = {}
    tried: dict[str, float] = {}
    configs = {
        "network heard": config,
        "network only recalls": replace(config, network_heard=False, windows=settings.windows),
    }
    for name, one in configs.items():
        fitted[name] = fit_interest(before, catalog, one, source)
        table = settings.measure(fitted[name].scorer, events, window)
        tried[name] = float(np.mean([table.mean(task, MODEL)[0] for task in TASKS if task in table.users]))
        print(f"{name}: mean NDCG@10 of the tasks in the tuning weeks {tried[name]:.4f}")
    best = max(tried, key=lambda name: tried[name])
    return fitted[best], configs[best], tried


def found_by(network: TunedNetwork, search: SearchSettings) -> dict[str, Any]:
    """What the search for the network's settings found, where it looked, and its 95 % interval over users."""
    report = network.config.epochs - 1
    curves = network.best["curves"]
    ndcg, spread = curves["ndcg"][report], 1.96 * curves["ndcg_se"][report]
    return {
        "settings": asdict(network.config),
        "space": dict(search.space),
        "trials": len(network.trials),
        "ndcg@10": {"value": ndcg, "low": ndcg - spread, "high": ndcg + spread},
    }


def learn_policy(situations: Situations, settings: PolicySettings, out: Path) -> TunedPolicy:
    """`tune_policy`, or what it left in `out`."""
    if (out / "report.json").exists():
        policy = Policy.load(out / "policy")
        report = json.loads((out / "report.json").read_text())
        return TunedPolicy(policy=policy, learned=policy, report=report)
    shutil.rmtree(out / "policy", ignore_errors=True)
    return tune_policy(situations, settings, out)


def queries_of(data: Dataset, events: Interactions, catalog: Catalog, before_ms: int) -> list[str]:
    """What people searched for before a moment; leaves of what they took, if the log has no queries."""
    asked = [shown.query for shown in data.impressions if shown.query and (shown.time_ms or 0) < before_ms]
    if asked:
        return asked
    return [leaf_name(catalog.categories[row]) for row in events.before(before_ms).row.tolist()]


def searches_of(data: Dataset, catalog: Catalog) -> Searches:
    """What people searched for, and what they took of what they found."""
    deeds = data.interactions.select("kind", "query_id", "item")
    return Searches.of(data.impressions, deeds.iter_rows(), catalog)


def say(words: str) -> None:
    """A heading between the steps."""
    print(f"\n== {words}", flush=True)
