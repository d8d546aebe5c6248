"""Dropout whose masks are slices of a pool: drawing them anew costs more on a CPU than a small layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOL = 1 << 21
"""Numbers of the pool; masks that overlap are as good as independent ones."""


class PooledDropout(nn.Module):
    """As `nn.Dropout`; on a CPU a mask begins at a random place of a pool that `redraw` fills."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self._pool = torch.empty(0)

    def redraw(self, pool: Tensor) -> None:
        """Take new masks from `pool` (POOL,), uniform in [0, 1)."""
        self._pool = (pool >= self.share).float().div_(1.0 - self.share) if self.share else pool

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        size = x.numel()
        if x.device.type != "cpu" or not 0 < size < len(self._pool) or x.dtype != torch.float32:
            return F.dropout(x, self.share)
        begin = int(torch.randint(len(self._pool) - size, ()))
        return x * self._pool[begin : begin + size].view_as(x)


def redraw(model: nn.Module) -> None:
    """Fill the pools of all dropout layers of a model, from torch's generator."""
    pool = torch.rand(POOL)
    for module in model.modules():
        if isinstance(module, PooledDropout):
            module.redraw(pool)
