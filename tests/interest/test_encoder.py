"""The exported network: equal to torch, equal online and offline, and sensible for what is new."""

import copy
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysys.catalog import TEXT_WIDTH, Catalog
from raysys.errors import BundleError, DataError
from raysys.events import KINDS, Interaction, ItemUpdate
from raysys.interest.bulk import user_vectors
from raysys.interest.content import LEVELS, Content
from raysys.interest.encoder import ITEM, UserEncoder
from raysys.interest.export import _to_onnx, export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.source import NetworkSource
from raysys.interest.train import fit_network
from raysys.state.fold import fold_all
from raysys.types import DAY_MS
from tests.fakes import encode_texts, item, shop

CONFIG = NetworkConfig(width=16, epochs=2, batch_tokens=256, dropout=0.1)
ITEMS = 30


def deeds(seed: int = 0, users: int = 8, count: int = 150) -> Interactions:
    """Random interactions of all kinds, the last two items never among them."""
    rng = np.random.default_rng(seed)
    size = users * count
    return Interactions(
        user=rng.integers(0, users, size),
        row=rng.integers(0, ITEMS - 2, size),
        kind=rng.integers(0, len(KINDS), size),
        time_ms=np.sort(rng.integers(0, 200 * DAY_MS, size)),
    )


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(ITEMS)


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> InterestNetwork:
    training = fit_network(deeds(), catalog, CONFIG, device="cpu")
    list(training)
    return training.model


