"""Fitting the network: one epoch after the other, resumable, judged by the first day after the log."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError
from raysys.interest.content import Content
from raysys.interest.dropout import redraw
from raysys.interest.exchange import Exchange
from raysys.interest.initial import Meetings, identity_vectors
from raysys.interest.interactions import Interactions
from raysys.interest.item_tower import Widths
from raysys.interest.log import Chunks, Log
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.questions import Questions
from raysys.interest.sequences import Batch
from raysys.interest.step import Stepper
from raysys.types import Floats

REPORTS = 4
"""Reports of a run that is bounded by CPU time."""
ASKED = 4096
"""Users whom the validation of such a run asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch did."""

    epoch: int
    """From 1; of a run that is bounded by CPU time, the report's number."""
    loss: float
    ndcg: float
    """NDCG@10 of all items on the first day of the validation log; NaN without one."""
    ndcg_se: float
    """Its standard error over users."""
    seconds: float
    events: int
    """Events read."""


def fit_network(
    events: Interactions | Chunks,
    catalog: Catalog,
    config: NetworkConfig,
    valid: Interactions | None = None,
    *,
    device: str | None = None,
    keep_seen: bool = True,
    exchange: Exchange | None = None,
) -> "Training":
    """A training of a new network; iterate it to fit, and stop whenever you like.

    Args:
        events: the log to learn from, or what reads it anew in every epoch.
        catalog: whose rows the events name.
        valid: a log that begins where `events` ends, for early stopping.
        device: "cpu" or "cuda"; the accelerator if there is one when not given.
        keep_seen: whether validation lets an item of the history be an answer.
        exchange: with whom the work of every batch is shared; all have the same log and config.
    """
    return Training(
        events, catalog, config, valid, device=device, keep_seen=keep_seen, exchange=exchange or Exchange()
    )


