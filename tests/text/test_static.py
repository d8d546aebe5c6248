"""A static encoder adds up pieces: in microseconds, whatever the order of words."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from raysys.errors import BundleError, ConfigError
from raysys.text.static import StaticEncoder, load_encoder

WORDS = ["[UNK]", "milk", "tea", "of"]


class Letters:
    """Stands in for a sentence encoder: piece n points along axis n."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
        self.tokenizer.pre_tokenizer = Whitespace()

    @property
    def tokenizer_file(self) -> bytes:
        return bytes(self.tokenizer.to_str().encode())

    def of_pieces(self, ids: range) -> np.ndarray:  # type: ignore[type-arg]
        return np.eye(len(WORDS), dtype=np.float32)[list(ids)] * 10


@pytest.fixture
def encoder() -> StaticEncoder:
    texts = ["milk of tea", "tea of milk", "of", "of", "of"]
    return StaticEncoder.distilled(Letters(), texts)  # type: ignore[arg-type]


def test_the_order_of_words_does_not_matter_and_frequent_ones_count_less(encoder: StaticEncoder) -> None:
    found = encoder.encode(["milk of tea", "Tea of Milk", "milk", "milk of", "", "of"])
    np.testing.assert_allclose(found[0], found[1])
    assert found[3] @ found[2] > found[3] @ found[5]
    assert not found[4].any()
    np.testing.assert_allclose(np.linalg.norm(found[:4], axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(encoder.cached("MILK"), found[2])


def test_it_comes_back_from_its_folder(encoder: StaticEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "static")
    loaded = load_encoder(tmp_path / "static")
    assert isinstance(loaded, StaticEncoder)
    np.testing.assert_array_equal(loaded.encode(["milk tea"]), encoder.encode(["milk tea"]))
    with pytest.raises(BundleError, match="distil the encoder again"):
        StaticEncoder.load(tmp_path)
    with pytest.raises(ConfigError, match="needs texts"):
        StaticEncoder.distilled(Letters(), [])  # type: ignore[arg-type]
