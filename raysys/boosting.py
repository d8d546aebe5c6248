"""Boosted trees as what a replica runs: it has ONNX Runtime, and no LightGBM."""

from typing import Any

PLAIN = "objective=regression"
AS_A_SUM = (
    ("objective=binary sigmoid:1", PLAIN),
    ("[objective: binary]", "[objective: regression]"),
    ("objective=lambdarank", PLAIN),
)
"""The converter knows no ranking, and adds a sigmoid and labels to a classifier: told to be a
regression, it does neither."""


def onnx_of(booster: Any) -> bytes:
    """A LightGBM model's raw sum, of its best rounds if it was stopped early, as an ONNX graph over
    float32 features."""
    import lightgbm
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    text = booster.model_to_string(num_iteration=booster.best_iteration or None)
    for told, plain in AS_A_SUM:
        text = text.replace(told, plain)
    model = lightgbm.Booster(model_str=text)
    wide = FloatTensorType([None, model.num_feature()])
    graph = convert_lightgbm(model, initial_types=[("features", wide)], target_opset=15)
    return bytes(graph.SerializeToString())
