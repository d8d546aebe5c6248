"""The last step of the interest model, one for each kind: features in, calibrated log odds out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from raysys.errors import BundleError, PartError
from raysys.types import Floats


class Combination(Protocol):
    """Turns features (C, Fi) into log odds (C,), each row by itself."""

    def log_odds(self, seen: Floats) -> Floats: ...
    def on_line(self, slope: float, offset: float) -> "Combination": ...
    def save(self, folder: Path, name: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """A weighted sum of standardized features: steady where there is little data."""

    center: Floats
    scale: Floats
    """(Fi,) what features are standardized with."""
    weights: Floats
    """(Fi + 1,), the intercept last."""

    def log_odds(self, seen: Floats) -> Floats:
        unit = (seen - self.center) / self.scale
        # a sum for each row by itself: a product of matrices may round a row by how many there are
        return np.asarray((unit * self.weights[:-1]).sum(axis=1) + self.weights[-1])

    def on_line(self, slope: float, offset: float) -> "Logistic":
        """One whose log odds are those of this one times `slope`, plus `offset`."""
        weights = slope * self.weights
        return replace(self, weights=np.append(weights[:-1], weights[-1] + offset))

    def save(self, folder: Path, name: str) -> None:
        table = np.stack([np.append(self.center, 0.0), np.append(self.scale, 1.0), self.weights])
        np.save(folder / f"{name}.logistic.npy", table, allow_pickle=False)


class Trees:
    """Gradient-boosted trees as ONNX, with the line (slope, offset) that makes their sum log odds."""

    def __init__(self, model: bytes, line: Floats) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._model, self.line = model, np.asarray(line, np.float64)

    def log_odds(self, seen: Floats) -> Floats:
        """Log odds (C,) of features (C, Fi).

        Raises:
            PartError: the runtime failed.
        """
        if not len(seen):
            return np.zeros(0)
        try:
            found = self._session.run(None, {self._input: np.asarray(seen, np.float32)})[0]
        except Exception as error:  # ONNX Runtime has no base class of its own
            raise PartError("interest", f"the trees failed: {error}") from error
        slope, offset = self.line.tolist()
        return np.asarray(np.asarray(found, np.float64).reshape(-1) * slope + offset)

    def on_line(self, slope: float, offset: float) -> "Trees":
        """As `Logistic.on_line`."""
        return Trees(self._model, slope * self.line + np.array([0.0, offset]))

    def save(self, folder: Path, name: str) -> None:
        (folder / f"{name}.trees.onnx").write_bytes(self._model)
        np.save(folder / f"{name}.line.npy", self.line, allow_pickle=False)


@dataclass(frozen=True, slots=True)
class Average:
    """Several combinations whose log odds are averaged: steadier where answers are few."""

    parts: tuple[Combination, ...]

    def log_odds(self, seen: Floats) -> Floats:
        """Raises what its parts raise."""
        total = np.zeros(len(seen))
        for part in self.parts:
            total += part.log_odds(seen)
        return total / len(self.parts)

    def on_line(self, slope: float, offset: float) -> "Average":
        """As `Logistic.on_line`."""
        return Average(tuple(part.on_line(slope, offset) for part in self.parts))

    def save(self, folder: Path, name: str) -> None:
        (folder / f"{name}.average").write_text(str(len(self.parts)))
        for number, part in enumerate(self.parts):
            part.save(folder, f"{name}.{number}")


def load_combination(folder: Path, name: str) -> Combination:
    """What `save` wrote under `name`, whichever it was."""
    if (path := folder / f"{name}.average").exists():
        return Average(
            tuple(load_combination(folder, f"{name}.{part}") for part in range(int(path.read_text())))
        )
    if (path := folder / f"{name}.trees.onnx").exists():
        return Trees(path.read_bytes(), np.load(folder / f"{name}.line.npy", allow_pickle=False))
    if not (path := folder / f"{name}.logistic.npy").exists():
        raise BundleError(f"{folder}: no combination for {name!r}; fit the interest model again")
    center, scale, weights = np.load(path, allow_pickle=False)
    return Logistic(center=center[:-1], scale=scale[:-1], weights=weights)
