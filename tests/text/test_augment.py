"""Other words for the same: some left out, some said otherwise, never all of them gone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysys.errors import ConfigError
from raysys.text.augment import Augmenter

SOFAS = (("sofa", "couch", "settee"), ("power drill", "drill"))


def ways(augmenter: Augmenter, text: str) -> set[str]:
    return {augmenter(text, np.random.default_rng(seed)) for seed in range(200)}


def test_a_phrase_is_said_by_another_of_its_group() -> None:
    said = ways(Augmenter(replaced=0.5, synonyms=SOFAS), "Red Couch")
    assert said == {"red couch", "red sofa", "red settee"}
    assert ways(Augmenter(replaced=0.9, synonyms=SOFAS), "power drill bit") == {
        "power drill bit",
        "drill bit",
    }


@given(st.lists(st.sampled_from(["red", "sofa", "of", "drill"]), min_size=1, max_size=6), st.integers(0, 99))
def test_words_go_but_never_all(words: list[str], seed: int) -> None:
    said = Augmenter(dropped=0.9)(" ".join(words), np.random.default_rng(seed)).split()
    assert said
    left = iter(words)
    assert all(word in left for word in said)  # in their order


def test_plurals_have_synonyms_too_and_so_do_words_without_spaces_between_them() -> None:
    assert ways(Augmenter(replaced=0.5, synonyms=SOFAS), "red couches") == {
        "red couches", "red sofa", "red settee",
    }  # fmt: skip
    groups = (("沙发", "长椅", "sofa"),)
    assert ways(Augmenter(replaced=0.5, synonyms=groups), "红沙发 大") == {
        "红沙发 大",
        "红长椅 大",
        "红sofa 大",
    }
    assert ways(Augmenter(dropped=0.5), "红茶 x") == {"红茶 x", "红 x", "茶 x", "红茶", "红", "茶", "x"}


def test_without_chances_nothing_changes() -> None:
    assert not Augmenter()
    assert Augmenter()("As It Is", np.random.default_rng(0)) == "As It Is"
    assert Augmenter(dropped=0.5)("", np.random.default_rng(0)) == ""


def test_mistakes_are_told() -> None:
    with pytest.raises(ConfigError, match="dropped is 1"):
        Augmenter(dropped=1.0)
    with pytest.raises(ConfigError, match="there are no synonyms"):
        Augmenter(replaced=0.1)
