"""How the network's weights move: Muon on the hidden matrices, AdamW on all others, a cosine over the run."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

FLOOR = 0.02
"""The learning rates end at this share of their peaks."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration that makes a matrix nearly orthogonal (Jordan et al. 2024)."""


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


def optimizers(
    model: nn.Module, hidden: list[nn.Parameter], rate: float, hidden_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the `hidden` matrices if they have a rate of their own."""
    muon = {id(parameter) for parameter in hidden} if hidden_rate else set()
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in muon]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, rate, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True)
    ]
    if muon:
        found.append(Muon(hidden, hidden_rate, weight_decay=weight_decay))
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
