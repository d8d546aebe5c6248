"""A user's vector from the history: a causal transformer whose places are known by distance alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raysys.events import KINDS
from raysys.interest.dropout import PooledDropout
from raysys.interest.sequences import GAP_BUCKETS


class Block(nn.Module):
    """Causal attention with ALiBi (Press et al. 2022) and a feed-forward layer, each after a LayerNorm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = PooledDropout(dropout)
        self.before = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor, place: Tensor | None = None) -> Tensor:
        """The next layer of `x` (B, L, D), or of its flat places (P,) alone, then (P, D)."""
        size, length, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed, normed, mask).reshape(size, length, width)
        if place is not None:
            x, seen = x.reshape(-1, width)[place], seen.reshape(-1, width)[place]
        return self._feed(x + self.dropout(self.out(seen)))

    def last(self, x: Tensor, mask: Tensor) -> Tensor:
        """The next layer (B, D) at the last place alone, with the work of that place alone."""
        size, _, width = x.shape
        normed = self.before(x)
        seen = self._attend(normed[:, -1:], normed, mask[:, :, -1:]).reshape(size, width)
        return self._feed(x[:, -1] + self.out(seen))

    def _attend(self, asking: Tensor, normed: Tensor, mask: Tensor) -> Tensor:
        """What each place sees of all, (B, L, heads, D / heads).

        Written out: the fused kernel's gradient takes ten times as long on a CPU from 16 places on.
        """
        key, value = self.key_value(normed).chunk(2, dim=-1)
        query = self._split(self.query(asking)) * (normed.shape[-1] // self.heads) ** -0.5
        if normed.device.type != "cpu":
            seen = F.scaled_dot_product_attention(
                query, self._split(key), self._split(value), attn_mask=mask, scale=1.0
            )
        else:
            seen = torch.softmax(query @ self._split(key).transpose(2, 3) + mask, -1) @ self._split(value)
        return seen.transpose(1, 2)

    def _feed(self, x: Tensor) -> Tensor:
        fed: Tensor = self.dropout(self.feed(self.between(x)))
        return x + fed

    def _split(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, heads, L, D / heads)."""
        return x.reshape(x.shape[0], -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2)


class UserTower(nn.Module):
    """The vector of a user from vectors, kinds and gaps of the history's events, oldest first.

    It has an output projection for each number of items ahead; they begin as the identity, so
    that at first a user's vector is near that of the latest items.
    """

    slopes: Tensor

    def __init__(
        self, width: int, blocks: int, heads: int, dropout: float, ahead: int = 1, kinds: int = len(KINDS)
    ) -> None:
        super().__init__()
        self.dropout = PooledDropout(dropout)
        self.kind = nn.Embedding(kinds, width)
        self.gap = nn.Embedding(GAP_BUCKETS, width)
        self.first = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(width)
        self.out = nn.ModuleList([nn.Linear(width, width) for _ in range(ahead)])
        slopes = [2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)]
        self.register_buffer("slopes", torch.tensor(slopes), persistent=False)
        nn.init.normal_(self.kind.weight, std=0.02)
        nn.init.normal_(self.gap.weight, std=0.02)
        for projection in self.out:
            assert isinstance(projection, nn.Linear)
            nn.init.eye_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, vectors: Tensor, kinds: Tensor, gaps: Tensor, place: Tensor) -> Tensor:
        """What is known (P, D) at the flat places (P,) of windows (B, L), before the projection.

        A place sees what is before it and itself, so padding belongs on the right.
        """
        x, mask = self._start(vectors, kinds, gaps)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, mask, place if number == len(self.blocks) else None)
        normed: Tensor = self.norm(x)
        return normed

    def last(self, vectors: Tensor, kinds: Tensor, gaps: Tensor) -> Tensor:
        """The same (B, D) after the last place of histories of equal length."""
        x, mask = self._start(vectors, kinds, gaps)
        for block in self.blocks[:-1]:
            x = block(x, mask)
        final = self.blocks[-1]
        assert isinstance(final, Block)
        normed: Tensor = self.norm(final.last(x, mask))
        return normed

    def hidden(self) -> list[nn.Parameter]:
        """The matrices between one layer and the next."""
        return [p for p in self.blocks.parameters() if p.ndim == 2]

    def _start(self, vectors: Tensor, kinds: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer (B, L, D) and what attention adds to its logits (1, heads, L, L)."""
        scale = vectors.shape[-1] ** 0.5
        x = self.dropout(self.first(vectors * scale + self.kind(kinds) + self.gap(gaps)))
        steps = torch.arange(vectors.shape[1], device=vectors.device)
        ago = (steps[:, None] - steps[None, :]).to(x.dtype)  # (L, L)
        mask = -self.slopes[:, None, None] * ago
        return x, mask.masked_fill(ago < 0, float("-inf")).unsqueeze(0)
