"""A cross-encoder while it is torch: it reads a query and a text as one, and says how relevant the text is.

It begins as a sentence encoder. Its word is a line through the cosine of the two halves, which says something
before anything is learned, and a sum over the mean of all tokens, which at first says nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from raysys.text.normalize import normalize
from raysys.text.pairs import joined
from raysys.text.torch_encoder import CHUNK, is_bf16_fast, stack_of
from raysys.types import Floats, Ints

MANY = 2_000
"""Pairs that are brought in order of their lengths when nothing is learned from them."""


class PairNetwork(nn.Module):
    """Relevance (B,) of pairs, as tokens; about 0 to 1, unbounded."""

    def __init__(self, encoder: Any, slope: float = 1.0, offset: float = 0.0) -> None:
        """Begin as a SentenceTransformer, whose body is taken over and will change."""
        super().__init__()
        self.body = encoder[0].auto_model
        self.body.set_attn_implementation("eager")  # on a CPU, with texts this short, the faster one
        for module in self.body.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # a third of the time, against a danger that few passes do not bring
        width = int(self.body.config.hidden_size)
        self.kinds = int(getattr(self.body.config, "type_vocab_size", 1) or 1)
        self.slope = nn.Parameter(torch.tensor(float(slope)))
        self.offset = nn.Parameter(torch.tensor(float(offset)))
        self.sum = nn.Linear(width, 1, bias=False)
        nn.init.zeros_(self.sum.weight)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, second: torch.Tensor
    ) -> torch.Tensor:
        """Relevance (B,).

        Args:
            input_ids: (B, T) query, text and what stands between them.
            attention_mask: (B, T) 0 where there is nothing.
            second: (B, T) 1 where the text stands.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.kinds > 1:
            given["token_type_ids"] = second
        found = self.body(**given).last_hidden_state.float()  # (B, T, D)
        whole = attention_mask.to(found.dtype)
        text = second.to(found.dtype)
        halves = [_mean(found, part) for part in (whole - text, text)]
        alike = nn.functional.cosine_similarity(halves[0], halves[1])  # (B,)
        said: torch.Tensor = self.sum(_mean(found, whole)).squeeze(1)
        return self.slope * alike + self.offset + said


def _mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean (B, D) of values (B, T, D) where the mask (B, T) is 1."""
    return (values * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True).clamp(min=1.0)


class Reader:
    """A network with its tokenizer; it keeps the tokens of every text."""

    def __init__(self, network: PairNetwork, tokenizer: Any) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.tokenizer.no_padding()
        self._ids: dict[str, list[int]] = {}

    def __call__(self, queries: Sequence[str], texts: Sequence[str], query: Ints, text: Ints) -> torch.Tensor:
        """Relevance (N,) float32 of pairs with its gradients; those of about one length are read together.

        Args:
            query: (N,) which of `queries`.
            text: (N,) which of `texts`.
        """
        device = next(self.network.parameters()).device
        asked, told = ([self._tokens(one) for one in side] for side in (queries, texts))
        pairs = [joined(asked[q], told[t]) for q, t in zip(query.tolist(), text.tolist(), strict=True)]
        order = np.argsort([len(ids) for ids, _ in pairs], kind="stable")
        parts = []
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bf16_fast(device)):
            for chunk in np.array_split(order, max(-(-len(order) // CHUNK), 1)):
                ids, second = (
                    nn.utils.rnn.pad_sequence([torch.tensor(pairs[n][side]) for n in chunk], batch_first=True)
                    for side in (0, 1)
                )
                lengths = torch.tensor([len(pairs[n][0]) for n in chunk])
                mask = (torch.arange(ids.shape[1]) < lengths[:, None]).to(torch.int64)
                parts.append(self.network(ids.to(device), mask.to(device), second.to(device)).float())
        return torch.cat(parts)[torch.from_numpy(np.argsort(order)).to(device)]

    def scores(self, queries: Sequence[str], texts: Sequence[str], query: Ints, text: Ints) -> Floats:
        """Relevance (N,) of pairs, without dropout."""
        self.network.eval()
        with torch.no_grad():
            parts = [
                self(queries, texts, query[first : first + MANY], text[first : first + MANY])
                for first in range(0, len(query), MANY)
            ]
        return np.asarray(torch.cat(parts).cpu().numpy(), np.float64)

    def _tokens(self, text: str) -> list[int]:
        if text not in self._ids:
            self._ids[text] = self.tokenizer.encode(normalize(text)).ids
        return self._ids[text]


def learning(network: PairNetwork, layers: int) -> dict[str, nn.Parameter]:
    """The parameters of the upper layers and of the last step; the others stand still.

    Where all layers learn, so does what tells query from text below them.
    """
    network.requires_grad_(False)
    stack = list(stack_of(network.body))
    for block in stack[-layers:]:
        block.requires_grad_(True)
    kinds = getattr(network.body.embeddings, "token_type_embeddings", None)
    if kinds is not None and layers >= len(stack):
        kinds.requires_grad_(True)
    for part in (network.sum.weight, network.slope, network.offset):
        part.requires_grad_(True)
    return {name: part for name, part in network.named_parameters() if part.requires_grad}
