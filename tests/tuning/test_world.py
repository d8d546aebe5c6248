"""The synthetic world makes a whole bundle that ranks, and an event changes what it says."""

from pathlib import Path

import pytest

from raysys.events import Interaction
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.types import Candidates, Query, QueryId, UserId
from tuning.release import current
from tuning.world import Sample, main, sample, world_bundle

NOW_MS = 1_741_000_000_000


@pytest.fixture(scope="module")
def world() -> Sample:
    return sample(users=60, items=100, days=40)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    main([str(folder), "--users", "60", "--items", "100"])
    path = current(folder)
    assert path is not None
    return path


def ask(**fields: object) -> Query:
    plain = {"id": QueryId("q"), "surface": "search", "time_ms": NOW_MS, "length": 10}
    return Query(**{**plain, "user_id": UserId("user1"), **fields})  # type: ignore[arg-type]


def test_the_same_seed_makes_the_same_world() -> None:
    assert sample(users=5, items=20, seed=3) == sample(users=5, items=20, seed=3)
    assert sample(users=5, items=20, seed=3) != sample(users=5, items=20, seed=4)


def test_deeds_are_in_order_of_time_and_of_known_items(world: Sample) -> None:
    times = [deed.time_ms for deed in world.deeds]
    assert times == sorted(times)
    assert {deed.item_id for deed in world.deeds} <= {item.item_id for item in world.items}


def test_no_user_id_is_in_the_bundle(released: Path) -> None:
    written = b"".join(file.read_bytes() for file in released.rglob("*.json"))
    assert b"user1" not in written


def test_a_released_world_ranks_with_nothing_degraded(released: Path) -> None:
    ranker = Ranker.load(released)
    candidates = Candidates.of([f"item{n}" for n in range(30)])
    ranking = ranker.rank(ask(text="milk", explain=True), candidates)
    assert len(ranking.items) == 10
    assert set(ranking.degraded) <= {"encoder"}
    first = ranking.items[0]
    assert sum(reason.value for reason in first.reasons) == pytest.approx(first.score, abs=1e-6)


def test_a_purchase_lifts_the_item_in_the_very_next_answer(world: Sample) -> None:
    store = MemoryStore()
    ranker = Ranker(world_bundle(world), store)
    candidates = Candidates.of([f"item{n}" for n in range(30)])
    before = {i.item_id: i.score for i in ranker.rank(ask(length=30), candidates).items}
    store.append([Interaction(kind="purchase", item_id="item7", user_id="user1", time_ms=NOW_MS - 1)], NOW_MS)
    after = {i.item_id: i.score for i in ranker.rank(ask(length=30), candidates).items}
    assert after["item7"] > before["item7"]
