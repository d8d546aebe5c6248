"""A query and a text read together by an ONNX cross-encoder: no torch, one thread, a cache in front."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.errors import BundleError, ConfigError, PartError
from raysys.text.encoder import MODEL, TOKENIZER
from raysys.text.kept import KeptVectors
from raysys.text.normalize import normalize
from raysys.text.pairs import MOST_TOKENS, joined
from raysys.types import Floats, Ints

BLEND = "blend.json"
INPUTS = {"input_ids", "attention_mask", "second"}


class Blend(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of what relevance is without a cross-encoder and of what that says, on the scale of the first."""

    plain: float = 0.0
    close: float = 1.0
    offset: float = 0.0

    def __call__(self, plain: Floats, close: Floats) -> Floats:
        """Relevance (n,) in [0, 1]."""
        return np.clip(self.plain * plain + self.close * close + self.offset, 0.0, 1.0)


class CrossEncoder:
    """Reads one pair at a time: in a batch, a number would depend on its company."""

    def __init__(self, model: bytes, tokenizer: bytes, blend: Blend | None = None) -> None:
        """`blend` says how much is made of what it says; everything if None."""
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.blend, self._files = blend or Blend(), (model, tokenizer)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_str(tokenizer.decode())
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.no_padding()
        self._inputs = [given.name for given in self._session.get_inputs()]
        if set(self._inputs) != INPUTS:
            raise ConfigError(f"the model asks for {sorted(self._inputs)}, expected {sorted(INPUTS)}")
        self._kept = KeptVectors()

    def relevance(self, query: str, texts: Sequence[str]) -> Floats:
        """Relevance (n,) in [0, 1] of texts to a query, each by itself.

        Raises:
            PartError: the model failed.
        """
        asked = normalize(query)
        return np.array([self._one(asked, normalize(text)) for text in texts])

    def cached(self, query: str, text: str) -> float | None:
        """The relevance of a pair that was read lately, at once; else None."""
        found = self._kept.get(_key(normalize(query), normalize(text)))
        return None if found is None else float(found[0])

    def of_pairs(self, queries: Sequence[str], texts: Sequence[str], query: Ints, text: Ints) -> Floats:
        """Relevance (N,) of pairs of `queries` and `texts`; see `relevance`."""
        pairs = zip(query.tolist(), text.tolist(), strict=True)
        return np.array([self.relevance(queries[q], [texts[t]])[0] for q, t in pairs])

    def _one(self, query: str, text: str) -> float:
        key = _key(query, text)
        if (found := self._kept.get(key)) is None:
            found = self._kept.put(key, np.array([self._run(query, text)]))
        return float(found[0])

    def _run(self, query: str, text: str) -> float:
        ids, second = joined(self._tokenizer.encode(query).ids, self._tokenizer.encode(text).ids)
        given = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, len(ids)), np.int64),
            "second": np.array([second], np.int64),
        }
        try:
            said = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        except Exception as error:  # ONNX Runtime has no public base class of its errors
            raise PartError("cross_encoder", f"the cross-encoder failed: {error}") from error
        return float(np.clip(np.asarray(said).reshape(-1)[0], 0.0, 1.0))

    def with_blend(self, blend: Blend) -> Self:
        """The same with another say."""
        return type(self)(*self._files, blend)

    def save(self, folder: Path) -> None:
        """Write model, tokenizer and blend into `folder`, which must not exist yet."""
        folder.mkdir(parents=True)
        for name, content in zip((MODEL, TOKENIZER), self._files, strict=True):
            (folder / name).write_bytes(content)
        (folder / BLEND).write_bytes(msgspec.json.encode(self.blend))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote.

        Raises:
            BundleError: it is not there, or no cross-encoder.
        """
        try:
            blend = msgspec.json.decode((folder / BLEND).read_bytes(), type=Blend)
            return cls((folder / MODEL).read_bytes(), (folder / TOKENIZER).read_bytes(), blend)
        except Exception as error:  # nor have ONNX Runtime and tokenizers where a file is broken
            raise BundleError(f"cross-encoder {folder}: {error}; learn it again") from error


def _key(query: str, text: str) -> str:
    """One name for a pair; normalized texts have no line breaks."""
    return f"{query}\n{text}"
