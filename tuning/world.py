"""A complete bundle of a synthetic world in seconds: for tests and a first look, never a result.

python -m tuning.world var/bundles [--users 200] [--items 300] [--seed 0] [--encoder]
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import Interactions, decay
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS, SignalConstants
from raysys.surfaces.settings import Settings
from raysys.text.keywords import QueryClasses
from raysys.types import DAY_MS, MICROS, UserId
from tuning.release import publish

START_MS = 1_735_689_600_000
"""The first day of the world, 2025-01-01."""

SHELVES: dict[str, tuple[str, ...]] = {
    "grocery/dairy": ("milk", "yogurt", "butter", "cream", "cheddar"),
    "grocery/bakery": ("bread", "bagels", "rolls", "muffins", "tortillas"),
    "grocery/drinks": ("coffee", "tea", "cola", "juice", "water"),
    "home/cleaning": ("soap", "detergent", "sponges", "bleach", "towels"),
    "garden/tools": ("spade", "rake", "hose", "gloves", "shears"),
}
STYLES = ("plain", "organic", "light", "family", "classic", "fresh", "deluxe")
BRANDS = ("Acme", "Bolt", "Corner", "Dune")

WEIGHTS = {
    "engine": 1.0,
    "relevance": 0.6,
    "interest": 1.0,
    "repeat": 0.3,
    "popularity": 0.2,
    "ad_value": 1.0,
}
"""Weights chosen by hand; nothing was learned about them."""
TEMPERATURE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A small world: its items and who touched what."""

    items: tuple[ItemUpdate, ...]
    deeds: tuple[Interaction, ...]
    """In order of time."""


def sample(*, users: int = 200, items: int = 300, days: int = 60, seed: int = 0) -> Sample:
    """Users who each like two shelves and one brand, and visit every fourth day or so."""
    rng = np.random.default_rng(seed)
    made = tuple(_item(number, rng) for number in range(items))
    shelf = np.array([list(SHELVES).index(str(item.category)) for item in made])
    brand = np.array([BRANDS.index(str(item.brand)) for item in made])
    deeds: list[Interaction] = []
    for user in range(users):
        liked = rng.choice(len(SHELVES), 2, replace=False)
        taste = 3.0 * np.isin(shelf, liked) + 1.5 * (brand == rng.integers(len(BRANDS)))
        odds = np.exp(taste + rng.gumbel(size=items))
        odds /= odds.sum()
        for day in np.flatnonzero(rng.random(days) < 0.25):
            start = START_MS + int(day) * DAY_MS + int(rng.integers(8, 20)) * 3_600_000
            for step, row in enumerate(rng.choice(items, 4, p=odds)):
                deeds += _deeds(UserId(f"user{user}"), made[row].item_id, start + step * 60_000, rng)
    return Sample(items=made, deeds=tuple(sorted(deeds, key=lambda deed: deed.time_ms)))


def _item(number: int, rng: np.random.Generator) -> ItemUpdate:
    category = list(SHELVES)[number % len(SHELVES)]
    brand = BRANDS[int(rng.integers(len(BRANDS)))]
    style = STYLES[int(rng.integers(len(STYLES)))]
    return ItemUpdate(
        item_id=f"item{number}",
        title=f"{style} {rng.choice(SHELVES[category])}",
        category=category,
        brand=brand,
        price_micros=int(rng.lognormal(1.2, 0.5) * 100) * MICROS // 100,
        margin=round(float(rng.uniform(0.1, 0.5)), 2),
        time_ms=START_MS,
    )


def _deeds(user: UserId, item_id: str, time_ms: int, rng: np.random.Generator) -> list[Interaction]:
    """A click, and a purchase after every third."""
    click = Interaction(kind="click", item_id=item_id, user_id=user, time_ms=time_ms)
    if rng.random() > 1 / 3:
        return [click]
    return [click, Interaction(kind="purchase", item_id=item_id, user_id=user, time_ms=time_ms + 30_000)]


def columns(deeds: tuple[Interaction, ...], catalog: Catalog) -> Interactions:
    """The deeds as columns over the catalog's rows."""
    codes = {user: code for code, user in enumerate(dict.fromkeys(deed.user_id for deed in deeds))}
    return Interactions(
        user=np.array([codes[deed.user_id] for deed in deeds]),
        row=catalog.rows([deed.item_id for deed in deeds]),
        kind=np.array([KINDS.index(deed.kind) for deed in deeds]),
        time_ms=np.array([deed.time_ms for deed in deeds]),
    )


def world_bundle(world: Sample, *, encoder: Path | None = None) -> Bundle:
    """A bundle of the world, with every part that learns from data fitted on it.

    Args:
        encoder: folder of an exported text encoder; without one, relevance is words alone.
    """
    from dataclasses import replace

    from raysys.text.encoder import TextEncoder

    texts = None if encoder is None else TextEncoder.load(encoder)
    catalog = Catalog.of(world.items, None if texts is None else texts.encode)
    events = columns(world.deeds, catalog)
    faded = decay(events.time_ms, int(events.time_ms[-1]), 30.0)
    popularity = np.bincount(events.row, faded, minlength=len(catalog)).astype(np.float32)
    catalog = replace(catalog, popularity=popularity)
    return Bundle(
        catalog=catalog,
        policy=Policy.constant(SIGNALS, np.array([WEIGHTS.get(name, 0.0) for name in SIGNALS]), TEMPERATURE),
        signals=SignalConstants.default(),
        interest=fit_interest(events, catalog, InterestConfig()),
        relevance=RelevanceScorer.learn([catalog.text(row) for row in range(len(catalog))]),
        encoder=texts,
        classes=QueryClasses.learn(name for names in SHELVES.values() for name in names),
        settings=Settings(),
        manifest={"data": {"name": "synthetic world", "deeds": len(world.deeds)}, "metrics": {}},
    )


def main(arguments: list[str] | None = None) -> None:
    """Build, publish and print the bundle's folder."""
    parser = argparse.ArgumentParser(prog="tuning.world", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder", type=Path, help="folder of an exported text encoder")
    options = parser.parse_args(arguments)
    made = sample(users=options.users, items=options.items, seed=options.seed)
    print(publish(world_bundle(made, encoder=options.encoder), options.folder))


if __name__ == "__main__":
    main()
