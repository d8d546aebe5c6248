"""What would move is told from the log alone, and in numbers that can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.errors import ConfigError, DataError
from raysys.log import RankingRecord, RecordWriter, read_records
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.replay import Replayer
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.types import Candidates, QueryId
from raysys.whatif import altered, what_if
from tests import fakes
from tests.fakes import ask


def shop(**weights: float) -> Bundle:
    """A bundle that sorts: nothing is drawn."""
    policy = Policy.constant(SIGNALS, np.array([weights.get(name, 0.0) for name in SIGNALS]), 0.0)
    return fakes.bundle(policy=policy, interest=None, relevance=None, encoder=None)


def log(bundle: Bundle, folder: Path, *rankings: list[str]) -> list[RankingRecord]:
    writer = RecordWriter(folder)
    ranker = Ranker(bundle, MemoryStore(), writer)
    for number, sent in enumerate(rankings):
        ranker.rank(ask(id=QueryId(f"q{number}")), Candidates.of(sent))
    writer.close()
    return list(read_records(folder))


def test_two_items_that_change_places(tmp_path: Path) -> None:
    """The engine says i1 before i0; fresh is i0. Attention is 1 and 1/log2(3) = .6309."""
    bundle = shop(engine=1.0)
    records = log(bundle, tmp_path, ["i1", "i0"], ["i0", "i1"])
    fresh = altered(bundle, {"engine": 0.0, "freshness": 1.0})
    found = what_if(records, Replayer(bundle), Replayer(fresh))
    assert (found.rankings, found.changed, found.overlap) == (2, 1, 1.0)
    gained = 1 - 1 / np.log2(3)
    assert dict(found.moved) == {"i0": pytest.approx(gained), "i1": pytest.approx(-gained)}
    both = {value: (before, after) for value, before, after in found.exposure["brand"]}
    assert both["acme"][0] == pytest.approx(0.5)
    assert both["acme"][1] == pytest.approx(1 / 1.6309, abs=1e-4)
    assert found.utility[1] < found.utility[0]


def test_what_leaves_the_first_ten_lowers_the_overlap(tmp_path: Path) -> None:
    bundle = shop(engine=1.0)
    records = log(bundle, tmp_path, [f"i{n}" for n in range(11, -1, -1)])
    (longer,) = records
    assert len(longer.order) == 10
    fresh = altered(bundle, {"engine": 0.0, "freshness": 1.0})
    found = what_if(records, Replayer(bundle), Replayer(fresh))
    assert found.overlap == pytest.approx(0.8)
    for shares in found.exposure.values():
        assert sum(share[1] for share in shares) == pytest.approx(1.0)
        assert sum(share[2] for share in shares) == pytest.approx(1.0)


def test_dial_zero_gives_the_engine_its_order_back(tmp_path: Path) -> None:
    bundle = shop(freshness=1.0)
    records = log(bundle, tmp_path, ["i5", "i2", "i9"])
    engine = Replayer(bundle, dial=0.0)
    again = engine.rank(records[0]).draw
    assert [records[0].item_ids[candidate] for candidate in again.order] == ["i5", "i2", "i9"]
    assert what_if(records, Replayer(bundle), engine).changed == 1


def test_an_altered_bundle_differs_in_that_weight_alone_and_in_its_policy_id() -> None:
    bundle = shop(engine=1.0, margin=0.5)
    other = altered(bundle, {"margin": 2.0})
    assert other.policy.weights[0, SIGNALS.index("margin")] == 2.0
    assert other.policy.weights[0, SIGNALS.index("engine")] == 1.0
    assert other.policy.id != bundle.policy.id
    assert bundle.policy.weights[0, SIGNALS.index("margin")] == 0.5


def test_wishes_that_cannot_be_met_are_named(tmp_path: Path) -> None:
    bundle = shop(engine=1.0)
    with pytest.raises(ConfigError, match="no signal 'intrest'"):
        altered(bundle, {"intrest": 1.0})
    with pytest.raises(ConfigError, match="is a FakePolicy, expected a Policy"):
        altered(fakes.bundle(), {"interest": 1.0})
    with pytest.raises(DataError, match="none of 0 records is a ranking of bundle unsaved"):
        what_if([], Replayer(bundle), Replayer(bundle))
