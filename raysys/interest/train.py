"""Fitting the network: one epoch after the other, resumable, judged by the first day after the log."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raysys.catalog import Catalog
from raysys.errors import BundleError, DataError
from raysys.events import KINDS
from raysys.interest.content import Content
from raysys.interest.initial import identity_vectors
from raysys.interest.interactions import Interactions
from raysys.interest.loss import softmax_loss
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.questions import Questions
from raysys.interest.sequences import Batch, Sequences, batched, windows
from raysys.types import Bools

FLOOR = 0.02
"""The learning rate ends at this share of its peak."""
CLIP = 1.0
"""Longest gradient of one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch did."""

    epoch: int
    """From 1."""
    loss: float
    ndcg: float
    """NDCG@10 of all items on the first day of the validation log; NaN without one."""
    seconds: float
    events: int
    """Events read."""


def fit_network(
    events: Interactions,
    catalog: Catalog,
    config: NetworkConfig,
    valid: Interactions | None = None,
    *,
    device: str | None = None,
) -> "Training":
    """A training of a new network; iterate it to fit, and stop whenever you like.

    Args:
        events: the log to learn from.
        catalog: whose rows the events name.
        valid: a log that begins where `events` ends, for early stopping.
        device: "cpu" or "cuda"; the accelerator if there is one when not given.
    """
    return Training(events, catalog, config, valid, device=device)


class Training:
    """A network under way. Each epoch draws from its own seed: what is resumed ends the same."""

    def __init__(
        self,
        events: Interactions,
        catalog: Catalog,
        config: NetworkConfig,
        valid: Interactions | None,
        *,
        device: str | None,
    ) -> None:
        self.config, self.device = config, torch.device(device or _best_device())
        events = events.where(events.row >= 0)
        valid = None if valid is None else valid.where(valid.row >= 0)
        self.sequences = Sequences.of(events)
        self._wanted = np.isin(self.sequences.kind, [KINDS.index(kind) for kind in config.targets])
        count = np.bincount(self.sequences.row, self._wanted, minlength=len(catalog))
        if not self._wanted.any():
            raise DataError(f"none of the {len(events)} interactions is one of targets {config.targets}")
        self._share = torch.from_numpy(count / count.sum())
        seen = np.bincount(self.sequences.row, minlength=len(catalog)) > 0
        self.model = self._new_model(Content.of(catalog), seen).to(self.device)
        self._trained = torch.from_numpy(np.flatnonzero(seen)).to(self.device)
        self._questions = None if valid is None else Questions.of(events, valid, config)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.epoch = 0
        self.reports: list[EpochReport] = []
        self._best: dict[str, Tensor] = {}

    def __iter__(self) -> Iterator[EpochReport]:
        """Fit, yielding after every epoch; at the end the model is that of the best epoch."""
        while self.epoch < self.config.epochs and not self._worn_out():
            start = time.perf_counter()
            loss, events = self._run_epoch()
            self.epoch += 1
            ndcg = float("nan") if self._questions is None else self._questions.ndcg(self.model)
            report = EpochReport(
                epoch=self.epoch, loss=loss, ndcg=ndcg, seconds=time.perf_counter() - start, events=events
            )
            self.reports.append(report)
            if self._questions is not None and self._since_best() == 0:
                self._best = {name: value.clone() for name, value in self.model.state_dict().items()}
            yield report
        self.finish()

    def finish(self) -> InterestNetwork:
        """Stop here: the model as of the best epoch, of the last one without a validation."""
        if self._best:
            self.model.load_state_dict(self._best)
        return self.model.eval()

    def save(self, path: Path) -> None:
        """Write a checkpoint that `resume` goes on from."""
        content = {
            "config": asdict(self.config),
            "reports": [asdict(report) for report in self.reports],
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
        }
        partial = path.with_suffix(".part")
        torch.save(content, partial)
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint of the same config and catalog stopped."""
        try:
            content = torch.load(path, weights_only=True, map_location=self.device)
        except (OSError, RuntimeError, ValueError) as error:
            raise BundleError(f"checkpoint {path}: {error}; fit from the start") from error
        if content["config"] != asdict(self.config):
            changed = {n for n, v in asdict(self.config).items() if content["config"].get(n) != v}
            raise BundleError(
                f"checkpoint {path} was fitted with other {sorted(changed)}; fit from the start"
            )
        self.model.load_state_dict(content["model"])
        self._optimizer.load_state_dict(content["optimizer"])
        self._best = content["best"]
        self.reports = [EpochReport(**report) for report in content["reports"]]
        self.epoch = len(self.reports)

    def _new_model(self, content: Content, seen: Bools) -> InterestNetwork:
        torch.manual_seed(self.config.seed)
        model = InterestNetwork(len(content), self.config)
        start = identity_vectors(self.sequences, len(content), self.config.width, self.config.seed)
        with torch.no_grad():
            model.identity.weight.copy_(torch.from_numpy(start))
            model.known.copy_(torch.from_numpy(seen))
        model.tower.learn_scales(content, text=self.config.text)
        model.describe(content)
        return model

    def _since_best(self) -> int:
        """Epochs since the best validation."""
        curve = [report.ndcg for report in self.reports]
        return len(curve) - 1 - int(np.argmax(curve)) if curve else 0

    def _worn_out(self) -> bool:
        return self._questions is not None and self._since_best() >= self.config.patience

    def _run_epoch(self) -> tuple[float, int]:
        """Mean loss of the epoch's steps, and the events read."""
        torch.manual_seed(self.config.seed + 1 + self.epoch)
        rng = np.random.default_rng([self.config.seed, self.epoch])
        bounds = windows(self.sequences, self.config.history_length, rng)
        groups = list(batched(bounds, self.config.batch_tokens, rng))
        self.model.train()
        losses, events = [], 0
        for number, group in enumerate(groups):
            batch = Batch.of(self.sequences, group, self._wanted, self.config.day_share)
            events += batch.events
            if len(batch.at):
                rate = self._rate((self.epoch + number / len(groups)) / self.config.epochs)
                losses.append(self._step(batch, rate, rng))
        return float(np.mean(losses)) if losses else float("nan"), events

    def _rate(self, done: float) -> float:
        """The learning rate, when this share of the steps is done: a rise, then a half cosine."""
        peak, warmup = self.config.learning_rate, self.config.warmup
        if done < warmup:
            return peak * (FLOOR + (1.0 - FLOOR) * done / warmup)
        fall = 0.5 * (1.0 + np.cos(np.pi * (done - warmup) / max(1.0 - warmup, 1e-9)))
        return float(peak * (FLOOR + (1.0 - FLOOR) * fall))

    def _step(self, batch: Batch, rate: float, rng: np.random.Generator) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self._loss(batch, rng)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self._optimizer.step()
        return float(loss.detach())

    def _loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        row, target = self._put(batch.row), self._put(batch.target)
        choice, log_prob = self._choice(target, rng)
        rows = choice if log_prob is None else torch.unique(torch.cat([row.flatten(), choice]))
        table = self.model.item_vectors(rows)  # (n, D)
        users = self.model.user_vectors(
            table,
            torch.searchsorted(rows, row),
            self._put(batch.kind),
            self._put(batch.gap),
            self._put(batch.place),
        )  # (P, D)
        return softmax_loss(
            users,
            table if log_prob is None else table[torch.searchsorted(rows, choice)],
            self._put(batch.at),
            torch.searchsorted(choice, target),
            self._put(batch.weight),
            smoothing=self.config.label_smoothing,
            log_prob=log_prob,
        )

    def _choice(self, target: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
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


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
