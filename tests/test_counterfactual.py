"""What another policy would have been worth, told from a log, against what it really is worth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.counterfactual import compare
from raysys.dataset.logged import Outcomes, rewards_of
from raysys.dataset.read import of_events
from raysys.errors import DataError
from raysys.events import Event, Impression, Interaction
from raysys.log import RankingRecord, RecordWriter, read_records
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.replay import Replayer
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.types import Boost, Candidates, Diversify, Filter, Pin, QueryId
from raysys.whatif import altered
from tests import fakes
from tests.fakes import NOW_MS, ask, ids

COUNT = 1_000
LENGTH = 5
RULES = (
    Boost(match=(Filter(field="brand", op="eq", value="acme"),), by=0.3),
    Diversify(field="category", max=2, within=3),
    Pin(item_id=ids("i7")[0], position=1),
)


def taste(item: str, position: int) -> float:
    """A click's probability: low numbers are liked, and positions are looked at less and less."""
    return float(0.8 * np.exp(-int(item[1:]) / 4) * 0.8**position)


def worth(record: RankingRecord, order: np.ndarray) -> float:
    items = [record.item_ids[candidate] for candidate in order]
    return sum(taste(item, position) for position, item in enumerate(items))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Two profiles, chosen evenly; the first likes the engine, the second what is stale."""
    weights = np.zeros((2, len(SIGNALS)), np.float32)
    weights[0, SIGNALS.index("engine")] = 0.5
    weights[1, SIGNALS.index("freshness")] = -0.3
    policy = Policy(signals=SIGNALS, weights=weights, temperature=0.7, allowed=np.ones((3, 2), bool))
    return fakes.bundle(policy=policy, interest=None, relevance=None, encoder=None)


@pytest.fixture(scope="module")
def outcomes(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder: Path = tmp_path_factory.mktemp("records")
    writer, rng = RecordWriter(folder), np.random.default_rng(0)
    ranker, events = Ranker(bundle, MemoryStore(), writer), list[Event]()
    for number in range(COUNT):
        asked = ask(
            id=QueryId(f"q{number}"),
            user_id=f"u{number % 700}",
            length=LENGTH,
            rules=tuple(rule for rule in RULES if rng.random() < 0.2),
        )
        sent = [f"i{n}" for n in rng.permutation(12)[:8]]
        found = [item.item_id for item in ranker.rank(asked, Candidates.of(sent)).items]
        told = {"query_id": asked.id, "user_id": asked.user_id, "time_ms": NOW_MS}
        events.append(Impression(surface="search", item_ids=found[: rng.integers(3, 6)], **told))
        for position, item in enumerate(events[-1].item_ids):
            if rng.random() < taste(item, position):
                events.append(Interaction(kind="click", item_id=item, **told))
    writer.close()
    return rewards_of(read_records(folder), of_events(events))


def truth(outcomes: Outcomes, before: Replayer, after: Replayer) -> tuple[float, float]:
    """The difference when every query is asked again twice, and its standard error."""
    values = []
    for row, record in enumerate(outcomes.records):
        reach = int(outcomes.shown[row].sum())
        for number in range(2):
            again = replace(record, query_id=f"{record.query_id}/{number}")
            new, old = (replayer.rank(again).draw.order[:reach] for replayer in (after, before))
            values.append(worth(record, new) - worth(record, old))
    return float(np.mean(values)), float(np.std(values) / np.sqrt(len(values)))


@pytest.mark.parametrize("freshness", [0.15, -0.4])
def test_the_interval_holds_what_the_other_policy_is_really_worth(
    outcomes: Outcomes, bundle: Bundle, freshness: float
) -> None:
    before, after = Replayer(bundle), Replayer(altered(bundle, {"freshness": freshness}))
    found = compare(outcomes, outcomes.reward({"click": 1.0}), before, after)
    wanted, error = truth(outcomes, before, after)
    for estimate in (found.difference(), found.plain_difference()):
        assert estimate.low - 2 * error <= wanted <= estimate.high + 2 * error
    assert abs(wanted) > 5 * error
    assert np.sign(found.difference().value) == np.sign(wanted)
    robust, plain = found.difference(), found.plain_difference()
    assert robust.high - robust.low < plain.high - plain.low


def test_a_policy_is_worth_no_more_than_itself(outcomes: Outcomes, bundle: Bundle) -> None:
    reward = outcomes.reward({"click": 1.0})
    found = compare(outcomes, reward, Replayer(bundle), Replayer(bundle))
    assert found.difference().value == pytest.approx(0.0, abs=1e-12)
    assert found.support.overlap == pytest.approx(1.0)
    assert found.logged_value().value == pytest.approx(reward.sum(axis=1).mean())
    assert found.logged_value().n == COUNT


def test_the_engines_own_order_is_refused_because_the_log_hardly_holds_it(
    outcomes: Outcomes, bundle: Bundle
) -> None:
    after = Replayer(bundle, dial=0.0)
    found = compare(outcomes, outcomes.reward({"click": 1.0}), Replayer(bundle), after)
    with pytest.raises(DataError, match="no support for this target"):
        found.difference()


def test_rankings_of_another_bundle_or_without_exploration_tell_nothing(
    outcomes: Outcomes, bundle: Bundle
) -> None:
    reward = outcomes.reward({"click": 1.0})
    cold = [replace(record, temperature=0.0) for record in outcomes.records[:10]]
    mixed = replace(outcomes, records=(*cold, *outcomes.records[10:]))
    found = compare(mixed, reward, Replayer(bundle), Replayer(bundle))
    assert found.left_out == {"not explored": 10}
    strange = replace(outcomes, records=tuple(replace(r, bundle_id="old") for r in outcomes.records))
    with pytest.raises(DataError, match=f"{COUNT} of another bundle"):
        compare(strange, reward, Replayer(bundle), Replayer(bundle))


def test_signals_logged_in_other_units_are_weighed_alike(outcomes: Outcomes, bundle: Bundle) -> None:
    """Twice the scale halves the signal; twice the weight makes up for it."""
    doubled = replace(bundle.signals, scale=bundle.signals.scale * 2)
    weights = bundle.policy.weights * 2
    other = replace(bundle, signals=doubled, policy=replace(bundle.policy, weights=weights))  # type: ignore
    after = Replayer(other, logged_in=bundle.signals)
    found = compare(outcomes, outcomes.reward({"click": 1.0}), Replayer(bundle), after)
    np.testing.assert_allclose(found.rankings.weights, 1.0, rtol=1e-4)


def test_no_model_has_seen_the_user_whom_it_is_asked_about(outcomes: Outcomes, bundle: Bundle) -> None:
    """Another outcome for one user changes what is expected of others, never of that user."""
    reward = outcomes.reward({"click": 1.0})
    user = outcomes.clusters == outcomes.clusters[0]
    other = np.where(user[:, None] & outcomes.shown, reward + 5.0, reward)
    before, after = (compare(outcomes, r, Replayer(bundle), Replayer(bundle)) for r in (reward, other))
    changed = np.any(before.model.predicted != after.model.predicted, axis=1)
    assert changed.any()
    assert not changed[user].any()
