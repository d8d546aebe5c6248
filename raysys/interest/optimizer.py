"""How the network's weights move: Muon on the hidden matrices, AdamW on all others, a cosine over the run.

Of a large item table and of the words only the rows that a step touched move (`RowAdamW`).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

FLOOR = 0.02
"""The learning rates end at this share of their peaks."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that makes a matrix nearly orthogonal (Jordan et al. 2024)."""
BETAS = (0.9, 0.98)
"""How much of the first and of the second moment AdamW keeps."""


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal (Jordan et al. 2024), in square pieces of D x D, all at once.

    torch.optim.Muon goes matrix by matrix, which takes two to four times as long at these sizes.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move the weights against their gradients; there is no closure."""
        with torch.no_grad():
            self._move()

    def _move(self) -> None:
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            pieces = []
            for parameter in moved:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1.0 - group["momentum"])
                pieces.append(_pieces(parameter.grad.lerp(momentum, group["momentum"])))
            turned = torch.split(orthogonal(torch.cat(pieces)), [len(piece) for piece in pieces])
            for parameter, update in zip(moved, turned, strict=True):
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                _pieces(parameter).add_(update.to(parameter.dtype), alpha=-group["lr"])


def _pieces(matrix: Tensor) -> Tensor:
    """(k, D, D) views of a matrix (k D, D) or (D, k D)."""
    high, wide = matrix.shape
    side = min(high, wide)
    return matrix.view(-1, side, side) if high >= wide else matrix.view(side, -1, side).transpose(0, 1)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearly orthogonal matrices (k, D, D) in bfloat16 with the singular vectors of those given."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x


class RowAdamW(torch.optim.Optimizer):
    """AdamW of a table's rows: one without a gradient in a step is not read, and its moments stay.

    As `torch.optim.SparseAdam` and TensorFlow's LazyAdam do it, with the decoupled weight decay of
    AdamW (Loshchilov and Hutter 2019) on the rows that move. Where all rows move it is AdamW.
    """

    def __init__(
        self, table: nn.Parameter, lr: float, betas: tuple[float, float] = BETAS, weight_decay: float = 0.0
    ) -> None:
        super().__init__([table], {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": weight_decay})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move the rows of the table's gradient, a coalesced sparse (I, D); there is no closure."""
        with torch.no_grad():
            for group in self.param_groups:
                (table,) = group["params"]
                if table.grad is not None:
                    self._move(table, group)

    def _move(self, table: nn.Parameter, group: dict[str, Any]) -> None:
        assert table.grad is not None
        rows, grads = table.grad.indices()[0], table.grad.values()
        state = self.state[table]
        if not state:
            state["step"] = torch.zeros(())
            state["first"], state["second"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        first_kept, second_kept = group["betas"]
        first = state["first"][rows].lerp_(grads, 1.0 - first_kept)
        second = state["second"][rows].mul_(second_kept).addcmul_(grads, grads, value=1.0 - second_kept)
        state["first"].index_copy_(0, rows, first)
        state["second"].index_copy_(0, rows, second)
        done = float(state["step"])
        root = second.div_(1.0 - second_kept**done).sqrt_().add_(group["eps"])
        moved = table[rows].mul_(1.0 - group["lr"] * group["weight_decay"])
        moved.addcdiv_(first, root, value=-group["lr"] / (1.0 - first_kept**done))
        table.index_copy_(0, rows, moved)


def optimizers(
    model: nn.Module,
    hidden: list[nn.Parameter],
    rate: float,
    hidden_rate: float,
    weight_decay: float,
    tables: Sequence[nn.Parameter] = (),
) -> list[torch.optim.Optimizer]:
    """AdamW, Muon for the `hidden` matrices if they have a rate of their own, RowAdamW for `tables`."""
    apart = {id(parameter) for parameter in hidden} if hidden_rate else set()
    apart |= {id(table) for table in tables}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, rate, betas=BETAS, weight_decay=weight_decay, fused=True)
    ]
    if hidden_rate and hidden:
        found.append(Muon(hidden, hidden_rate, weight_decay=weight_decay))
    found += (RowAdamW(table, rate, weight_decay=weight_decay) for table in tables)
    for optimizer in found:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return found


def set_rates(found: list[torch.optim.Optimizer], done: float, warmup: float) -> None:
    """Set the rates when this share of the run is done: a rise, then a half cosine."""
    level = (
        done / warmup if done < warmup else 0.5 * (1.0 + math.cos(math.pi * (done - warmup) / (1.0 - warmup)))
    )
    for optimizer in found:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * (FLOOR + (1.0 - FLOOR) * level)
