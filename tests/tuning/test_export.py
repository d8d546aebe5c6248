"""What is exported is what would be served at the same moment, for everybody who may be known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from raysys.behavior.world import START_MS, World
from raysys.bundle import Bundle
from raysys.dataset.build import build
from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events
from raysys.errors import BundleError, DataError
from raysys.events import Event, Forget, Impression, Interaction, ItemUpdate, UserUpdate
from raysys.interest.encoder import UserEncoder
from raysys.interest.export import export_network
from raysys.interest.habits import Habits
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.scorer import InterestScorer
from raysys.interest.source import NetworkSource
from raysys.interest.train import fit_network
from raysys.ranker import Ranker
from raysys.state.memory import MemoryStore
from raysys.surfaces.feed import as_candidates
from raysys.surfaces.settings import Settings
from raysys.types import DAY_MS, Key, QueryId, UserId
from tests import fakes
from tuning.export import export, main
from tuning.world import world_bundle

WORLD = World(users=60, items=120)
DAYS = 30
NOW = START_MS + 24 * DAY_MS
LIKED = "item00000"
REFUSED, FORGOTTEN, HIDER = (WORLD.user_id(number) for number in (3, 4, 8))
FILTER = {"field": "brand", "op": "in", "value": ["Anchor", "Birch", "Cedar", "Dune"]}
TOP = 25


def events() -> list[Event]:
    """A month of the world, with wishes, an item sold out, one that came late and one that nobody knows."""
    strange = [
        Interaction(kind=kind, item_id=item, user_id=WORLD.user_id(user), time_ms=NOW - age * DAY_MS)
        for user in (5, 6)
        for item, kind, age in (("late", "click", 3), ("unknown", "purchase", 2))
    ]
    hides = [
        Interaction(kind="hide", item_id=WORLD.item_id(item), user_id=HIDER, time_ms=NOW - DAY_MS + item)
        for item in (0, 16, 40)
    ]
    told: list[Event] = [
        *(_asking(event) for event in WORLD.events(DAYS)),
        *strange,
        *hides,
        UserUpdate(user_id=REFUSED, consent=False, time_ms=START_MS),
        Forget(user_id=FORGOTTEN, time_ms=START_MS + 2 * DAYS * DAY_MS),
    ]
    told.sort(key=lambda event: event.time_ms or 0)
    late = ItemUpdate(item_id="late", title="green tea, late", category="shop/tea", brand="Anchor")
    return [late, ItemUpdate(item_id=WORLD.item_id(8), available=False), *told]


def _asking(event: Event) -> Event:
    """A page in answer to a query, for half of the people."""
    if isinstance(event, Impression) and event.query_id[-1] in "13579":
        return msgspec.structs.replace(event, query=f"fresh {event.item_ids[0][-1]}")
    return event


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of several files."""
    path = tmp_path_factory.mktemp("data") / "dataset"
    prepare([of_events(events())], path, file_rows=50)
    assert len(list((path / "interactions").glob("*.parquet"))) > 2
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two networks, whose feed hides what users hid and what has no brand of four."""
    folder = tmp_path_factory.mktemp("bundle")
    plain = world_bundle(WORLD, days=20)
    assert isinstance(plain.interest, InterestScorer)
    log = Interactions.of(build([of_events(events())]), plain.catalog).before(START_MS + 20 * DAY_MS)
    networks = []
    for seed in (0, 1):
        training = fit_network(log, plain.catalog, NetworkConfig(width=16, epochs=1, seed=seed))
        list(training)
        encoder = UserEncoder.load(export_network(training.model, folder / f"network-{seed}"))
        networks.append(NetworkSource.of(encoder, plain.catalog))
    network = replace(networks[0], beside=(networks[1],))
    settings = Settings.parse({"feed": {"filters": [FILTER]}})
    interest = replace(plain.interest, network=network)
    replace(plain, interest=interest, settings=settings).save(folder / "bundle")
    return folder / "bundle"


@pytest.fixture(scope="module")
def exported(bundle: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "lists"
    export(bundle, data, out, top=TOP, now_ms=NOW)
    return out


class AsOf(MemoryStore):
    """A store that answers as it would have at NOW."""

    def live(self, key: Key | None) -> Any:
        return self.as_of(key, NOW)


@pytest.fixture(scope="module")
def served(bundle: Path) -> Ranker:
    store = AsOf()
    store.append(events(), START_MS + 3 * DAYS * DAY_MS)
    return Ranker.load(bundle, store)


def lists(folder: Path) -> Mapping[str, pl.DataFrame]:
    whole = pl.read_parquet(sorted((folder / "top").glob("*.parquet")))
    return {user: part for (user,), part in whole.group_by("user", maintain_order=True)}


def answers(ranker: Ranker, user_id: str) -> tuple[list[str], np.ndarray]:
    """Items that the interest model proposes to a feed, less those the feed would not show, with odds."""
    query = fakes.ask("feed", user_id=UserId(user_id), time_ms=NOW, id=QueryId(user_id))
    asker = ranker.meet(query)
    interest, catalog, view = asker.experts.interest, asker.experts.catalog, asker.person.view
    assert interest is not None
    assert asker.state is not None
    proposed = interest.retrieve(view, len(catalog), NOW)
    candidates = as_candidates(asker.experts, proposed)
    shown = ranker._judge.pool(query, candidates, asker, engine=False).candidates.item_ids[:TOP]
    return list(shown), interest.probs(view, catalog.rows(shown), NOW)


def test_everybodys_list_is_what_the_serving_path_says_as_of_the_same_moment(
    exported: Path, served: Ranker
) -> None:
    found = lists(exported)
    assert len(found) > 40
    for key, frame in found.items():
        items, probs = answers(served, key.removeprefix("u:"))
        assert frame["item_id"].to_list() == items
        assert frame["position"].to_list() == list(range(len(items)))
        np.testing.assert_allclose(frame.select("click_prob", "purchase_prob").to_numpy(), probs, rtol=1e-5)


def test_who_refused_or_was_forgotten_never_appears(exported: Path, data: Path) -> None:
    users = pl.read_parquet(sorted((exported / "users").glob("*.parquet")))["user"].to_list()
    assert set(lists(exported)) == set(users)
    assert len(users) == len(set(users))
    assert not {f"u:{REFUSED}", f"u:{FORGOTTEN}"} & set(users)
    acted = {event.user_id for event in events() if isinstance(event, Interaction) and event.time_ms < NOW}
    assert {f"u:{user}" for user in acted} - set(users) == {f"u:{REFUSED}", f"u:{FORGOTTEN}"}


def test_nothing_sold_out_filtered_or_hidden_is_on_a_list(exported: Path) -> None:
    found = lists(exported)
    everywhere = {item for frame in found.values() for item in frame["item_id"]}
    assert WORLD.item_id(8) not in everywhere
    brands = {item.item_id: item.brand for item in WORLD.catalog()}
    assert {brands.get(item, "Anchor") for item in everywhere} == set(FILTER["value"])
    hidden = {WORLD.item_id(item) for item in (0, 16, 40)}
    assert not hidden & set(found[f"u:{HIDER}"]["item_id"])
    assert hidden & everywhere


def test_vectors_are_those_of_the_first_network_and_their_product_its_score(
    exported: Path, served: Ranker
) -> None:
    items = pl.read_parquet(exported / "items.parquet")
    assert "late" in items["item_id"].to_list()
    asker = served.meet(fakes.ask("feed", user_id=UserId(WORLD.user_id(5)), time_ms=NOW))
    assert isinstance(asker.experts.interest, InterestScorer)
    network = asker.experts.interest.network
    assert network is not None
    table = np.stack(items["vector"].to_numpy())
    np.testing.assert_allclose(table, network.vectors, atol=1e-6)
    users = pl.read_parquet(sorted((exported / "users").glob("*.parquet")))
    vector = users.filter(pl.col("user") == f"u:{WORLD.user_id(5)}")["vector"][0].to_numpy()
    habits = Habits.of(asker.state, asker.experts.catalog)
    assert -1 in habits.history_rows
    assert len(habits.queries)
    assert network.encoder.words is not None
    alone = replace(network, beside=())
    share = np.exp(table @ vector)
    np.testing.assert_allclose(alone.scores(habits, NOW), share / share.sum() * len(share), rtol=1e-3)


def test_any_number_of_shards_gives_the_same(
    exported: Path, bundle: Path, data: Path, ray_here: None, tmp_path: Path
) -> None:
    out = tmp_path / "lists"
    main(
        [
            *("--bundle", str(bundle), "--data", str(data), "--out", str(out), "--top", str(TOP)),
            *("--shards", "2", "--now-ms", str(NOW)),
        ]
    )
    files = sorted(path.relative_to(exported) for path in exported.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    for path in files:
        assert (out / path).read_bytes() == (exported / path).read_bytes()


def test_what_is_written_is_whole_or_not_there(
    bundle: Path, data: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="never overwritten"):
        export(bundle, data, exported)

    def broken(*given: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("tuning.export._vectors", broken)
    with pytest.raises(OSError, match="disk is full"):
        export(bundle, data, tmp_path / "lists")
    assert list(tmp_path.iterdir()) == []


def test_a_row_group_holds_a_chunk_of_users(
    bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Path
) -> None:
    from pyarrow.parquet import ParquetFile

    monkeypatch.setattr("tuning.export.CHUNK", 7)
    export(bundle, data, tmp_path / "lists", top=TOP, now_ms=NOW)
    groups = 0
    for path in (tmp_path / "lists" / "users").glob("*.parquet"):
        file = ParquetFile(path)
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
        assert max(sizes) <= 7
        groups += len(sizes)
    assert groups > 10
    for key, frame in lists(tmp_path / "lists").items():
        assert frame.equals(lists(exported)[key])


def test_a_bundle_without_an_interest_model_or_network(bundle: Path, data: Path, tmp_path: Path) -> None:
    whole = Bundle.load(bundle)
    assert isinstance(whole.interest, InterestScorer)
    replace(whole, interest=None).save(tmp_path / "blind")
    with pytest.raises(BundleError, match="no interest model"):
        export(tmp_path / "blind", data, tmp_path / "lists")
    replace(whole, interest=replace(whole.interest, network=None)).save(tmp_path / "plain")
    report = export(tmp_path / "plain", data, tmp_path / "lists", top=1, now_ms=NOW)
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == ["report.json", "top"]
    assert report["networks"] == 0
    assert all(len(frame) == 1 for frame in lists(tmp_path / "lists").values())
