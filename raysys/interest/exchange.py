"""What the workers of a data-parallel fit tell each other: sums of gradients (torch.distributed)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """The workers of one fit, each with its part of every batch; by default one is alone."""

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> "Exchange":
        """That of the process group which this process has joined."""
        return cls(rank=distributed.get_rank(), size=distributed.get_world_size())

    def copy_first(self, module: nn.Module) -> None:
        """Give every worker the weights and buffers of the first one."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                distributed.broadcast(tensor, 0)

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the workers, all in one message."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        for tensor, part in zip(
            tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True
        ):
            tensor.copy_(part.view_as(tensor))

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients; one that no worker has stays None, so that its weights do not move."""
        if self.size == 1:
            return
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        has = torch.tensor([float(p.grad is not None) for p in parameters], device=found[0].device)
        self.add_up([*found, has])
        for parameter, grad, count in zip(parameters, found, has.tolist(), strict=True):
            parameter.grad = grad if count else None

    def all_rows(self, rows: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (n,) and gradients (n, D) of all workers, one after the other."""
        if self.size == 1:
            return rows, grads
        sizes = torch.zeros(self.size, dtype=torch.int64, device=rows.device)
        sizes[self.rank] = len(rows)
        distributed.all_reduce(sizes)
        most = int(sizes.max())
        parts = [self._gathered(tensor, most) for tensor in (rows, grads)]
        kept = (torch.arange(most, device=rows.device) < sizes[:, None]).flatten()
        return parts[0][kept], parts[1][kept]

    def _gathered(self, tensor: Tensor, most: int) -> Tensor:
        """(size * most, ...) the tensors (n, ...) of all workers, padded with zeros."""
        padded = tensor.new_zeros((most, *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        found = [torch.empty_like(padded) for _ in range(self.size)]
        distributed.all_gather(found, padded)
        return torch.cat(found)
