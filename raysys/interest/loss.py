"""The softmax over many items without its (P, n) matrix: loss and gradient, some rows at a time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ROWS = 256
"""Rows of logits that are held at once."""


def softmax_loss(
    users: Tensor,
    items: Tensor,
    at: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    smoothing: float = 0.0,
    log_prob: Tensor | None = None,
) -> Tensor:
    """Weighted cross entropy () of softmax(users @ items.T) with several targets a row.

    With `log_prob` the n items are a sample: each counts 1 / its probability of being in it
    (Horvitz and Thompson), so that the sum estimates that over all items. A row's own targets
    are there for certain, and count once.

    Args:
        users: (P, D).
        items: (n, D).
        at: (T,) int64 row of each target, rising.
        target: (T,) int64 in [0, n).
        weight: (T,) of each target in the sum.
        smoothing: share of the weight that is spread over all n.
        log_prob: (n,) log of the probability that an item is among the n.
    """
    apply: Callable[..., Tensor] = _Softmax.apply
    return apply(users, items, at, target, weight, smoothing, log_prob)


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        users: Tensor,
        items: Tensor,
        at: Tensor,
        target: Tensor,
        weight: Tensor,
        smoothing: float,
        log_prob: Tensor | None,
    ) -> Tensor:
        user_grad = torch.empty_like(users, dtype=torch.float32)
        item_grad = torch.zeros_like(items, dtype=torch.float32)
        total = torch.zeros((), device=users.device)
        edges = torch.arange(0, len(users) + ROWS, ROWS, device=at.device)
        bounds = torch.searchsorted(at, edges).tolist()
        for number, low in enumerate(range(0, len(users), ROWS)):
            mine = slice(bounds[number], bounds[number + 1])
            rows, columns, share = at[mine] - low, target[mine], weight[mine]
            part = users[low : low + ROWS]
            logits = (part @ items.T).float()
            loss, grad = _rows(logits, rows, columns, share, smoothing, log_prob)
            total += loss
            user_grad[low : low + ROWS] = grad @ items.float()
            item_grad += grad.T @ part.float()
        ctx.save_for_backward(user_grad, item_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        user_grad, item_grad = ctx.saved_tensors
        return user_grad * grads[0], item_grad * grads[0], None, None, None, None, None


def _rows(
    logits: Tensor, rows: Tensor, columns: Tensor, share: Tensor, smoothing: float, log_prob: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Loss () of some rows and its gradient by their logits, which are overwritten."""
    mass = torch.zeros(len(logits), device=logits.device).index_add_(0, rows, share)  # (rows,)
    told = (share * logits[rows, columns]).sum()
    even = mass @ logits.mean(1) if smoothing else 0.0
    if log_prob is not None:
        own = logits[rows, columns]
        logits -= log_prob
        logits[rows, columns] = own
    norm = logits.logsumexp(1)
    loss = mass @ norm - (1.0 - smoothing) * told - smoothing * even
    grad = logits.sub_(norm[:, None]).exp_().mul_(mass[:, None])
    if smoothing:
        grad -= (smoothing / logits.shape[1]) * mass[:, None]
    grad.index_put_((rows, columns), (smoothing - 1.0) * share, accumulate=True)
    return loss, grad
