"""Arrays and weights in fewer bits: what is read from disk, shipped and kept for every release."""

from pathlib import Path

import numpy as np

from raysys.interest.partners import Rows
from raysys.types import Floats, Ints

VECTORS, EIGHT_BIT, SCALE = "item_vectors.npy", "item_vectors_8bit.npy", "item_vectors_scale.npy"
MANY = 1024
"""Weights of a graph that are worth narrowing, at least."""


def eight_bit(vectors: Floats) -> tuple[Ints, Floats]:
    """int8 (I, D) and a scale (I,): a number is off by half a scale at most, 1/254 of its row's largest."""
    scale = np.maximum(np.abs(vectors).max(axis=1, initial=0.0), 1e-30) / 127.0
    return np.rint(vectors / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def widened(numbers: Ints, scale: Floats) -> Floats:
    """Vectors (I, D) float32 of what `eight_bit` made."""
    return np.asarray(numbers * scale[:, None], np.float32)


def save_vectors(folder: Path, vectors: Floats, *, narrow: bool) -> None:
    """Write item vectors (I, D) as they are, or in eight bits."""
    if not narrow:
        np.save(folder / VECTORS, vectors, allow_pickle=False)
        return
    for name, array in zip((EIGHT_BIT, SCALE), eight_bit(vectors), strict=True):
        np.save(folder / name, array, allow_pickle=False)


def load_vectors(folder: Path) -> tuple[Floats, bool]:
    """What `save_vectors` wrote, and whether in eight bits; only as they are they stay on disk, mapped."""
    if (folder / EIGHT_BIT).exists():
        numbers, scale = (np.load(folder / name, allow_pickle=False) for name in (EIGHT_BIT, SCALE))
        return widened(numbers, scale), True
    return np.load(folder / VECTORS, "r", allow_pickle=False).view(np.ndarray), False


def narrow_rows(rows: Rows) -> Rows:
    """The same matrix with values of 16 bits, and columns too where they fit."""
    small = rows.column.max(initial=0) <= np.iinfo(np.uint16).max
    column = rows.column.astype(np.uint16) if small else rows.column
    return Rows(rows.start, column, rows.value.astype(np.float16))


def narrow_weights(graph: bytes) -> bytes:
    """An ONNX graph with its large matrices stored in 16 bits; a session widens them once, when it begins."""
    import onnx

    model = onnx.load_model_from_string(graph)
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if weight.data_type != onnx.TensorProto.FLOAT or values.size < MANY:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue  # it has no room in 16 bits
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), weight.name))
        wide = f"{weight.name}:wide"
        for node in model.graph.node:
            node.input[:] = [wide if name == weight.name else name for name in node.input]
        casts.append(onnx.helper.make_node("Cast", [weight.name], [wide], to=onnx.TensorProto.FLOAT))
    for place, cast in enumerate(casts):
        model.graph.node.insert(place, cast)
    return bytes(model.SerializeToString())
