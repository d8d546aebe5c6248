"""What was served can be ranked again from its record alone, to the last bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.errors import Part
from raysys.events import Interaction
from raysys.log import RankingRecord, RecordWriter, read_records
from raysys.policy.context import CONTEXT
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.replay import Replayer, replay
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.surfaces.settings import Settings
from raysys.types import Boost, Candidates, Diversify, Filter, Pin, QueryId, Rule
from tests import fakes
from tests.fakes import NOW_MS, ask, ids

RULES: tuple[Rule, ...] = (
    Boost(match=(Filter(field="brand", op="eq", value="acme"),), by=0.7),
    Diversify(field="category", max=1, within=2),
    Pin(item_id=ids("i7")[0], position=2),
)


def policy(seed: int = 0, *, strength: float = 1.0) -> Policy:
    """Three profiles; the context and the noise choose."""
    rng = np.random.default_rng(seed)
    return Policy(
        signals=SIGNALS,
        weights=(strength * rng.normal(size=(3, len(SIGNALS)))).astype(np.float32),
        temperature=0.8,
        allowed=np.ones((3, 3), bool),
        layers=((0.3 * rng.normal(size=(len(CONTEXT), 3)).astype(np.float32), np.zeros(3, np.float32)),),
    )


def log(folder: Path, bundle: Bundle, count: int = 60, **asked: object) -> list[RankingRecord]:
    """Rankings of all kinds, as they come back from the disk."""
    store, rng = MemoryStore(), np.random.default_rng(1)
    store.append([Interaction(kind="click", item_id="i3", time_ms=NOW_MS - 5, user_id="ann")], NOW_MS)
    writer = RecordWriter(folder)
    ranker = Ranker(bundle, store, writer)
    for number in range(count):
        sent = ids(*(f"i{n}" for n in rng.permutation(12)), f"stranger{number}")
        scores = rng.normal(size=13) if number % 2 else None
        wish = {
            "id": QueryId(f"q{number}"),
            "rules": tuple(rule for rule in RULES if rng.random() < 0.4),
            "weight": [None, None, 0.0, 0.7][number % 4],
            "offset": int(rng.integers(0, 3)),
            "length": 8,
            "text": "the i3" if number % 3 else "",
            "user_id": "ann" if number % 5 else "nobody",
        }
        degraded: tuple[Part, ...] = ("policy",) if number % 11 == 0 else ()
        degraded = ("deadline",) if number % 13 == 0 else degraded
        candidates = Candidates(item_ids=sent, engine_scores=scores)
        ranker.rank(ask(**{**wish, **asked}), candidates, degraded=degraded)
    ranker.feed(ask("feed", id=QueryId("feed")))
    writer.close()
    return list(read_records(folder))


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return fakes.bundle(policy=policy(), settings=Settings(spread=(0.5, 1.0, 2.0)))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, bundle: Bundle) -> list[RankingRecord]:
    return log(tmp_path_factory.mktemp("records"), bundle)


def test_every_kind_of_ranking_comes_out_the_same_to_the_last_bit(
    records: list[RankingRecord], bundle: Bundle
) -> None:
    report = replay(records, Replayer(bundle))
    assert report.differences == ()
    assert (report.rankings, report.equal, report.orders) == (61, 61, 61)


def test_the_log_holds_what_the_test_above_is_about(records: list[RankingRecord]) -> None:
    assert {record.profile for record in records} == {0, 1, 2}
    for name in ("pins", "caps", "degraded", "offset", "dial"):
        assert any(getattr(record, name) for record in records), name
    assert any(len(record.terms) for record in records)
    assert any(record.temperature > 0 and record.propensities.min() < 0.9 for record in records)


def test_another_seed_draws_other_rankings(records: list[RankingRecord], bundle: Bundle) -> None:
    report = replay(records, Replayer(bundle, seed=1))
    assert report.equal < 61
    assert len(report.differences) == 61 - report.equal


def changed(record: RankingRecord, **fields: object) -> RankingRecord:
    return replace(record, **fields)  # type: ignore[arg-type]


def test_differences_are_named(records: list[RankingRecord], bundle: Bundle) -> None:
    record = next(r for r in records if not r.forced.any() and r.temperature > 0 and not r.caps)
    swapped = record.order.copy()
    swapped[[0, 1]] = swapped[[1, 0]]
    odds = record.propensities.copy()
    odds[2] *= 1.5
    told = {
        "profile ": changed(record, profile=7),
        "at position 0, logged": changed(record, order=swapped),
        "propensity ": changed(record, propensities=odds),
        "profile_prob ": changed(record, profile_prob=0.123),
        "position 1 is not forced": changed(record, forced=np.arange(len(record.forced)) == 1),
    }
    for words, tampered in told.items():
        (sentence,) = replay([tampered], Replayer(bundle)).differences
        assert sentence.startswith(record.query_id)
        assert words in sentence


def test_other_bundles_and_auctions_are_counted_and_not_replayed(
    records: list[RankingRecord], bundle: Bundle
) -> None:
    others = [changed(records[0], bundle_id="old"), changed(records[0], surface="ads")]
    report = replay(others, Replayer(bundle))
    assert (report.rankings, dict(report.skipped)) == (0, {"bundle old": 1, "auction": 1})


def test_the_odds_of_the_logged_order_are_a_mixture_of_its_profiles(
    records: list[RankingRecord], bundle: Bundle
) -> None:
    """Whatever profile was drawn, the whole order is at least as likely as through that profile alone."""
    replayer = Replayer(bundle)
    for record in records:
        odds = replayer.odds(record)
        own = odds[np.arange(len(record.order)), record.order]
        whole = own.prod()
        assert whole >= record.profile_prob * record.propensities.prod() * (1 - 1e-6)
        if record.temperature == 0 or record.profile_prob == 1:
            np.testing.assert_allclose(own, record.propensities)


def test_records_from_before_a_field_existed_can_still_be_read(tmp_path: Path) -> None:
    """Frames of the first format: the fields that came later take their defaults."""
    import msgspec

    from raysys import log as module
    from tests.test_log import record

    body = msgspec.msgpack.decode(module.pack(record(1))[module._FRAME.size :])
    for name in ("offset", "dial", "context", "terms", "pins", "caps"):
        del body[name]
    raw = msgspec.msgpack.encode(body)
    frame = module._FRAME.pack(len(raw), module.zlib.crc32(raw)) + raw
    (tmp_path / "1.records").write_bytes(frame)
    (read,) = read_records(tmp_path)
    assert (read.offset, read.dial, len(read.context), read.pins) == (0, None, 0, ())


def test_nothing_to_rank_is_replayed_too(bundle: Bundle, tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    Ranker(bundle, MemoryStore(), writer).rank(ask(), Candidates.of([]))
    writer.close()
    report = replay(read_records(tmp_path), Replayer(bundle))
    assert (report.rankings, report.equal) == (1, 1)
