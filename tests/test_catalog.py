"""The catalog: rows never move, updates are copies, and nothing is lost on disk."""

from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog, hash_ids
from raysys.errors import BundleError, DataError
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


def pictured(size: int = 4) -> Catalog:
    """A shop where every second item has a picture, and the last one a sound."""
    seen = [ItemUpdate(item_id=f"i{n}", image_embedding=[float(n), 1.0]) for n in range(0, size, 2)]
    return shop(size).updated([*seen, ItemUpdate(item_id=f"i{size - 1}", audio_embedding=[0.5, 2.0, 3.0])])


def test_pictures_and_sounds_lie_beside_their_items_and_are_zero_where_there_are_none() -> None:
    catalog = pictured()
    assert catalog.image_vectors.tolist() == [[0.0, 1.0], [0.0, 0.0], [2.0, 1.0], [0.0, 0.0]]
    assert catalog.audio_vectors.tolist() == [[0.0] * 3, [0.0] * 3, [0.0] * 3, [0.5, 2.0, 3.0]]
    grown = catalog.updated([item("fresh", image_embedding=[7.0, 8.0]), item("bare")])
    assert grown.image_vectors[4:].tolist() == [[7.0, 8.0], [0.0, 0.0]]
    assert grown.audio_vectors.shape == (6, 3)
    assert catalog.updated([ItemUpdate(item_id="i0", price_micros=1)]).image_vectors is catalog.image_vectors


def test_a_new_picture_replaces_the_old_one_and_an_empty_one_removes_it() -> None:
    new = pictured().updated(
        [ItemUpdate(item_id="i0", image_embedding=[5.0, 6.0]), ItemUpdate(item_id="i2", image_embedding=[])]
    )
    assert new.image_vectors.tolist() == [[5.0, 6.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_a_shop_without_pictures_keeps_none_in_memory_and_on_disk(tmp_path: Path) -> None:
    assert shop().image_vectors.shape == (12, 0)
    shop().updated([ItemUpdate(item_id="i0", image_embedding=[])]).save(tmp_path)
    assert not list(tmp_path.glob("image*")) + list(tmp_path.glob("audio*"))
    assert Catalog.load(tmp_path).audio_vectors.shape == (12, 0)


def test_pictures_are_saved_and_loaded(tmp_path: Path) -> None:
    pictured().save(tmp_path)
    read = Catalog.load(tmp_path)
    np.testing.assert_array_equal(read.image_vectors, pictured().image_vectors)
    np.testing.assert_array_equal(read.audio_vectors, pictured().audio_vectors)


def test_a_picture_of_another_width_is_refused_and_can_be_left_out() -> None:
    wrong = [ItemUpdate(item_id="i1", image_embedding=[1.0, 2.0, 3.0], price_micros=9)]
    with pytest.raises(DataError, match=r"item i1: image_embedding has 3 numbers, .* have 2") as caught:
        pictured().updated(wrong)
    assert caught.value.field == "image_embedding"
    with pytest.raises(DataError, match=r"item b: audio_embedding has 1 numbers, .* have 2"):
        Catalog.of([item("a", audio_embedding=[1.0, 2.0]), item("b", audio_embedding=[1.0])])
    kept = pictured().updated(pictured().fitting(wrong))
    np.testing.assert_array_equal(kept.image_vectors, pictured().image_vectors)
    assert kept.price_micros[1] == 9
