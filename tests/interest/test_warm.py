"""Beginning from an older network: what is kept, where new items stand, and what does not fit."""

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError
from raysys.interest.encoder import UserEncoder
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.questions import Questions
from raysys.interest.train import fit_network
from raysys.interest.warm import Older, begin, turned
from raysys.types import DAY_MS
from tests.fakes import encode_texts, item, shop

CONFIG = NetworkConfig(width=16, epochs=6, batch_tokens=256, dropout=0.1, learning_rate=0.01)
ITEMS, NEW = 30, 6


def circle(days: range, items: int, users: int = 24) -> Interactions:
    """Everybody takes an item a day, and the next one of a circle on the next day."""
    deeds = [((user + day) % items, user, day) for day in days for user in range(users)]
    row, user, day = (np.array(column) for column in zip(*deeds, strict=True))
    time_ms = day * DAY_MS
    return Interactions(user=user, row=row, kind=np.full(len(user), 3), time_ms=time_ms.astype(np.int64))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(ITEMS)


@pytest.fixture(scope="module")
def model(catalog: Catalog) -> InterestNetwork:
    training = fit_network(circle(range(40), ITEMS - 1), catalog, CONFIG, device="cpu")
    list(training)
    return training.model


@pytest.fixture(scope="module")
def folder(model: InterestNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_network(model, tmp_path_factory.mktemp("network") / "out")


@pytest.fixture(scope="module")
def older(folder: Path, catalog: Catalog) -> Older:
    return Older.load(folder, catalog.item_ids)


def mixed(catalog: Catalog) -> Catalog:
    """New items first, then the old ones in another order, the first three of them gone."""
    new = [item(f"n{n}", brand="acme", category="tools", price_micros=1_000_000) for n in range(NEW)]
    told = [
        item(
            name,
            title=catalog.titles[row],
            brand=catalog.brands[row],
            category=catalog.categories[row],
            price_micros=int(catalog.price_micros[row]),
        )
        for row, name in reversed(list(enumerate(catalog.item_ids)))
        if row >= 3
    ]
    return Catalog.of([*new, *told], encode_texts)


def test_begun_without_a_change_it_scores_as_the_older_one_does(
    model: InterestNetwork, older: Older, catalog: Catalog
) -> None:
    log = circle(range(40), ITEMS - 1)
    again = fit_network(log, catalog, dataclasses.replace(CONFIG, seed=5), device="cpu")
    begun = begin(again.model, older, catalog)
    assert (begun.kept, begun.told) == (ITEMS - 1, 0)
    asked = Questions.of(log, circle(range(40, 42), ITEMS - 1), CONFIG)
    again.finish()
    np.testing.assert_allclose(asked.scores(again.model), asked.scores(model), atol=1e-4)


def test_items_keep_their_vectors_wherever_they_stand_and_new_ones_stand_in_the_old_space(
    older: Older, catalog: Catalog, model: InterestNetwork
) -> None:
    grown = mixed(catalog)
    log = circle(range(40), len(grown))
    training = fit_network(log, grown, dataclasses.replace(CONFIG, seed=5), device="cpu")
    begun = begin(training.model, older, grown)
    assert (begun.kept, begun.told) == (ITEMS - 1 - 3, NEW + 1)
    vectors = training.model.identity.weight.detach().numpy()
    old = model.identity.weight.detach().numpy()
    for row in range(3, ITEMS - 1):
        np.testing.assert_array_equal(vectors[grown.index[f"i{row}"]], old[row])
    kept = np.linalg.norm(vectors[NEW + 1 :], axis=1).mean()
    assert 0.3 * kept < np.linalg.norm(vectors[:NEW], axis=1).mean() < 3.0 * kept


def test_what_is_new_alone_is_enough_to_go_on_and_nothing_is_forgotten(
    older: Older, catalog: Catalog, model: InterestNetwork
) -> None:
    """The log has three items; those that it lacks are known as before, but for the weights' decay."""
    few = circle(range(40, 50), 3)
    training = fit_network(few, catalog, dataclasses.replace(CONFIG, epochs=1), device="cpu")
    assert training.model.known.sum() == 3
    begin(training.model, older, catalog)
    list(training)
    assert training.model.known.sum() == ITEMS - 1
    table = training.model.item_vectors().detach().numpy()
    np.testing.assert_allclose(table[5], model.identity.weight.detach().numpy()[5], rtol=0.02)


def test_a_step_from_an_older_network_is_worth_many_from_scratch(older: Older, catalog: Catalog) -> None:
    log, after = circle(range(36, 40), ITEMS - 1), circle(range(40, 42), ITEMS - 1)
    short = dataclasses.replace(CONFIG, epochs=1, seed=5)
    asked = Questions.of(log, after, CONFIG)
    found = []
    for warm in (True, False):
        training = fit_network(log, catalog, short, device="cpu")
        if warm:
            begin(training.model, older, catalog)
        list(training)
        found.append(asked.ndcg(training.model)[0])
    assert found[0] > 0.9
    assert found[0] > found[1] + 0.1


def test_another_shop_shares_the_tower_and_no_identity(older: Older, catalog: Catalog) -> None:
    """The same ids mean other things there."""
    log = circle(range(40), ITEMS)
    there = [fit_network(log, catalog, CONFIG, device="cpu") for _ in range(2)]
    plain = there[1].model.identity.weight.detach().numpy()
    begun = begin(there[0].model, older, catalog, transfer=True)
    assert (begun.kept, begun.told) == (0, ITEMS)
    vectors = there[0].model.identity.weight.detach().numpy()
    # a rotation and one scale: all angles between the items are as they were
    np.testing.assert_allclose(
        np.corrcoef((vectors @ vectors.T).ravel(), (plain @ plain.T).ravel())[0, 1], 1.0, atol=1e-5
    )
    for name, value in there[0].model.user.state_dict().items():
        if not name.startswith("out.1"):
            np.testing.assert_array_equal(value.numpy(), older.user[name])


@given(seed=st.integers(0, 99), scale=st.floats(0.1, 10.0))
def test_turning_finds_a_rotation_and_a_scale_that_were_hidden(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(20, 4))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    goal = scale * vectors @ rotation
    anchors = rng.permutation(20)[:9]
    np.testing.assert_allclose(turned(vectors, anchors, goal[anchors]), goal, rtol=1e-6, atol=1e-8)


def test_without_anything_in_common_the_items_begin_by_themselves() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    none = np.zeros(0, np.int64)
    np.testing.assert_array_equal(turned(vectors, none, np.zeros((0, 3))), vectors)


def test_more_blocks_and_projections_than_the_older_one_has_begin_anew(
    older: Older, catalog: Catalog
) -> None:
    config = dataclasses.replace(CONFIG, blocks=2, ahead=2)
    training = fit_network(circle(range(9), ITEMS), catalog, config, device="cpu")
    begin(training.model, older, catalog)
    state = training.model.user.state_dict()
    name = "blocks.0.query.weight"
    np.testing.assert_array_equal(state[name].numpy(), older.user[name])
    assert torch.equal(state["out.1.weight"], torch.eye(16))


def test_a_network_of_another_width_is_refused(older: Older, catalog: Catalog) -> None:
    config = dataclasses.replace(CONFIG, width=32)
    training = fit_network(circle(range(9), ITEMS), catalog, config, device="cpu")
    with pytest.raises(ConfigError, match="width is 32, the older network has 16"):
        begin(training.model, older, catalog)


def test_a_folder_without_the_weights_or_with_other_ids_is_refused(
    folder: Path, catalog: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(BundleError, match="30 items and 2 ids"):
        Older.load(folder, catalog.item_ids[:2])
    UserEncoder.load(folder).save(tmp_path / "nameless")
    path = str(tmp_path / "nameless" / "user_encoder.onnx")
    graph = onnx.load(path)
    for array in graph.graph.initializer:
        array.name = "onnx::" + array.name
    for node in graph.graph.node:
        node.input[:] = [f"onnx::{name}" if name.startswith("model.") else name for name in node.input]
    onnx.save(graph, path)
    with pytest.raises(BundleError, match="export it again"):
        Older.load(tmp_path / "nameless", catalog.item_ids)
