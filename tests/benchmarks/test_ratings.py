"""The last fifth of everybody's stars is asked for, and the simple systems are what they are called."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ratings import FILE, SIMPLE, predictions, read_ratings, split
from raysys.errors import DataError


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Sixty people give thirty items each the stars of the item, and one more if they are kind."""
    lines = [
        f"{user}\t{item}\t{1 + item % 4 + user % 2}\t{1000 * item + user}"
        for user in range(60)
        for item in range(30)
    ]
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as archive:
        archive.writestr(FILE, "\n".join([head, *lines]))
    return tmp_path / "package.whl"


def test_the_last_fifth_of_everybody_is_asked_for(wheel: Path) -> None:
    known, test = split(read_ratings(wheel))
    assert (np.bincount(known.user) == 24).all()
    assert (np.bincount(test.user) == 6).all()
    assert known.time_ms.max() < test.time_ms.min()


def test_means_are_means_and_the_head_knows_who_is_kind(wheel: Path) -> None:
    known, test = split(read_ratings(wheel))
    found = predictions(known, test)
    mean = known.stars().mean()
    np.testing.assert_allclose(found["mean"], mean)
    user = np.array([known.stars()[known.user == who].mean() for who in test.user])
    np.testing.assert_allclose(found["user mean"], user)
    np.testing.assert_allclose(found["item mean"], mean)  # nobody knows the last items
    np.testing.assert_allclose(found[SIMPLE], user)
    head = found["raysys, rating head"]
    assert head[test.user == 1].mean() > head[test.user == 0].mean() + 0.2


def test_a_package_that_is_not_here_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not here"):
        read_ratings(tmp_path / "nothing.whl")
