"""The ablation: what is left out is neither seen nor recalled, and what is tried beside is what it says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import ablation, ablation_partners
from benchmarks.ablation_pages import COLUMNS, SHELF, Pages
from benchmarks.ablation_partners import als, ease
from benchmarks.ablation_parts import VARIANTS, Variant, fitted, judged, lesson_of
from benchmarks.augmentation import cropped, dropped, reordered, substitute
from benchmarks.blocks import GatedBlock, HstuBlock
from raysys.catalog import Catalog
from raysys.interest.features import SOURCES
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.partners import Rows
from raysys.interest.train import fit_network
from raysys.interest.user_tower import Block, UserTower
from raysys.types import Ints
from tests.fakes import shop

USERS, ITEMS = 60, 30


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def log(rng: np.random.Generator) -> Interactions:
    """Everybody takes some of the items of one half of the shop."""
    user = np.repeat(np.arange(USERS), 8)
    row = rng.integers(0, ITEMS // 2, len(user)) + ITEMS // 2 * (user % 2)
    order = rng.permutation(len(user))
    time_ms = np.arange(len(user)) * 1000
    return Interactions(user=user[order], row=row[order], kind=np.full(len(user), 3), time_ms=time_ms)


def rows_of(log: Interactions, user: int) -> list[int]:
    return [int(row) for row in log.row[log.user == user]]


def test_ease_is_the_closed_form(log: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation_partners, "KEPT", ITEMS - 1)
    chosen = np.zeros((USERS, ITEMS))
    chosen[log.user, log.row] = 1.0
    inverse = np.linalg.inv(chosen.T @ chosen + 3.0 * np.eye(ITEMS))
    weights = np.maximum(inverse / -np.diag(inverse), 0.0)
    np.fill_diagonal(weights, 0.0)
    scores = ease(log, ITEMS, ridge=3.0)(habits_of(log)[0], 0)
    np.testing.assert_allclose(scores, chosen[0] @ weights, atol=1e-5)


@pytest.mark.parametrize("layer", [GatedBlock, HstuBlock])
def test_a_layer_that_is_tried_sees_at_the_last_place_what_it_sees_in_the_row(layer: type[Block]) -> None:
    torch.manual_seed(0)
    tower = UserTower(8, 0, 2, 0.0)
    tower.blocks = torch.nn.ModuleList([layer(8, 2, 0.0) for _ in range(2)])
    vectors, told = torch.randn(3, 5, 8), torch.zeros(3, 5, dtype=torch.int64)
    whole = tower(vectors, told, told, torch.arange(15)).view(3, 5, 8)
    torch.testing.assert_close(tower.last(vectors, told, told), whole[:, -1])
    torch.testing.assert_close(tower.last(vectors[:, :3], told[:, :3], told[:, :3]), whole[:, 2])


def test_als_knows_which_half_of_the_shop_somebody_buys_from(log: Interactions) -> None:
    source, habits = als(log, ITEMS, width=2), habits_of(log)
    for user in range(10):
        scores = source(habits[user], 0)
        here = np.arange(ITEMS) // (ITEMS // 2) == user % 2
        assert scores[here].min() > scores[~here].max()


def test_a_crop_is_a_piece_of_every_history(log: Interactions, rng: np.random.Generator) -> None:
    part = cropped(log, rng)
    for user in range(USERS):
        whole, piece = rows_of(log, user), rows_of(part, user)
        assert 4 <= len(piece) <= 8
        assert any(whole[low : low + len(piece)] == piece for low in range(8))


def test_a_mask_leaves_the_order_and_reordering_the_items_and_the_times(
    log: Interactions, rng: np.random.Generator
) -> None:
    less, other = dropped(log, rng), reordered(log, rng)
    assert 0.6 * len(log) < len(less) < len(log)
    assert np.isin(less.time_ms, log.time_ms).all()
    np.testing.assert_array_equal(other.time_ms, log.time_ms)
    np.testing.assert_array_equal(other.user, log.user)
    moved = [rows_of(other, user) != rows_of(log, user) for user in range(USERS)]
    assert 0.2 < np.mean(moved) < 1.0
    assert all(sorted(rows_of(other, user)) == sorted(rows_of(log, user)) for user in range(USERS))


def test_a_substitute_is_an_item_that_goes_with_the_other_and_targets_stay(log: Interactions) -> None:
    catalog: Catalog = shop(ITEMS)
    config = NetworkConfig(width=8, batch_tokens=100, day_share=0.0)
    plain, changed = (fit_network(log, catalog, config, device="cpu") for _ in range(2))
    after = (np.arange(ITEMS) + 1) % ITEMS
    substitute(changed, Rows(np.arange(ITEMS + 1), after, np.ones(ITEMS)))
    share = []
    batches = zip(
        plain.log.batches(0, np.random.default_rng(0)),
        changed.log.batches(0, np.random.default_rng(0)),
        strict=False,
    )
    (one, _), (other, _) = next(batches)
    different = one.row != other.row
    share.append(different.mean())
    np.testing.assert_array_equal(other.row[different], after[one.row[different]])
    np.testing.assert_array_equal(one.goals, other.goals)
    assert 0.05 < np.mean(share) < 0.4


def pages_of(bits: Ints, done: Ints, size: int) -> Pages:
    """Pages of `size` items whose first column tells how many they are below the best."""
    count = len(bits) // size
    seen = np.zeros((len(bits), len(COLUMNS)), np.float32)
    seen[:, COLUMNS.index("network")] = np.tile(np.arange(size, 0, -1), count)
    page = np.repeat(np.arange(count), size)
    told = tuple(bits[page == number][done[page == number] == 0] for number in range(count))
    return Pages(seen=seen, bits=bits, done=done > 0, page=page, person=page, items=1000, recalled=told)


def test_what_only_a_part_that_is_left_out_recalled_is_no_candidate() -> None:
    words, network = 1 << SOURCES.index("words"), 1 << SOURCES.index("network")
    bits = np.array([network, words, 1 << SHELF, 0] * 2)
    done = np.array([0, 1, 0, 0, 0, 0, 1, 0])
    pages = pages_of(bits, done, 4)
    order = Variant(order="network")
    np.testing.assert_allclose(judged(pages, order, None), [1 / np.log2(3), 1 / np.log2(4)])
    less = Variant(order="network", less=("words",))
    np.testing.assert_allclose(judged(pages, less, None), [0.0, 1 / np.log2(3)])
    lesson = lesson_of(pages, VARIANTS["no words"], 0)
    assert lesson.done.sum() == 1
    assert lesson.seen.shape[1] == len(VARIANTS["full"].used()) - 3
    assert not {COLUMNS[n] for n in VARIANTS["no words"].used()} & {"words", "words_rank", "words_of_best"}
    assert fitted(pages, order, 0) is None


def test_the_table_pairs_every_variant_with_the_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "RESULTS", tmp_path)
    full = np.linspace(0.0, 1.0, 101)
    gains: dict[str, Any] = {"full": full, "no words": full - 0.125}
    for variant, values in gains.items():
        row = {"variant": variant, "seed": 0, "coverage": 0.5}
        ablation.keep(ablation.kept("parts", "toys", variant, 0), row, {"test": values})
    lines = ablation.table("parts", "toys")
    assert lines[-2] == "| full | 0.5000 ± 0.0290 |  | 0.5 | 1 |"
    assert lines[-1] == "| no words | 0.3750 ± 0.0290 | -0.1250 ± 0.0000 | 0.5 | 1 |"
    assert json.loads(ablation.kept("parts", "toys", "no words", 0).read_text())["variant"] == "no words"
