"""The catalog: rows never move, updates are copies, and nothing is lost on disk."""

from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog, hash_ids
from raysys.errors import BundleError
from raysys.events import ItemUpdate
from tests.fakes import encode_texts, item, shop


def test_rows_of_unknown_ids_are_minus_one() -> None:
    assert shop().rows(["i3", "nobody", "i0"]).tolist() == [3, -1, 0]


def test_an_update_changes_a_copy_and_leaves_absent_fields() -> None:
    old = shop()
    new = old.updated([ItemUpdate(item_id="i1", price_micros=5, available=False)])
    assert (new.price_micros[1], new.available[1], new.titles[1]) == (5, False, "the i1")
    assert (old.price_micros[1], old.available[1]) == (2_000_000, True)
    assert new.text_vectors is old.text_vectors


def test_a_new_item_comes_last_with_a_vector_from_its_content() -> None:
    new = shop().updated([item("fresh", brand="acme", price_micros=7, available=False)], encode_texts)
    row = int(new.rows(["fresh"])[0])
    assert row == len(shop())
    assert new.price_micros[row] == 7
    assert not new.available[row]
    np.testing.assert_allclose(new.text_vectors[row], encode_texts(["the fresh acme"])[0])
    assert new.hashes[row] == hash_ids(["fresh"])[0]


def test_a_new_item_without_a_title_is_passed_over() -> None:
    assert len(shop().updated([ItemUpdate(item_id="fresh", price_micros=1)])) == len(shop())


def test_a_new_title_gives_a_new_vector() -> None:
    new = shop().updated([item("i2", title="cheddar")], encode_texts)
    np.testing.assert_allclose(new.text_vectors[2], encode_texts([new.text(2)])[0])
    np.testing.assert_array_equal(new.text_vectors[3], shop().text_vectors[3])


def test_two_updates_of_one_new_item_become_one() -> None:
    new = shop().updated([item("fresh"), ItemUpdate(item_id="fresh", attributes={"color": "red"})])
    assert new.field(new.rows(["fresh"]), "color") == ["red"]


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    shop().save(tmp_path)
    read = Catalog.load(tmp_path)
    assert read.item_ids == shop().item_ids
    assert read.brands == shop().brands
    assert isinstance(read.text_vectors.base, np.memmap)
    np.testing.assert_array_equal(read.text_vectors, shop().text_vectors)
    assert read.updated([ItemUpdate(item_id="i1", price_micros=5)]).price_micros[1] == 5


def test_a_broken_catalog_is_a_bundle_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="build the bundle again"):
        Catalog.load(tmp_path)


def test_an_empty_catalog_knows_nothing_and_says_so() -> None:
    empty = Catalog.empty()
    rows = empty.rows(["a"])
    assert rows.tolist() == [-1]
    assert empty.field(rows, "brand") == [None]
    assert np.isnan(empty.take("margin", rows)).all()
