"""Losses over many items without their (P, n) matrix: value and gradient, some rows at a time."""

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
    half: bool = False,
) -> Tensor:
    """Weighted cross entropy () of softmax(users @ items.T) with several targets a row.

    With `log_prob` the n items are a sample: each counts 1 / its probability of being in it
    (Horvitz and Thompson; the log-Q correction of Bengio and Senecal 2003), so that the sum
    estimates that over all items. A row's own targets are there for certain, and count once.

    Args:
        users: (P, D).
        items: (n, D).
        at: (T,) int64 row of each target, rising.
        target: (T,) int64 in [0, n).
        weight: (T,) of each target in the sum.
        smoothing: share of the weight that is spread over all n.
        log_prob: (n,) log of the probability that an item is among the n.
        half: whether products and probabilities are in bfloat16.
    """
    apply: Callable[..., Tensor] = _Softmax.apply
    return apply(users, items, at, target, weight, smoothing, log_prob, half)


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
        half: bool,
    ) -> Tensor:
        dtype = torch.bfloat16 if half else torch.float32
        people, table = users.to(dtype), items.to(dtype)
        mass = torch.zeros(len(users), device=users.device).index_add_(0, at, weight)  # (P,)
        user_grad = torch.empty(users.shape, device=users.device)
        item_grad = torch.zeros(items.shape, device=users.device)
        total = torch.zeros((), device=users.device)
        bounds = torch.searchsorted(at, torch.arange(0, len(users) + ROWS, ROWS, device=at.device)).tolist()
        for number, low in enumerate(range(0, len(users), ROWS)):
            mine, rows = slice(bounds[number], bounds[number + 1]), slice(low, low + ROWS)
            part = people[rows]
            prob, told = _probabilities(part, table, at[mine] - low, target[mine], log_prob)
            total += weight[mine] @ told
            user_grad[rows] = (prob @ table).float() * mass[rows, None]
            item_grad += (prob.T @ (part * mass[rows, None].to(dtype))).float()
        # what is left does not depend on the probabilities: the targets, and the even share
        own, asked = items[target].float(), users[at].float()
        share = (1.0 - smoothing) * weight
        user_grad.index_add_(0, at, own * -share[:, None])
        item_grad.index_add_(0, target, asked * -share[:, None])
        if smoothing:
            mean, pull = items.float().mean(0), mass @ users.float()
            total += smoothing * (weight @ (own * asked).sum(1) - pull @ mean)
            user_grad -= smoothing * mass[:, None] * mean
            item_grad -= smoothing / len(items) * pull
        ctx.save_for_backward(user_grad, item_grad)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        user_grad, item_grad = ctx.saved_tensors
        return user_grad * grads[0], item_grad * grads[0], *([None] * 6)


def _probabilities(
    part: Tensor, table: Tensor, rows: Tensor, columns: Tensor, log_prob: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The softmax (rows, n) of some users, and the negative log probability (T,) of their targets."""
    logits = part @ table.T
    own = logits[rows, columns]
    if log_prob is not None:
        logits -= log_prob.to(logits.dtype)
        logits[rows, columns] = own
    prob = torch.softmax(logits, 1)
    return prob, -torch.log(prob[rows, columns].float().clamp_min(1e-37))


def gbce_loss(
    users: Tensor,
    items: Tensor,
    target: Tensor,
    weight: Tensor,
    *,
    share: float,
    trust: float = 0.75,
) -> Tensor:
    """The generalized binary cross entropy () of gSASRec (Petrov and Macdonald 2023).

    Args:
        users: (P, D), one for each target.
        items: (n, D), all of which but the target count as not wanted.
        target: (P,) int64 in [0, n).
        weight: (P,) of each target in the sum.
        share: of all items that the n are.
        trust: t in [0, 1]: 0 is the plain binary cross entropy, 1 is calibrated to the softmax.
    """
    power = share * (trust * (1.0 - 1.0 / share) + 1.0 / share)
    logits = users @ items.T
    own = logits.gather(1, target[:, None])[:, 0]
    against = torch.nn.functional.softplus(logits).sum(1) - torch.nn.functional.softplus(own)
    wanted = power * torch.nn.functional.softplus(-own)
    return (weight * (wanted + against)).sum()
