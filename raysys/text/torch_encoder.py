"""A sentence encoder while it is torch: vectors with gradients, which layers learn, the mean of several."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from raysys.errors import ConfigError, DataError
from raysys.text.normalize import normalize
from raysys.types import Floats

CHUNK = 32
"""Texts of about one length that are encoded together."""
MANY = 1_000
"""Texts that are brought in order of their lengths."""
MOST_TOKENS = 64
"""In training; titles are shorter."""


def learning_parts(encoder: Any, layers: int) -> dict[str, torch.nn.Parameter]:
    """The parameters of the upper layers and of what follows the body; the others stand still."""
    encoder.requires_grad_(False)
    for block in list(stack_of(encoder))[-layers:]:
        block.requires_grad_(True)
    for module in list(encoder)[1:]:
        module.requires_grad_(True)
    return {name: part for name, part in encoder.named_parameters() if part.requires_grad}


def stack_of(network: torch.nn.Module) -> torch.nn.ModuleList:
    """The layers of a transformer, the lowest first.

    Raises:
        ConfigError: it has none.
    """
    blocks = [
        module for module in network.modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) > 1
    ]  # fmt: skip
    if not blocks:
        raise ConfigError("the encoder has no stack of layers; take a transformer")
    return max(blocks, key=lambda block: sum(part.numel() for part in block.parameters()))


def embedded(encoder: Any, texts: Sequence[str], *, exact: bool = False) -> torch.Tensor:
    """Vectors (n, D) of texts with their gradients, float32; `exact` never computes them in bfloat16."""
    tokenizer = encoder.tokenizer.backend_tokenizer
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS)
    ids = [found.ids for found in tokenizer.encode_batch([normalize(text) for text in texts])]
    return of_ids(encoder, ids, exact=exact)


def of_ids(encoder: Any, ids: Sequence[Sequence[int]], *, exact: bool = False) -> torch.Tensor:
    """Vectors (n, D) of token ids, float32; those of about one length are encoded together."""
    device = encoder.device
    order = np.argsort([len(row) for row in ids], kind="stable")
    parts = []
    for chunk in np.array_split(order, max(-(-len(order) // CHUNK), 1)):
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(ids[place]) for place in chunk], batch_first=True
        )
        lengths = torch.tensor([len(ids[place]) for place in chunk])
        mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).to(torch.int64)
        with torch.autocast(device.type, torch.bfloat16, enabled=not exact and is_bf16_fast(device)):
            found = encoder({"input_ids": tokens.to(device), "attention_mask": mask.to(device)})
        parts.append(found["sentence_embedding"].float())
    return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(device)]


def vectors(encoder: Any, texts: Sequence[str], *, exact: bool = False) -> Floats:
    """Unit rows (n, D) float32 of texts, without dropout; see `embedded`."""
    encoder.eval()
    starts = range(0, len(texts), MANY)
    with torch.no_grad():
        parts = [embedded(encoder, texts[first : first + MANY], exact=exact) for first in starts]
    return np.asarray(torch.nn.functional.normalize(torch.cat(parts)).cpu().numpy(), np.float32)


class Pieces:
    """What a static encoder is distilled from: many pieces at a time, whatever that rounds."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder.eval()
        self.tokenizer_file: bytes = encoder.tokenizer.backend_tokenizer.to_str().encode()
        self.tokenizer = Tokenizer.from_str(self.tokenizer_file.decode())
        self.tokenizer.no_padding()

    def of_pieces(self, ids: Iterable[int]) -> Floats:
        """Vectors (n, D) of single pieces of the vocabulary, each as a text of its own."""
        empty = self.tokenizer.encode("").ids
        rows = [[*empty[:1], piece, *empty[1:]] for piece in ids]
        with torch.no_grad():
            parts = [of_ids(self._encoder, rows[first : first + MANY]) for first in range(0, len(rows), MANY)]
        return np.asarray(torch.cat(parts).cpu().numpy(), np.float32)


def is_bf16_fast(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 by itself; where it only imitates it, float32 is faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16", False))


def average(states: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of the weights of encoders that began alike (a model soup, Wortsman et al. 2022)."""
    if not states:
        raise DataError("there are no encoders to average")
    return {name: torch.stack([state[name].float() for state in states]).mean(0) for name in states[0]}