@pytest.fixture(scope="module")
def folder(model: InterestNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_network(model, tmp_path_factory.mktemp("network") / "out")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> UserEncoder:
    return UserEncoder.load(folder)


def test_item_vectors_equal_those_of_torch(
    encoder: UserEncoder, model: InterestNetwork, catalog: Catalog
) -> None:
    with torch.no_grad():
        plain = model.item_vectors().numpy()
    np.testing.assert_allclose(encoder.item_vectors(catalog), plain, atol=1e-5)
    np.testing.assert_allclose(encoder.item_vectors(catalog, first=20), plain[20:], atol=1e-5)


@pytest.mark.parametrize("temperature", [None, 0.07])
def test_vectors_of_many_users_at_once_equal_those_of_the_encoder(
    catalog: Catalog, tmp_path: Path, temperature: float | None
) -> None:
    """Torch reads all histories of one length together, the encoder one at a time."""
    config = dataclasses.replace(CONFIG, temperature=temperature, epochs=1)
    training = fit_network(deeds(), catalog, config, device="cpu")
    list(training)
    mine = deeds(seed=3)
    mine = mine.where((mine.user > 3) | (mine.time_ms < 9 * DAY_MS))
    mine = dataclasses.replace(mine, row=np.where(mine.row == 5, -1, mine.row))
    users = np.array([0, 2, 3, 4, 7, 11, 40])
    now_ms = int(mine.time_ms[-1]) + np.arange(7) * 3 * DAY_MS
    found = user_vectors(training.model, mine, users, now_ms)
    encoder = UserEncoder.load(export_network(training.model, tmp_path / "out"))
    vectors = encoder.item_vectors(catalog)
    for user, now, vector in zip(users, now_ms.tolist(), found, strict=True):
        one = mine.where(mine.user == user)
        alone = encoder.user_vector(one.row, one.kind, one.time_ms, vectors, now)
        np.testing.assert_allclose(vector, alone, atol=1e-4)
    assert not found[-2:].any()
    assert np.abs(found[:-2]).max(1).min() > 0


@given(seed=st.integers(0, 1000))
def test_the_vector_of_a_live_state_is_that_of_the_same_history_in_a_log(
    encoder: UserEncoder, catalog: Catalog, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    events = deeds(seed, users=1, count=int(rng.integers(1, 160)))
    now_ms = int(events.time_ms[-1]) + int(rng.integers(0, 9 * DAY_MS))
    vectors = encoder.item_vectors(catalog)
    columns = zip(events.row.tolist(), events.kind.tolist(), events.time_ms.tolist(), strict=True)
    told = [
        (n, Interaction(kind=KINDS[kind], item_id=catalog.item_ids[row], time_ms=time_ms))
        for n, (row, kind, time_ms) in enumerate(columns)
    ]
    state = fold_all(told)
    assert state is not None
    rows = catalog.rows(state.history_items)
    online = encoder.user_vector(
        rows, np.array(state.history_kinds), np.array(state.history_ms), vectors, now_ms
    )
    offline = encoder.user_vector(events.row, events.kind, events.time_ms, vectors, now_ms)
    np.testing.assert_array_equal(online, offline)


def test_nobody_and_those_with_unknown_items_alone_have_a_zero_vector(
    encoder: UserEncoder, catalog: Catalog
) -> None:
    vectors = encoder.item_vectors(catalog)
    none = np.zeros(0, np.int64)
    assert not encoder.user_vector(none, none, none, vectors, 0).any()
    gone = np.array([-1, -1])
    assert not encoder.user_vector(gone, np.zeros(2, np.int64), np.array([1, 2]), vectors, 5).any()


def test_unknown_items_in_a_history_are_passed_over(encoder: UserEncoder, catalog: Catalog) -> None:
    vectors = encoder.item_vectors(catalog)
    kinds, times = np.array([3, 1, 3]), np.array([0, DAY_MS, 2 * DAY_MS])
    found = encoder.user_vector(np.array([4, -1, 6]), kinds, times, vectors, 3 * DAY_MS)
    alone = encoder.user_vector(np.array([4, 6]), kinds[[0, 2]], times[[0, 2]], vectors, 3 * DAY_MS)
    np.testing.assert_array_equal(found, alone)


def test_the_time_since_the_last_deed_is_seen(encoder: UserEncoder, catalog: Catalog) -> None:
    vectors = encoder.item_vectors(catalog)
    one = np.array([4]), np.array([3]), np.array([0])
    soon, late = (encoder.user_vector(*one, vectors, now) for now in (1, 90 * DAY_MS))
    assert np.abs(soon - late).max() > 1e-3


def test_a_new_item_has_the_vector_of_its_content_wherever_it_stands(
    encoder: UserEncoder, catalog: Catalog
) -> None:
    new = [
        item("n1", brand="never heard of", category="grocery/dairy", price_micros=2_000_000),
        item("n2", brand="acme", category="tools", price_micros=30_000_000),
    ]
    grown = catalog.updated(new, encode_texts)
    vectors = encoder.item_vectors(grown)
    assert vectors.shape == (ITEMS + 2, 16)
    np.testing.assert_array_equal(vectors[:ITEMS], encoder.item_vectors(catalog))
    assert np.abs(vectors[ITEMS:]).max() > 0
    turned = encoder.item_vectors(catalog.updated(new[::-1], encode_texts), first=ITEMS)
    np.testing.assert_allclose(turned, vectors[ITEMS:][::-1], atol=1e-6)


def test_an_item_in_the_catalog_that_nobody_touched_is_treated_as_a_new_one(
    encoder: UserEncoder, catalog: Catalog
) -> None:
    """Row 29 was never in the log; a twin of it, appended later, has the same content."""
    row = ITEMS - 1
    twin = item(
        "twin",
        title=catalog.titles[row],
        brand=catalog.brands[row],
        category=catalog.categories[row],
        price_micros=int(catalog.price_micros[row]),
    )
    vectors = encoder.item_vectors(catalog.updated([twin], encode_texts))
    np.testing.assert_allclose(vectors[ITEMS], vectors[row], atol=1e-6)
    assert np.abs(vectors[ITEMS] - vectors[0]).max() > 1e-3


@pytest.fixture(scope="module")
def pictured(catalog: Catalog) -> Catalog:
    """The shop, with pictures of two items out of three, of its last one too, and a few sounds."""
    rng = np.random.default_rng(0)
    seen = [
        ItemUpdate(item_id=f"i{n}", image_embedding=rng.normal(size=5).tolist())
        for n in range(ITEMS)
        if n % 3
    ]
    heard = [
        ItemUpdate(item_id=f"i{n}", audio_embedding=rng.normal(size=3).tolist()) for n in range(0, 20, 2)
    ]
    told = [ItemUpdate(item_id=f"i{n}", attributes={"color": ["red", "blue"][n % 2]}) for n in range(ITEMS)]
    return catalog.updated([*seen, *heard, *told])


@pytest.fixture(scope="module")
def seeing(pictured: Catalog) -> InterestNetwork:
    training = fit_network(deeds(), pictured, CONFIG, device="cpu")
    list(training)
    return training.model


@pytest.fixture(scope="module")
def eyes(seeing: InterestNetwork, tmp_path_factory: pytest.TempPathFactory) -> UserEncoder:
    return UserEncoder.load(export_network(seeing, tmp_path_factory.mktemp("seeing") / "out"))


def test_pictures_and_sounds_are_read_by_both_alike(
    eyes: UserEncoder, seeing: InterestNetwork, pictured: Catalog
) -> None:
    with torch.no_grad():
        plain = seeing.item_vectors().numpy()
        content = seeing.tower.vectors(Content.of(pictured)).numpy()
    np.testing.assert_allclose(eyes.item_vectors(pictured), plain, atol=1e-5)
    rows = np.array([29, 3, 0, 17])
    np.testing.assert_allclose(eyes.content_vectors(pictured, rows), content[rows], atol=1e-5)


def test_an_item_without_a_picture_has_the_vector_of_the_rest(
    eyes: UserEncoder, seeing: InterestNetwork, pictured: Catalog
) -> None:
    """Its vector is that of a tower that has never seen a picture: what is missing adds nothing at all."""
    rows = np.arange(ITEMS)
    without = eyes.content_vectors(dataclasses.replace(pictured, image_vectors=np.zeros((ITEMS, 5))), rows)
    bare = eyes.content_vectors(dataclasses.replace(pictured, image_vectors=np.zeros((ITEMS, 0))), rows)
    found = eyes.content_vectors(pictured, rows)
    np.testing.assert_array_equal(without, bare)
    np.testing.assert_array_equal(found[::3], bare[::3])
    apart = np.abs(found - bare).max(1)
    assert (apart[rows % 3 > 0] > 1e-4).all()
    blind = copy.deepcopy(seeing.tower)
    torch.nn.init.normal_(blind.get_parameter("image.weight"))
    with torch.no_grad():
        others = blind.vectors(Content.of(pictured)).numpy()
    np.testing.assert_allclose(others[::3], found[::3], atol=1e-5)


def test_a_new_item_has_a_vector_from_whatever_it_has(eyes: UserEncoder, pictured: Catalog) -> None:
    picture = pictured.image_vectors[1].tolist()
    grown = pictured.updated([item("seen", image_embedding=picture), item("unseen")])
    seen, unseen = eyes.item_vectors(grown, first=ITEMS)
    assert np.abs(seen - unseen).max() > 1e-4
    other = pictured.updated([item("unseen", attributes={"color": "red"})])
    assert np.abs(eyes.item_vectors(other, first=ITEMS)[0] - unseen).max() > 1e-4


def test_a_new_picture_moves_an_item_that_nobody_took_and_no_other(
    eyes: UserEncoder, pictured: Catalog
) -> None:
    """Row 29 was never in the log; row 1 was, and keeps what the network learned of it."""
    source = NetworkSource.of(eyes, pictured)
    new = [ItemUpdate(item_id=name, image_embedding=[9.0] * 5) for name in ("i1", "i29")]
    changed = pictured.updated([*new, item("fresh", image_embedding=[9.0] * 5)])
    found = source.with_items(changed, changed.rows(["i1", "i29", "fresh", "nobody"])).vectors
    np.testing.assert_array_equal(found[:29], source.vectors[:29])
    assert np.abs(found[29] - source.vectors[29]).max() > 1e-4
    np.testing.assert_allclose(found, eyes.item_vectors(changed), atol=1e-6)
    assert source.with_items(pictured, np.array([1])) is source


def test_pictures_of_another_model_are_refused(eyes: UserEncoder, pictured: Catalog) -> None:
    other = dataclasses.replace(pictured, image_vectors=np.ones((ITEMS, 4)))
    with pytest.raises(DataError, match="image vectors have 4 numbers, the network was fitted on 5"):
        eyes.item_vectors(other)


class FewerColumns(torch.nn.Module):
    """An item tower as it was exported before attributes, words and pictures were read."""

    def forward(
        self,
        text: torch.Tensor,
        category: torch.Tensor,
        brand: torch.Tensor,
        log_price: torch.Tensor,
        identity: torch.Tensor,
        known: torch.Tensor,
    ) -> torch.Tensor:
        told = text[:, :16] + category.sum(1)[:, None] + brand[:, None] + log_price[:, None]
        return torch.where(known[:, None] > 0, identity, told)


def test_a_tower_that_reads_fewer_columns_is_read_all_the_same(
    folder: Path, catalog: Catalog, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "old")
    columns = {
        "text": torch.zeros(2, TEXT_WIDTH),
        "category": torch.zeros(2, LEVELS, dtype=torch.int64),
        "brand": torch.zeros(2, dtype=torch.int64),
        "log_price": torch.zeros(2),
        "identity": torch.zeros(2, 16),
        "known": torch.zeros(2),
    }
    _to_onnx(FewerColumns(), columns, {0: "items"}, tmp_path / "old" / ITEM)
    old = UserEncoder.load(tmp_path / "old")
    found = old.item_vectors(catalog)
    np.testing.assert_array_equal(found[old.known], old.identity[old.known])
    new = Content.of(catalog, first=29)
    told = new.text[:, :16] + new.category.sum() + new.brand[0] + new.log_price[0]
    np.testing.assert_allclose(found[29:], told, rtol=1e-5)


def test_a_shop_without_pictures_has_a_tower_that_reads_none(encoder: UserEncoder, pictured: Catalog) -> None:
    names = {told.name for told in encoder._item.get_inputs()}
    assert not names & {"image", "audio"}
    plain = dataclasses.replace(pictured, image_vectors=np.zeros((ITEMS, 0)))
    np.testing.assert_array_equal(encoder.item_vectors(pictured), encoder.item_vectors(plain))


def test_a_network_without_text_ignores_text(catalog: Catalog, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, text=False, epochs=1)
    training = fit_network(deeds(), catalog, config, device="cpu")
    list(training)
    blind = UserEncoder.load(export_network(training.model, tmp_path / "out"))
    other = catalog.with_vectors({row: encode_texts([str(row)])[0] for row in range(ITEMS)})
    np.testing.assert_array_equal(blind.item_vectors(other), blind.item_vectors(catalog))


def test_saving_and_loading_change_nothing(
    encoder: UserEncoder, folder: Path, catalog: Catalog, tmp_path: Path
) -> None:
    encoder.save(tmp_path / "again")
    for path in sorted(folder.iterdir()):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    again = UserEncoder.load(tmp_path / "again")
    np.testing.assert_array_equal(again.item_vectors(catalog), encoder.item_vectors(catalog))


def test_exporting_leaves_the_network_in_evaluation_mode(model: InterestNetwork, folder: Path) -> None:
    assert folder.exists()
    assert not any(module.training for module in model.modules())


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="export it again"):
        UserEncoder.load(tmp_path)


def test_serving_a_network_needs_no_training_stack(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from raysys.interest.encoder import UserEncoder;"
        f"UserEncoder.load(Path({str(folder)!r}));"
        "print({'torch', 'polars', 'lightgbm', 'scipy', 'ray'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
