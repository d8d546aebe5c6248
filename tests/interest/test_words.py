"""Items are alike that say the same rare things, and items that came later are read the same way."""

from pathlib import Path

import numpy as np
import pytest

from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.interest.words import Likeness

TITLES = ("red tea", "green tea", "red shoe", "tea", "hat")


def catalog(*titles: str) -> Catalog:
    items = [
        ItemUpdate(
            item_id=f"i{n}",
            title=title,
            brand="acme" if n % 2 else "best",
            attributes={"tags": ["a", f"t{n}"]},
        )
        for n, title in enumerate(titles)
    ]
    return Catalog.of(items)


def asked(likeness: Likeness, row: int, width: int) -> list[float]:
    return list(likeness.scores(np.array([row]), np.ones(1), width).tolist())


def test_a_likeness_is_the_cosine_of_what_two_items_say() -> None:
    tea, red = np.log(5 / 3), np.log(5 / 2)  # said by three and by two of five items
    found = asked(Likeness.learn("words", catalog(*TITLES)), 0, 5)
    norm = np.hypot(tea, red)
    assert found == pytest.approx([1.0, tea / norm, red / norm, tea / norm, 0.0], abs=1e-6)


def test_what_one_item_alone_says_makes_nothing_alike() -> None:
    assert asked(Likeness.learn("words", catalog(*TITLES)), 4, 5) == [0.0] * 5


def test_traits_are_told_apart_by_their_names() -> None:
    found = asked(Likeness.learn("traits", catalog("x", "x", "x", "x")), 0, 4)
    assert found[2] > found[1] == found[3]  # the brand is shared; a tag that everybody has says nothing
    assert found[1] == 0.0


def test_items_that_come_later_are_read_with_the_same_words() -> None:
    whole = catalog(*TITLES, "green tea")
    grown = Likeness.learn("words", catalog(*TITLES)).with_items(whole)
    assert asked(grown, 5, 6) == pytest.approx(asked(grown, 1, 6))
    assert asked(grown, 1, 6)[:5] == pytest.approx(asked(Likeness.learn("words", catalog(*TITLES)), 1, 5))


def test_a_vocabulary_survives_its_folder(tmp_path: Path) -> None:
    likeness = Likeness.learn("words", catalog(*TITLES))
    likeness.save(tmp_path)
    again = Likeness.load(tmp_path, "words").with_items(catalog(*TITLES))
    assert asked(again, 0, 5) == asked(likeness, 0, 5)


def test_an_empty_vocabulary_says_nothing() -> None:
    likeness = Likeness.learn("words", catalog("one", "two"))
    assert asked(likeness, 0, 2) == [0.0, 0.0]
