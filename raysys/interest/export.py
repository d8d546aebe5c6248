"""A fitted network as two ONNX files that a replica can run, and the table of identities."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from raysys.catalog import TEXT_WIDTH
from raysys.interest.cold import CHUNK
from raysys.interest.content import LEVELS, SAID
from raysys.interest.encoder import CONFIG, IDENTITY, ITEM, KNOWN, TOKEN, USER, WORDS
from raysys.interest.network import InterestNetwork

OPSET = 17


class _User(nn.Module):
    """The user tower as a function of one history."""

    def __init__(self, model: InterestNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, vectors: Tensor, kinds: Tensor, gaps: Tensor) -> Tensor:
        return self.model.last_vectors(vectors, kinds, gaps)


def export_network(model: InterestNetwork, out: Path) -> Path:
    """Write what `UserEncoder.load` reads to the new folder `out`."""
    model = model.cpu().eval()
    out.mkdir(parents=True)
    width = model.config.width
    history = (torch.zeros(1, 3, width), torch.zeros(1, 3, dtype=torch.int64))
    _to_onnx(
        _User(model).eval(),  # or the exporter would leave the towers in training mode
        {"vectors": history[0], "kinds": history[1], "gaps": history[1]},
        {1: "history"},
        out / USER,
    )
    items: dict[str, Tensor] = {
        "text": torch.zeros(2, TEXT_WIDTH),
        "category": torch.zeros(2, LEVELS, dtype=torch.int64),
        "brand": torch.zeros(2, dtype=torch.int64),
        "traits": torch.zeros(2, SAID, dtype=torch.int32),
        "words": torch.zeros(2, SAID, dtype=torch.int32),
        "log_price": torch.zeros(2),
        "identity": torch.zeros(2, width),
        "known": torch.zeros(2),
    }
    items |= {name: torch.zeros(2, getattr(model.tower.widths, name)) for name in model.tower.widths.read}
    _to_onnx(model.tower, items, {0: "items"}, out / ITEM)
    known = model.known.numpy() > 0
    shape = (len(known), width)
    identity = np.lib.format.open_memmap(out / IDENTITY, mode="w+", dtype=np.float32, shape=shape)
    for rows in np.array_split(np.flatnonzero(known), 1 + len(known) // CHUNK):
        with torch.no_grad():
            identity[rows] = model.trained_vectors(torch.from_numpy(rows)).numpy()
    identity.flush()
    np.save(out / KNOWN, known, allow_pickle=False)
    if model.words is not None and model.vocabulary is not None:
        np.save(out / TOKEN, model.vocabulary.token, allow_pickle=False)
        np.save(out / WORDS, model.words.detach().numpy(), allow_pickle=False)
    (out / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(asdict(model.config))))
    return out


def _to_onnx(module: nn.Module, inputs: dict[str, Tensor], axis: dict[int, str], path: Path) -> None:
    axes: dict[str, Any] = dict.fromkeys(inputs, axis)
    if 0 in axis:
        axes["vector"] = axis
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=["vector"],
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=False,  # weights keep their names, which `warm` reads; a session folds them
            dynamo=False,
        )
