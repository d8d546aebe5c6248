"""A complete bundle of the synthetic world in seconds: for tests and a first look, never a result."""

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.behavior.world import CATEGORIES, World
from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.events import KINDS, Event, Interaction
from raysys.interest.fit import InterestConfig, fit_interest
from raysys.interest.interactions import Interactions, popularity
from raysys.policy.scorer import Policy
from raysys.relevance.scorer import RelevanceScorer
from raysys.signals import SIGNALS
from raysys.text.keywords import QueryClasses
from raysys.text.static import load_encoder

DAYS = 60
WEIGHTS = {
    "engine": 1.0,
    "relevance": 0.6,
    "interest": 1.0,
    "repeat": 0.3,
    "popularity": 0.2,
    "ad_value": 1.0,
}
"""Chosen by hand: in this bundle the interest model is learned, the policy is not."""
TEMPERATURE = 0.1


def columns(events: Iterable[Event], catalog: Catalog) -> Interactions:
    """What users did to items of the catalog, as columns in order of time."""
    deeds = sorted(
        (event for event in events if isinstance(event, Interaction)), key=lambda event: event.time_ms
    )
    codes = {user: code for code, user in enumerate(dict.fromkeys(deed.user_id for deed in deeds))}
    return Interactions(
        user=np.array([codes[deed.user_id] for deed in deeds], np.int64),
        row=catalog.rows([deed.item_id for deed in deeds]),
        kind=np.array([KINDS.index(deed.kind) for deed in deeds], np.int64),
        time_ms=np.array([deed.time_ms for deed in deeds], np.int64),
    )


def world_bundle(world: World, *, days: int = DAYS, encoder: Path | None = None) -> Bundle:
    """A bundle learned from `days` of the world.

    Args:
        encoder: folder of an exported text encoder; without one, relevance is words alone.
    """
    texts = None if encoder is None else load_encoder(encoder)
    catalog = Catalog.of(world.catalog(), None if texts is None else texts.encode)
    events = columns(world.events(days), catalog)
    config = InterestConfig()
    end = int(events.time_ms[-1]) + 1
    catalog = replace(catalog, popularity=popularity(events, len(catalog), end, config.half_life_days))
    weights = np.array([WEIGHTS.get(name, 0.0) for name in SIGNALS])
    return Bundle(
        catalog=catalog,
        policy=Policy.constant(SIGNALS, weights, TEMPERATURE),
        interest=fit_interest(events, catalog, config).scorer,
        relevance=RelevanceScorer.of_catalog(catalog),
        encoder=texts,
        classes=QueryClasses.learn(CATEGORIES),
        manifest={"data": {"name": "synthetic world", "interactions": len(events)}},
    )


def main(arguments: list[str] | None = None) -> None:
    """Build a bundle and write it to the folder named."""
    parser = argparse.ArgumentParser(prog="python -m tuning.world", description=__doc__)
    parser.add_argument("path", type=Path, help="the bundle's folder, which must not exist yet")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder", type=Path, help="folder of an exported text encoder")
    options = parser.parse_args(arguments)
    world = World(seed=options.seed, users=options.users, items=options.items)
    saved = world_bundle(world, encoder=options.encoder).save(options.path)
    print(f"{options.path}: bundle {saved.id} of a synthetic world, {len(saved.catalog)} items")


if __name__ == "__main__":
    main()
