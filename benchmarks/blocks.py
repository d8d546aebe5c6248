"""Other layers of the user tower, for the ablation to try; no part of raysys.

Both keep what the product's layer has around its attention: distances by ALiBi, dropout, a LayerNorm before.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raysys.interest.user_tower import Block


class GatedBlock(Block):
    """What attention and the feed-forward layer add is gated, the latter by itself too (SwiGLU).

    LiGR (Borisyuk et al. 2024), as eSASRec has it (Tikhonovich et al. 2025).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        hidden = 3 * width  # nearly as many weights as the plain layer's, in squares for Muon
        self.feed = nn.Sequential(nn.Linear(width, 2 * hidden), _SwiGLU(), nn.Linear(hidden, width))
        self.of_attention, self.of_feed = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor, place: Tensor | None = None) -> Tensor:
        size, length, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed, normed, mask).reshape(size, length, width)
        if place is not None:
            x, seen = x.reshape(-1, width)[place], seen.reshape(-1, width)[place]
        return self._feed(x + self.dropout(self.out(seen)) * torch.sigmoid(self.of_attention(x)))

    def last(self, x: Tensor, mask: Tensor) -> Tensor:
        size, _, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed[:, -1:], normed, mask[:, :, -1:]).reshape(size, width)
        return self._feed(x[:, -1] + self.out(seen) * torch.sigmoid(self.of_attention(x[:, -1])))

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.dropout(self.feed(self.between(x)))
        return x + fed * torch.sigmoid(self.of_feed(x))


class _SwiGLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, dim=-1)
        return value * F.silu(gate)


class HstuBlock(Block):
    """Attention without a softmax, times a gate, and no feed-forward layer: HSTU (Zhai et al. 2024)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__(width, heads, dropout)
        self.gate, self.feed = nn.Linear(width, width), nn.Sequential()

    def forward(self, x: Tensor, mask: Tensor, place: Tensor | None = None) -> Tensor:
        size, length, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed, normed, mask).reshape(size, length, width)
        if place is not None:
            x, seen, normed = (part.reshape(-1, width)[place] for part in (x, seen, normed))
        return x + self._gated(seen, normed)

    def last(self, x: Tensor, mask: Tensor) -> Tensor:
        size, _, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed[:, -1:], normed, mask[:, :, -1:]).reshape(size, width)
        return x[:, -1] + self._gated(seen, normed[:, -1])

    def _attend(self, asking: Tensor, normed: Tensor, mask: Tensor) -> Tensor:
        key, value = self.key_value(normed).chunk(2, dim=-1)
        query = self._split(self.query(asking)) * (normed.shape[-1] // self.heads) ** -0.5
        near = torch.exp(mask)
        seen = F.silu(query @ self._split(key).transpose(2, 3)) * near / near.sum(-1, keepdim=True)
        return (seen @ self._split(value)).transpose(1, 2)

    def _gated(self, seen: Tensor, normed: Tensor) -> Tensor:
        found: Tensor = self.dropout(self.out(self.between(seen) * F.silu(self.gate(normed))))
        return found