class Training:
    """A network under way. Each epoch draws from its own seed: what is resumed ends the same."""

    def __init__(
        self,
        events: Interactions | Chunks,
        catalog: Catalog,
        config: NetworkConfig,
        valid: Interactions | None,
        *,
        device: str | None,
        keep_seen: bool,
        exchange: Exchange,
    ) -> None:
        if exchange.size > 1 and config.cpu_seconds is not None:
            raise ConfigError("cpu_seconds is set, but workers keep step by epochs alone; set epochs instead")
        began = time.process_time()
        self.config, self.device = config, torch.device(device or _best_device())
        self._exchange = exchange
        valid = None if valid is None else valid.known()
        meetings = Meetings(len(catalog))
        self.log = Log(events, len(catalog), config, valid, meetings)
        start = identity_vectors(meetings, config.width, config.seed)
        del meetings
        self.model = self._new_model(Content.of(catalog), start).to(self.device)
        exchange.copy_first(self.model)
        self.stepper = Stepper(self.model, config, self.log.seen, self.log.wanted, self.device, exchange)
        self._questions = None
        if valid is not None:
            most = None if config.cpu_seconds is None else ASKED
            self._questions = Questions.of(
                self.log.histories,
                valid,
                config,
                keep_seen=keep_seen,
                most=most,
                vocabulary=self.log.vocabulary,
            )
        self.epoch = 0
        self.reports: list[EpochReport] = []
        self._best: dict[str, Tensor] = {}
        self._pending: Iterator[tuple[Batch, float]] = iter(())
        self._passes = 0
        self._rng = np.random.default_rng(config.seed)
        self.spent = time.process_time() - began
        """Seconds of CPU time that fitting took so far."""

    def __iter__(self) -> Iterator[EpochReport]:
        """Fit, yielding after every epoch; at the end the model is that of the best epoch.

        Bounded by CPU time it yields a few times, and at the end the model is the last one.
        """
        while self._goes_on():
            start = time.perf_counter()
            loss, events = self._run_epoch() if self.config.cpu_seconds is None else self._run_part()
            self.epoch += 1
            began = time.process_time()
            ndcg, error = (np.nan, np.nan) if self._questions is None else self._validate(self._questions)
            self.spent += time.process_time() - began
            report = EpochReport(
                epoch=self.epoch,
                loss=loss,
                ndcg=ndcg,
                ndcg_se=error,
                seconds=time.perf_counter() - start,
                events=events,
            )
            self.reports.append(report)
            if self._questions is not None and self.config.cpu_seconds is None and self._since_best() == 0:
                self._best = {name: value.clone() for name, value in self.model.state_dict().items()}
            yield report
        self.finish()

    def finish(self) -> InterestNetwork:
        """Stop here: the model as of the best epoch, of the last one without a validation."""
        if self._best:
            self.model.load_state_dict(self._best)
        self.model.learn_content()
        return self.model.eval()

    def save(self, path: Path) -> None:
        """Write a checkpoint that `resume` goes on from."""
        content = {
            "config": asdict(self.config),
            "reports": [asdict(report) for report in self.reports],
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.stepper.optimizers],
            "best": self._best,
            "spent": self.spent,
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
        for optimizer, state in zip(self.stepper.optimizers, content["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self._best = content["best"]
        self.reports = [EpochReport(**report) for report in content["reports"]]
        self.epoch, self.spent = len(self.reports), content["spent"]

    def _new_model(self, content: Content, start: Floats) -> InterestNetwork:
        torch.manual_seed(self.config.seed)
        model = InterestNetwork(len(content), self.config, Widths.of(content), self.log.vocabulary)
        with torch.no_grad():
            model.identity.weight.copy_(torch.from_numpy(start))
            model.known.copy_(torch.from_numpy(self.log.seen > 0))
        model.tower.learn_scales(content, text=self.config.text)
        model.describe(content)
        return model

    def _since_best(self) -> int:
        """Epochs since the best validation."""
        curve = [report.ndcg for report in self.reports]
        return len(curve) - 1 - int(np.argmax(curve)) if curve else 0

    def _goes_on(self) -> bool:
        if self.config.cpu_seconds is not None:
            return self.epoch < REPORTS
        worn_out = self._questions is not None and self._since_best() >= self.config.patience
        return self.epoch < self.config.epochs and not worn_out

    def _validate(self, questions: Questions) -> tuple[float, float]:
        """NDCG@10 and its standard error, which the first worker finds for all."""
        found = torch.zeros(2, dtype=torch.float64, device=self.device)
        if self._exchange.rank == 0:
            self.model.learn_content()
            found[0], found[1] = questions.ndcg(self.model)
        self._exchange.add_up([found])
        return float(found[0]), float(found[1])

    def _run_epoch(self) -> tuple[float, int]:
        """Mean loss of the epoch's steps, and the events read."""
        batches, rng = self._batches(self.epoch)
        losses, events = [], 0
        for number, (batch, before) in enumerate(batches):
            events += batch.events
            if batch.heads:
                done = (self.epoch + before) / self.config.epochs
                losses.append(self.stepper.step(batch, number, done, rng))
        loss = torch.tensor([np.mean(losses) if losses else np.nan], device=self.device)
        self._exchange.add_up([loss])
        return float(loss), events

    def _run_part(self) -> tuple[float, int]:
        """The same of one of the parts of a run that is bounded by CPU time."""
        assert self.config.cpu_seconds is not None
        until = (self.epoch + 1) / REPORTS
        losses: list[float] = []
        events, begin = 0, time.process_time() - self.spent
        while (done := (time.process_time() - begin) / self.config.cpu_seconds) < until:
            batch, _ = next(self._pending, (None, 0.0))
            if batch is None:
                self._pending, self._rng = self._batches(self._passes)
                self._passes += 1
                continue
            events += batch.events
            if batch.heads:
                losses.append(self.stepper.step(batch, len(losses), done, self._rng))
        self.spent = time.process_time() - begin
        return float(np.mean(losses)) if losses else float("nan"), events

    def _batches(self, number: int) -> tuple[Iterator[tuple[Batch, float]], np.random.Generator]:
        """The batches of one pass over the log, and the generator of the pass."""
        torch.manual_seed(self.config.seed + 1 + number + (self._exchange.rank << 32))
        redraw(self.model)
        self.stepper.forget()  # what was accumulated and not used
        rng = np.random.default_rng([self.config.seed, number])
        return self.log.batches(number, rng), rng


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
