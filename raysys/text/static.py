"""Texts to vectors by adding up the vectors of their pieces: microseconds, and no order of words.

Each piece of the vocabulary is encoded once by a sentence encoder, the common component is taken out, and
frequent pieces count less (SIF, Arora, Liang and Ma 2017; the recipe of model2vec).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from raysys.errors import BundleError, ConfigError
from raysys.text.encoder import TOKENIZER, TextEncoder
from raysys.text.kept import KeptVectors
from raysys.text.normalize import normalize
from raysys.types import Floats

PIECES = "pieces.npy"
SIF = 1e-3
MOST_PIECES = 512


class Teacher(Protocol):
    """A sentence encoder that can be asked for every piece of its vocabulary."""

    @property
    def tokenizer(self) -> Any: ...
    @property
    def tokenizer_file(self) -> bytes: ...
    def of_pieces(self, ids: Iterable[int]) -> Floats: ...


class StaticEncoder:
    """A table of pieces; a text's vector is their weighted sum, of unit length."""

    def __init__(self, pieces: Floats, tokenizer: bytes) -> None:
        """`pieces` are (V, D) float16, weighted, by the token ids of `tokenizer`."""
        from tokenizers import Tokenizer

        self._pieces, self._file = pieces, tokenizer
        self._tokenizer = Tokenizer.from_str(tokenizer.decode())
        self._tokenizer.enable_truncation(MOST_PIECES)
        self._tokenizer.no_padding()
        self._kept = KeptVectors()

    @property
    def width(self) -> int:
        return int(self._pieces.shape[1])

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit rows (n, D) float32; a text without pieces gets a zero row."""
        found = np.zeros((len(texts), self.width), np.float32)
        for place, text in enumerate(texts):
            found[place] = self._vector(normalize(text))
        return found

    def cached(self, text: str) -> Floats | None:
        """The vector of a text: it takes no longer than to look it up."""
        return self._vector(normalize(text))

    def _vector(self, text: str) -> Floats:
        if (vector := self._kept.get(text)) is not None:
            return vector
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        total = self._pieces[ids].astype(np.float32).sum(axis=0)
        return self._kept.put(text, np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32))

    @classmethod
    def distilled(cls, encoder: Teacher, texts: Sequence[str]) -> Self:
        """From a sentence encoder; `texts`, such as the catalog's, tell how frequent pieces are.

        Raises:
            ConfigError: there are no texts.
        """
        if not texts:
            raise ConfigError("a static encoder needs texts to count pieces in, such as the catalog's titles")
        tokenizer = encoder.tokenizer
        size = tokenizer.get_vocab_size()
        said = tokenizer.encode_batch([normalize(text) for text in texts], add_special_tokens=False)
        counts = np.bincount(np.concatenate([np.array(one.ids, np.int64) for one in said]), minlength=size)
        pieces = encoder.of_pieces(range(size)).astype(np.float64)
        weight = SIF / (SIF + (counts + 1.0) / counts.sum())
        pieces -= np.average(pieces, axis=0, weights=counts + 1.0)
        pieces /= np.maximum(np.linalg.norm(pieces, axis=1, keepdims=True), 1e-9)
        return cls((pieces * weight[:, np.newaxis]).astype(np.float16), encoder.tokenizer_file)

    def save(self, folder: Path) -> None:
        """Write pieces and tokenizer into `folder`, which must not exist yet."""
        folder.mkdir()
        np.save(folder / PIECES, self._pieces, allow_pickle=False)
        (folder / TOKENIZER).write_bytes(self._file)

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            pieces = np.load(folder / PIECES, "r", allow_pickle=False).view(np.ndarray)
            return cls(pieces, (folder / TOKENIZER).read_bytes())
        except (OSError, ValueError) as error:
            raise BundleError(f"encoder {folder}: {error}; distil the encoder again") from error


def load_encoder(folder: Path) -> "TextEncoder | StaticEncoder":
    """The encoder in `folder`, whichever it is."""
    return StaticEncoder.load(folder) if (folder / PIECES).exists() else TextEncoder.load(folder)
