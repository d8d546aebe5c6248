"""From the synthetic log to a saved bundle to a personal ranking: the loop without Ray."""

from pathlib import Path

import numpy as np
import pytest

from raysys.behavior.world import CATEGORIES, START_MS, World
from raysys.events import Interaction
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.types import DAY_MS, Candidates, Query, QueryId, UserId
from tuning.world import main, world_bundle

NOW = START_MS + 60 * DAY_MS
WORLD = World()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("world") / "bundle"
    world_bundle(WORLD).save(target)
    return target


@pytest.fixture(scope="module")
def ranker(path: Path) -> Ranker:
    store = MemoryStore()
    store.append(list(WORLD.events(60)), NOW)
    return Ranker.load(path, store)


def ask(user: str, number: int = 0, **more: object) -> Query:
    query = {"id": QueryId(f"q{number}"), "surface": "search", "time_ms": NOW, "length": 10}
    return Query(**{**query, "user_id": UserId(user), **more})  # type: ignore[arg-type]


def test_people_are_ranked_what_they_are_known_to_like(ranker: Ranker) -> None:
    """Against the engine's order of the same random candidates, by the world's own truth."""
    rng = np.random.default_rng(0)
    ours, engines = [], []
    for user in range(60):
        items = rng.choice(WORLD.items, 50, replace=False)
        candidates = Candidates.of([WORLD.item_id(item) for item in items.tolist()])
        ranking = ranker.rank(ask(WORLD.user_id(user), user), candidates)
        assert ranking.degraded == ()
        shown = WORLD.items_of([item.item_id for item in ranking.items])
        ours.append(WORLD.likes(user, shown).mean())
        engines.append(WORLD.likes(user, items[:10]).mean())
    assert np.mean(ours) > 3 * np.mean(engines)


def test_reasons_add_up_to_the_score(ranker: Ranker) -> None:
    candidates = Candidates.of([WORLD.item_id(item) for item in range(30)])
    for item in ranker.rank(ask("user00001", explain=True, text="green tea"), candidates).items:
        assert sum(reason.value for reason in item.reasons) == pytest.approx(item.score, abs=1e-6)


def test_a_feed_is_personal_and_a_strangers_is_what_is_popular(ranker: Ranker) -> None:
    feeds = {
        user: WORLD.items_of([i.item_id for i in ranker.feed(ask(WORLD.user_id(user), surface="feed")).items])
        for user in range(40)
    }
    assert np.mean([WORLD.likes(user, feed).mean() for user, feed in feeds.items()]) > 0.5
    assert len(ranker.feed(ask("nobody", surface="feed")).items) == 10


def test_a_purchase_lifts_its_category_in_the_very_next_answer(path: Path) -> None:
    """In this world a purchase tells of a taste; that the very item is bought again it does not."""
    store = MemoryStore()
    ranker = Ranker.load(path, store)
    candidates = Candidates.of([WORLD.item_id(item) for item in range(32)])
    bought = WORLD.item_id(7)

    def lead() -> tuple[float, float]:
        """By how much the purchase's category is ahead of all others, in utility and in places."""
        items = ranker.rank(ask("user00001", length=32), candidates).items
        inside = WORLD.items_of([item.item_id for item in items]) % len(CATEGORIES) == 7
        scores, places = np.array([item.score for item in items]), np.arange(len(items))
        return (
            float(scores[inside].mean() - scores[~inside].mean()),
            float(places[~inside].mean() - places[inside].mean()),
        )

    before = lead()
    store.append([Interaction(kind="purchase", item_id=bought, user_id="user00001", time_ms=NOW - 1)], NOW)
    after = lead()
    assert after[0] > before[0] + 0.5
    assert after[1] > before[1] + 5.0
    assert after[1] > 4.0


def test_no_user_id_is_in_the_bundle(path: Path) -> None:
    assert not any(b"user000" in file.read_bytes() for file in path.rglob("*") if file.is_file())


def test_the_command_writes_a_bundle_that_ranks(tmp_path: Path) -> None:
    main([str(tmp_path / "bundle"), "--users", "60", "--items", "80"])
    assert Ranker.load(tmp_path / "bundle").rank(ask("user00001"), Candidates.of([WORLD.item_id(1)])).items
