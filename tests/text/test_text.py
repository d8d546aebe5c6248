"""Texts are read alike however they are typed, and encoded alike wherever they are encoded."""

from pathlib import Path

import numpy as np
import pytest

from raysys.errors import BundleError
from raysys.text.encoder import TextEncoder
from raysys.text.keywords import QueryClasses
from raysys.text.normalize import normalize, words


def test_typing_does_not_matter() -> None:
    assert normalize("  Ｃoffee\tMUGS ") == "coffee mugs"
    assert words("Coffee-Mugs, 3/4 in. (2.5 l) glass") == ["coffee", "mug", "3/4", "in", "2.5", "l", "glass"]


def test_half_of_the_traffic_is_head_and_what_was_never_asked_is_unseen(tmp_path: Path) -> None:
    classes = QueryClasses.learn(["milk"] * 6 + ["Teas"] * 2 + ["rum", "gin"])
    expected = {"Milk": "head", "tea": "torso", "rum": "tail", "whisky": "unseen", " ": "none"}
    assert {text: classes.query_class(text) for text in expected} == expected
    classes.save(tmp_path / "classes")
    assert QueryClasses.load(tmp_path / "classes") == classes


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from raysys.text.export import export_encoder

    return export_encoder(None, tmp_path_factory.mktemp("encoder") / "int8")


def test_the_exported_encoder_agrees_with_its_model(exported: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from raysys.text.export import packaged_model

    texts = ["whole milk one gallon", "dog food", "a cat sat on the mat", "chocolate chip cookies"]
    theirs = SentenceTransformer(str(packaged_model()), device="cpu").encode(texts, normalize_embeddings=True)
    ours = TextEncoder.load(exported).encode(texts)
    assert np.sum(ours * theirs, axis=1).min() > 0.98


def test_a_vector_does_not_depend_on_its_company(exported: Path) -> None:
    together = TextEncoder.load(exported).encode(["milk", "a much longer text about cheese", ""])
    encoder = TextEncoder.load(exported)
    assert encoder.cached("milk") is None
    np.testing.assert_array_equal(encoder.encode(["Milk"])[0], together[0])
    np.testing.assert_array_equal(encoder.cached(" MILK "), together[0])
    assert not together[2].any()


def test_an_absent_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx"):
        TextEncoder.load(tmp_path)
