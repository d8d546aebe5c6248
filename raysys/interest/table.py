"""The gradient of the item table, of the rows alone that the batches of a step read."""

import torch
from torch import Tensor, nn

from raysys.interest.exchange import Exchange


class TableGradient:
    """Collects the gradients of rows until a step, and hands them to the table's optimizer.

    Autograd would make a new gradient of all items in every batch, and the memory alone costs as
    much as a layer. Here it is added to one that stays; of a lazy table it is a sparse one.
    """

    def __init__(self, weight: nn.Parameter, exchange: Exchange, *, lazy: bool) -> None:
        self.weight, self.lazy = weight, lazy
        self._exchange = exchange
        self._read: list[tuple[Tensor, Tensor]] = []

    def read(self, rows: Tensor) -> Tensor:
        """The table at `rows` (n,), each once: (n, D), whose gradient counts."""
        part = self.weight.detach()[rows].requires_grad_()
        self._read.append((rows, part))
        return part

    def hand_over(self) -> nn.Parameter:
        """Set the gradient of the table; what is returned has it as a dense one, to be clipped."""
        read = [(rows, part.grad) for rows, part in self._read if part.grad is not None]
        if self.lazy:
            return self._sparse(read)
        if self.weight.grad is None:
            self.weight.grad = torch.zeros_like(self.weight)
        for rows, grad in read:
            self.weight.grad.index_add_(0, rows, grad)
        self._exchange.add_up([self.weight.grad])
        return self.weight

    def _sparse(self, read: list[tuple[Tensor, Tensor]]) -> nn.Parameter:
        none = self.weight.new_zeros((0, self.weight.shape[1]))
        rows = torch.cat([torch.zeros(0, dtype=torch.int64, device=none.device), *(rows for rows, _ in read)])
        rows, grads = self._exchange.all_rows(rows, torch.cat([none, *(grad for _, grad in read)]))
        if len(read) != 1 or self._exchange.size > 1:  # the rows of one batch are sorted, each once
            rows, place = torch.unique(rows, return_inverse=True)
            grads = grads.new_zeros((len(rows), grads.shape[1])).index_add_(0, place, grads)
        self.weight.grad = torch.sparse_coo_tensor(
            rows[None], grads, self.weight.shape, is_coalesced=True, check_invariants=False
        )
        dense = nn.Parameter(grads)
        dense.grad = grads
        return dense

    def forget(self) -> None:
        """Drop the gradients; a dense one stays, with zeros."""
        if self.lazy:
            self.weight.grad = None
        elif self.weight.grad is not None and self._exchange.size > 1:
            self.weight.grad.zero_()
        elif self.weight.grad is not None:
            for rows, _ in self._read:
                self.weight.grad.index_fill_(0, rows, 0.0)
        self._read.clear()
