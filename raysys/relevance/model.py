"""From features to relevance: a fixed mix where nothing was judged, and boosted trees where something was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec
import numpy as np

from raysys.errors import BundleError, ConfigError, PartError
from raysys.relevance.features import ALL, NAMES
from raysys.types import Floats

MEANING = NAMES.index("meaning")
ZERO_DATA: Mapping[str, float] = {"meaning": 0.6, "letters": 0.25, "bm25f": 0.1, "sizes_agree": 0.05}
"""Chosen by hand on Home Depot, where all weights near them do about as well (`make bench-search`)."""
MODEL = "model.json"


class Model(Protocol):
    """Relevance (C,) in [0, 1] from features (C, len(NAMES)), each row by itself; meaning may be NaN."""

    @property
    def reads(self) -> frozenset[str]: ...
    def relevance(self, features: Floats) -> Floats: ...
    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Mix:
    """A weighted mean of features that lie in [0, 1]; without a vector, of the others."""

    weights: Mapping[str, float] = field(default_factory=lambda: ZERO_DATA)

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.weights) - set(NAMES)):
            raise ConfigError(f"relevance has no feature {unknown[0]!r}; it has {', '.join(NAMES)}")
        known = all(0.0 <= weight < np.inf for weight in self.weights.values())
        if not known or not any(self.weights[name] for name in set(self.weights) - {"meaning"}):
            raise ConfigError("a mix needs finite weights of at least 0, one above it for words")

    @property
    def reads(self) -> frozenset[str]:
        """Names of the features that count."""
        return frozenset(self.weights)

    def relevance(self, features: Floats) -> Floats:
        """Sums run feature by feature, so that a row rounds alike in any company."""
        total, weight = np.zeros(len(features)), np.zeros(len(features))
        for name, share in self.weights.items():
            column = features[:, NAMES.index(name)].astype(np.float64)
            known = np.isfinite(column)
            total += share * np.where(known, column, 0.0)
            weight += share * known
        return np.clip(total / np.maximum(weight, 1e-9), 0.0, 1.0)

    def save(self, folder: Path) -> None:
        (folder / MODEL).write_bytes(msgspec.json.encode({"mix": dict(self.weights)}))


class Trees:
    """The mean of several LightGBM models as ONNX, each with the line that makes its sum a relevance."""

    def __init__(self, models: Sequence[bytes], lines: Sequence[tuple[float, float]]) -> None:
        """`lines` are (slope, offset), one for each model."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._models, self._lines = tuple(models), tuple(lines)
        self._sessions = [
            onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            for model in self._models
        ]

    def relevance(self, features: Floats) -> Floats:
        """Relevance (C,).

        Raises:
            PartError: the runtime failed.
        """
        total = np.zeros(len(features))
        if not len(features):
            return total
        given = np.ascontiguousarray(features, np.float32)
        for session, (slope, offset) in zip(self._sessions, self._lines, strict=True):
            try:
                found = session.run(None, {session.get_inputs()[0].name: given})[0]
            except Exception as error:  # ONNX Runtime has no base class of its own
                raise PartError("relevance", f"the trees failed: {error}") from error
            total += np.asarray(found, np.float64).reshape(-1) * slope + offset
        return np.clip(total / len(self._sessions), 0.0, 1.0)

    def save(self, folder: Path) -> None:
        for number, model in enumerate(self._models):
            (folder / f"{number}.onnx").write_bytes(model)
        (folder / "lines.json").write_bytes(msgspec.json.encode(self._lines))

    @classmethod
    def load(cls, folder: Path) -> Self:
        lines = msgspec.json.decode((folder / "lines.json").read_bytes(), type=list[tuple[float, float]])
        return cls([(folder / f"{number}.onnx").read_bytes() for number in range(len(lines))], lines)


@dataclass(frozen=True, slots=True)
class Learned:
    """Trees that know the meaning, and others for documents or queries without a vector."""

    whole: Trees
    words: Trees

    @property
    def reads(self) -> frozenset[str]:
        """Names of the features that count."""
        return ALL

    def relevance(self, features: Floats) -> Floats:
        """Raises what its trees raise."""
        known = np.isfinite(features[:, MEANING])
        if known.all():
            return self.whole.relevance(features)
        found = self.words.relevance(without_meaning(features))
        if known.any():
            found[known] = self.whole.relevance(features[known])
        return found

    def save(self, folder: Path) -> None:
        for name, trees in (("whole", self.whole), ("words", self.words)):
            (folder / name).mkdir()
            trees.save(folder / name)
        (folder / MODEL).write_bytes(msgspec.json.encode({"features": NAMES}))


def without_meaning(features: Floats) -> Floats:
    """(C, len(NAMES) - 1)"""
    return np.delete(features, MEANING, axis=1)


def load_model(folder: Path) -> Model:
    """What `save` wrote, whichever it was."""
    told: dict[str, Any] = msgspec.json.decode((folder / MODEL).read_bytes())
    if "mix" in told:
        return Mix(told["mix"])
    if tuple(told["features"]) != NAMES:
        raise BundleError(
            f"{folder}: its trees read the features {told['features']}, this raysys has {list(NAMES)};"
            " fit relevance again"
        )
    return Learned(Trees.load(folder / "whole"), Trees.load(folder / "words"))
