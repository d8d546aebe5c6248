"""One step of fitting the network: the loss of a batch, its gradient, and how the weights move."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raysys.interest.exchange import Exchange
from raysys.interest.loss import gbce_loss, softmax_loss
from raysys.interest.network import InterestNetwork, NetworkConfig, told
from raysys.interest.optimizer import optimizers, set_rates
from raysys.interest.queries import Bags
from raysys.interest.sequences import Ask, Batch
from raysys.interest.table import TableGradient
from raysys.types import Ints

CLIP = 1.0
"""Longest gradient of one step."""
LAZY = 100_000
"""Items from which on a step moves only the rows of the table that it read, if the softmax is sampled."""


class Stepper:
    """A network with its optimizers."""

    def __init__(
        self,
        model: InterestNetwork,
        config: NetworkConfig,
        seen: Ints,
        wanted: Ints,
        device: torch.device,
        exchange: Exchange,
    ) -> None:
        """A step of `model`, given how often (I,) each item is in the log, and is a target in it."""
        self.model, self.config, self.device = model, config, device
        self._trained = torch.from_numpy(np.flatnonzero(seen)).to(device)
        table = model.identity.weight
        assert isinstance(table, nn.Parameter)
        lazy = len(table) >= LAZY and len(self._trained) > config.full_softmax
        self.optimizers = optimizers(
            model,
            model.user.hidden(),
            config.learning_rate,
            config.hidden_rate,
            config.weight_decay,
            [one for one in (table if lazy else None, model.words) if one is not None],
        )
        self._share = torch.from_numpy(wanted / wanted.sum())
        self._known_for = torch.from_numpy(config.debias * np.log1p(seen)).float().to(device)
        self._half = _bfloat16(device)
        self._exchange = exchange
        self._items = TableGradient(table, exchange, lazy=lazy)
        self._words = None if model.words is None else TableGradient(model.words, exchange, lazy=True)
        self._tables = [self._items] if self._words is None else [self._items, self._words]
        apart = {id(one.weight) for one in self._tables}
        self._others = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]

    def step(self, batch: Batch, number: int, done: float, rng: np.random.Generator) -> float:
        """One batch, of which each worker takes its part; the weights move after every `accumulate`.

        Returns:
            What this worker's part adds to the loss of the batch.
        """
        self.model.train()
        set_rates(self.optimizers, min(done, 1.0), self.config.warmup)
        with self._precision():
            loss = self._loss(batch.part(self._exchange.rank, self._exchange.size), rng)
            if loss.requires_grad:
                (loss / self.config.accumulate).backward()  # type: ignore[no-untyped-call]
            if (number + 1) % self.config.accumulate == 0:
                self._move()
        return float(loss.detach())

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Products in bfloat16: by autocast on an accelerator, inside of the kernels on a CPU that can."""
        before = torch.get_float32_matmul_precision()
        try:
            if self.device.type == "cpu":
                torch.set_float32_matmul_precision("medium")
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "cpu"):
                yield
        finally:
            torch.set_float32_matmul_precision(before)

    def _loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """The loss () of a batch; of a part of one, its share of the loss of the whole."""
        choice, log_prob = self.choice(self._put(batch.goals), rng)  # the same for every part
        if not len(batch.place):
            return torch.zeros(())
        row = self._put(np.maximum(batch.row, 0))
        rows = (
            choice if len(choice) == len(self._trained) else torch.unique(torch.cat([row.flatten(), choice]))
        )
        table = self.model.scaled(self._items.read(rows))  # (n, D)
        items = table if rows is choice else table[torch.searchsorted(rows, choice)]
        vectors = F.embedding(torch.searchsorted(rows, row), table)
        if self._words is not None and (batch.row < 0).any():
            vectors = self._told(vectors, batch, self._words)
        if self.config.debias:
            items = torch.cat([items, self._known_for[choice][:, None]], 1)
        found = self.model.user(vectors, self._put(batch.kind), self._put(batch.gap), self._put(batch.place))
        losses = [
            self._ask(found, items, ask, torch.searchsorted(choice, self._put(ask.target)), log_prob, step)
            for step, ask in enumerate(batch.asks, start=1)
            if len(ask.at)
        ]
        return torch.stack(losses).sum() / batch.heads

    def _told(self, vectors: Tensor, batch: Batch, words: TableGradient) -> Tensor:
        """The vectors (B, L, D) of a batch with those of its queries."""
        bags = batch.bags.inside(batch.row)
        rows, word = np.unique(bags.word, return_inverse=True)
        return told(vectors, batch.row, Bags(bags.start, word), words.read(self._put(rows)))

    def _move(self) -> None:
        """One step of the weights."""
        self._exchange.add_gradients(self._others)
        tables = [table.hand_over() for table in self._tables]
        torch.nn.utils.clip_grad_norm_([*self._others, *tables], CLIP)
        for optimizer in self.optimizers:
            optimizer.step()
        self.forget()

    def forget(self) -> None:
        """Drop what was accumulated."""
        for parameter in self._others:
            parameter.grad = None
        for table in self._tables:
            table.forget()

    def _ask(
        self, found: Tensor, items: Tensor, ask: Ask, target: Tensor, log_prob: Tensor | None, step: int
    ) -> Tensor:
        users = self.model.project(found, step)
        if self.config.debias:
            users = torch.cat([users, torch.ones_like(users[:, :1])], 1)
        at, weight = self._put(ask.at), self._put(ask.weight)
        if self.config.loss == "gbce":
            share = max((len(items) - 1) / max(len(self._trained) - 1, 1), 1e-9)
            return gbce_loss(users[at], items, target, weight, share=share)
        smoothing, half = self.config.label_smoothing, self._half
        return softmax_loss(
            users, items, at, target, weight, smoothing=smoothing, log_prob=log_prob, half=half
        )

    def choice(self, target: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Rows (n,) that the softmax is over, rising, and the log of their chance to be among them."""
        trained = self._trained
        if len(trained) <= self.config.full_softmax:
            return trained, None
        drawn = rng.choice(len(trained), min(self.config.negatives, len(trained)), replace=False)
        choice = torch.unique(torch.cat([trained[self._put(drawn)], target]))
        expected = len(drawn) / len(trained) + len(target) * self._share[choice.cpu()]
        return choice, torch.log(-torch.expm1(-expected)).float().to(self.device)

    def _put(self, array: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 natively."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
