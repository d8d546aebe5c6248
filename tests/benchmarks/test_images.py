"""The simulated shop of pictures: who takes what, and what the tower is told."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.images import CLASSES, FOLDER, TAKEN, Pictures, image_vectors, shop, shopping
from raysys.errors import DataError


def pictures(size: int, seed: int) -> Pictures:
    """Noise around one picture for each class."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, len(CLASSES), size)
    center = np.random.default_rng(9).random((len(CLASSES), 784))
    return Pictures(pixels=center[label] + 0.1 * rng.normal(size=(size, 784)), label=label)


def test_shoppers_keep_to_few_classes_and_take_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.images.SHOPPERS", 30)
    goods = pictures(600, seed=1)
    events = shopping(goods, pictures(200, seed=2), np.random.default_rng(0))
    shares = []
    for _, places in events.by_user():
        rows = events.row[places]
        assert len(rows) == TAKEN == len(np.unique(rows))
        shares.append(np.bincount(goods.label[rows]).max() / TAKEN)
    assert np.mean(shares) > 0.5  # ten classes at random would have about 0.2


def test_image_vectors_keep_the_distances_of_what_varies() -> None:
    others, shown = pictures(500, seed=3), pictures(60, seed=4)
    vectors = image_vectors(shown.pixels, others.pixels)
    far = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    same = shown.label[:, None] == shown.label
    assert far[same].max() < far[~same].min()


def test_the_tower_is_told_of_the_pictures_that_are_shown_alone() -> None:
    goods = pictures(6, seed=5)
    shown = np.arange(6) % 2 == 0
    catalog = shop(goods, np.ones((6, 4)), shown=shown, named=False)
    assert catalog.image_vectors.any(1).tolist() == shown.tolist()
    assert set(catalog.categories) == {""}
    named = shop(goods, np.ones((6, 4)), shown=np.zeros(6, np.bool_), named=True)
    assert named.image_vectors.shape == (6, 0)
    assert named.categories[3] == CLASSES[goods.label[3]]


def test_absent_pictures_are_named_with_the_package_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="install the Debian package dataset-fashion-mnist"):
        Pictures.read(tmp_path, "t10k")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_the_pictures_are_read_as_they_are() -> None:
    test = Pictures.read(FOLDER, "t10k")
    assert test.pixels.shape == (10_000, 784)
    assert np.bincount(test.label).tolist() == [1_000] * 10
    assert test.pixels.max() == 1.0
