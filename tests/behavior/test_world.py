"""The synthetic world is the same every time, and its people do as they are said to."""

import numpy as np

from raysys.behavior.world import START_MS, World
from raysys.events import Impression, Interaction
from raysys.types import DAY_MS


def test_the_same_seed_gives_the_same_log() -> None:
    assert list(World(seed=3).events(5)) == list(World(seed=3).events(5))
    assert list(World(seed=3).events(5)) != list(World(seed=4).events(5))


def test_people_click_what_they_like() -> None:
    world = World()
    clicks = [e for e in world.events(30) if isinstance(e, Interaction) and e.kind == "click"]
    fits = [
        world.category(int(world.items_of([e.item_id])[0])) == world.taste(int((e.user_id or "")[4:]))[0]
        for e in clicks
    ]
    assert len(clicks) > 300
    assert np.mean(fits) > 0.7  # by chance one in eight


def test_nobody_does_anything_with_an_item_that_was_not_shown() -> None:
    shown: dict[str, set[str]] = {}
    for event in World().events(10):
        if isinstance(event, Impression):
            shown[event.query_id] = set(event.item_ids)
        elif isinstance(event, Interaction):
            assert event.item_id in shown[event.query_id or ""]


def test_more_clicks_tire() -> None:
    world, rng = World(), np.random.default_rng(0)
    liked = np.arange(0, 80, 8)
    deeds = [list(world.react(0, liked, rng)) for _ in range(300)]
    assert max(sum(kind == "click" for _, kind in visit) for visit in deeds) <= 3


def test_time_runs_forward_within_the_days_asked_for() -> None:
    times = [event.time_ms or 0 for event in World().events(2, first_day=3)]
    assert min(times) >= START_MS + 3 * DAY_MS
    assert max(times) < START_MS + 5 * DAY_MS
