"""Numbers in fewer bits stay near what they were, and what is stored once is read as if it were twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from raysys.catalog import Catalog
from raysys.interest.encoder import IDENTITY, UserEncoder
from raysys.interest.export import export_network
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.narrow import eight_bit, narrow_rows, narrow_weights, widened
from raysys.interest.network import NetworkConfig
from raysys.interest.partners import Following, co_visits
from raysys.interest.source import NetworkSource
from raysys.interest.train import fit_network
from raysys.interest.warm import Older
from raysys.types import DAY_MS, Floats
from tests.fakes import shop

ITEMS, USERS, NOW = 20, 10, 30 * DAY_MS


@pytest.fixture(scope="module")
def log() -> Interactions:
    """Everybody walks along the shelf."""
    user, step = np.divmod(np.arange(USERS * 12), 12)
    order = np.argsort(step, kind="stable")
    row = (user + step) % (ITEMS - 2)
    times = step * DAY_MS + user
    return Interactions(user=user[order], row=row[order], kind=np.zeros_like(user), time_ms=times[order])


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return shop(ITEMS)


@pytest.fixture(scope="module")
def source(log: Interactions, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> NetworkSource:
    """An average of two networks."""
    parts = []
    for width in (16, 8):
        training = fit_network(log, catalog, NetworkConfig(width=width, epochs=1), device="cpu")
        list(training)
        folder = export_network(training.model, tmp_path_factory.mktemp("network") / str(width))
        parts.append(NetworkSource.of(UserEncoder.load(folder), catalog))
    return replace(parts[0], beside=(parts[1],))


@given(seed=st.integers(0, 99), size=st.floats(1e-6, 1e6))
def test_a_number_of_eight_bits_is_off_by_half_a_step_of_its_row_at_most(seed: int, size: float) -> None:
    vectors = np.random.default_rng(seed).normal(size=(5, 7)) * size
    vectors[2] = 0.0
    step = np.abs(vectors).max(axis=1, keepdims=True) / 127
    assert (np.abs(widened(*eight_bit(vectors)) - vectors) <= 0.501 * step).all()


def test_what_was_rounded_once_is_not_rounded_again() -> None:
    once = widened(*eight_bit(np.random.default_rng(3).normal(size=(50, 9))))
    np.testing.assert_allclose(widened(*eight_bit(once)), once, rtol=1e-6)


def test_a_narrow_matrix_answers_nearly_as_it_did_in_half_the_bytes(log: Interactions) -> None:
    rows = co_visits(log, ITEMS, Following())
    narrow = narrow_rows(rows)
    asked, weights = np.array([3, 7]), np.array([1.0, 0.5])
    np.testing.assert_allclose(
        narrow.weighted(asked, weights, ITEMS), rows.weighted(asked, weights, ITEMS), rtol=1e-3
    )
    assert 2 * (narrow.column.nbytes + narrow.value.nbytes) == rows.column.nbytes + rows.value.nbytes


def test_a_network_without_a_file_of_identities_still_tells_them(
    source: NetworkSource, catalog: Catalog, tmp_path: Path
) -> None:
    source.save(tmp_path / "network")
    assert not list(tmp_path.rglob(IDENTITY))
    again = NetworkSource.load(tmp_path / "network")
    np.testing.assert_array_equal(again.encoder.item_vectors(catalog), source.vectors)
    older = Older.load(tmp_path / "network", catalog.item_ids)
    known = source.encoder.known
    np.testing.assert_array_equal(older.identity[known], source.encoder.identity[known])


def test_narrow_networks_score_nearly_alike_and_survive_saving(
    source: NetworkSource, catalog: Catalog, log: Interactions, tmp_path: Path
) -> None:
    habits = habits_of(log)[0]
    narrow = source.narrow()
    np.testing.assert_allclose(narrow.scores(habits, NOW), source.scores(habits, NOW), rtol=0.03)
    narrow.save(tmp_path / "narrow")
    source.save(tmp_path / "wide")
    again = NetworkSource.load(tmp_path / "narrow")
    np.testing.assert_allclose(again.scores(habits, NOW), narrow.scores(habits, NOW), rtol=1e-4)
    assert _bytes(tmp_path / "narrow") < 0.7 * _bytes(tmp_path / "wide")


def test_a_matrix_with_a_number_too_large_for_16_bits_stays_as_it_is() -> None:
    fine, huge = np.full((2, 32, 32), 0.1, np.float32)
    huge[0, 0] = 1e6
    nodes = [
        helper.make_node("MatMul", ["x", "fine"], ["y"]),
        helper.make_node("MatMul", ["y", "huge"], ["z"]),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 32])] for name in "xz"]
    weights = [numpy_helper.from_array(fine, "fine"), numpy_helper.from_array(huge, "huge")]
    graph = helper.make_model(helper.make_graph(nodes, "g", *ends, initializer=weights))
    narrow = load_model_from_string(narrow_weights(graph.SerializeToString()))
    assert {one.name: one.data_type for one in narrow.graph.initializer} == {
        "fine": TensorProto.FLOAT16,
        "huge": TensorProto.FLOAT,
    }


def test_new_items_join_a_narrow_network(source: NetworkSource, tmp_path: Path) -> None:
    wider = shop(ITEMS + 3)
    fresh: Floats = source.with_items(wider).vectors[ITEMS:]
    source.narrow().save(tmp_path / "narrow")
    found = NetworkSource.load(tmp_path / "narrow").with_items(wider).vectors[ITEMS:]
    np.testing.assert_allclose(found, fresh, atol=0.01 * np.abs(fresh).max())


def test_one_can_go_on_from_a_narrow_network(source: NetworkSource, catalog: Catalog, tmp_path: Path) -> None:
    source.narrow().save(tmp_path / "narrow")
    older = Older.load(tmp_path / "narrow", catalog.item_ids)
    known, step = source.encoder.known, np.abs(source.vectors).max() / 127
    np.testing.assert_allclose(older.identity[known], source.vectors[known], atol=0.51 * step)
    assert older.user["out.0.weight"].shape == (16, 16)


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
