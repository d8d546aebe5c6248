"""Texts to vectors with an ONNX sentence encoder: no torch, one thread, a cache in front."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from raysys.errors import BundleError, PartError
from raysys.text.kept import KeptVectors
from raysys.text.normalize import normalize
from raysys.types import Floats

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
MOST_TOKENS = 128


class TextEncoder:
    """Encodes one text at a time: an int8 vector would otherwise depend on its batch."""

    def __init__(self, model: bytes, tokenizer: bytes) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._files = (model, tokenizer)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_str(tokenizer.decode())
        self.tokenizer.enable_truncation(MOST_TOKENS)
        self.tokenizer.no_padding()
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._kept = KeptVectors()

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit rows (n, D) float32; a text without tokens gets a zero row.

        Raises:
            PartError: the model failed.
        """
        if not texts:
            return np.zeros((0, self.width), np.float32)
        return np.stack([self._vector(normalize(text)) for text in texts])

    def cached(self, text: str) -> Floats | None:
        """The vector of a text encoded lately, at once; else None."""
        return self._kept.get(normalize(text))

    @property
    def width(self) -> int:
        return int(self._session.get_outputs()[0].shape[-1])

    def _vector(self, text: str) -> Floats:
        vector = self._kept.get(text)
        return self._kept.put(text, self._run(text)) if vector is None else vector

    def _run(self, text: str) -> Floats:
        if not text:
            return np.zeros(self.width, np.float32)
        vector = self._of_ids(self.tokenizer.encode(text).ids)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)

    def _of_ids(self, ids: Sequence[int]) -> Floats:
        tokens = np.array([ids], np.int64)
        given: dict[str, Any] = {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }
        try:
            return np.asarray(self._session.run(None, {name: given[name] for name in self._inputs})[0][0])
        except Exception as error:  # ONNX Runtime has no public base class of its errors
            raise PartError("encoder", f"the text encoder failed: {error}") from error

    def of_pieces(self, ids: Iterable[int]) -> Floats:
        """Vectors (n, D) of single pieces of the vocabulary, each as a text of its own."""
        before, after = self.tokenizer.encode("").ids[:1], self.tokenizer.encode("").ids[1:]
        return np.stack([self._of_ids([*before, piece, *after]) for piece in ids])

    @property
    def tokenizer_file(self) -> bytes:
        """The tokenizer as it was read."""
        return self._files[1]

    def save(self, folder: Path) -> None:
        """Write model and tokenizer into `folder`, which must not exist yet."""
        folder.mkdir()
        for name, content in zip((MODEL, TOKENIZER), self._files, strict=True):
            (folder / name).write_bytes(content)

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            return cls((folder / MODEL).read_bytes(), (folder / TOKENIZER).read_bytes())
        except OSError as error:
            raise BundleError(f"encoder {folder}: {error}; export the encoder again") from error
