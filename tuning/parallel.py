"""Job: fit one network with several workers, each with its part of every batch, through Ray Train."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import torch
from ray import train
from ray.train.torch import TorchConfig, TorchTrainer, get_device

from raysys.catalog import Catalog
from raysys.config import read_settings
from raysys.dataset.build import read_lines
from raysys.dataset.stream import interaction_files, user_chunks
from raysys.errors import DataError
from raysys.events import ItemUpdate
from raysys.interest.exchange import Exchange
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.log import Chunks, streamed
from raysys.interest.network import NetworkConfig
from raysys.interest.train import EpochReport, Training, fit_network
from raysys.text.static import load_encoder
from raysys.types import DAY_MS
from tuning.network import CHECKPOINT, NETWORK, SETTINGS, SearchSettings, Tuned
from tuning.trials import cores, start_ray

RUN, REPORTS = "run", "reports.json"
"""Folder, in that of the job, of Train's checkpoints, and what a checkpoint tells beside the weights."""
FAILURES = 3
"""Times that workers may die; the others then go on from the last checkpoint with new ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What a worker learns from; all workers get the same."""

    events: Interactions | Chunks
    catalog: Catalog
    valid: Interactions | None = None


Read: TypeAlias = Callable[[], Lesson]
"""Called by every worker, where it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A dataset folder that every worker can see."""

    folder: Path
    encoder: Path | None = None
    """Folder of a text encoder, for titles."""
    horizon_days: float = 0.0
    """The last days of the log, which validate; 0 learns from everything and validates nothing."""
    users_per_chunk: int = 0
    """Users who are in memory at once; 0 is all of them."""

    def __call__(self) -> Lesson:
        """Read the log, or as much of it as streaming needs.

        Raises:
            DataError: there is no dataset, or nothing before the horizon.
        """
        texts = None if self.encoder is None else load_encoder(self.encoder)
        items = read_lines(self.folder / "items.jsonl", ItemUpdate)
        catalog = Catalog.of(items, None if texts is None else texts.encode)
        scan = pl.scan_parquet(interaction_files(self.folder)).select(
            "user", "item", "kind", "time_ms", "place"
        )
        end, first = scan.select(pl.max("time_ms"), pl.min("time_ms").alias("first")).collect().row(0)
        cut = int(end) + 1 - int(self.horizon_days * DAY_MS)
        if first >= cut:
            raise DataError(
                f"{self.folder} has no interaction before the last {self.horizon_days} days;"
                " send a longer log or lower the horizon"
            )
        events: Interactions | Chunks
        valid = None
        if self.users_per_chunk:
            events = _before(streamed(self.folder, catalog, self.users_per_chunk), cut)
        else:
            (whole,) = user_chunks(self.folder, sys.maxsize, None, queries=True)
            events = Interactions.of_frame(whole, catalog).before(cut)
        if self.horizon_days:
            late = scan.filter(pl.col("time_ms") >= cut).sort("time_ms", "place")
            valid = Interactions.of_frame(late.collect(), catalog)
        return Lesson(events=events, catalog=catalog, valid=valid)


def _before(chunks: Chunks, time_ms: int) -> Chunks:
    """The chunks, up to a moment."""

    def cut(number: int) -> Iterator[Interactions]:
        for chunk in chunks(number):
            yield chunk.before(time_ms)

    return cut


def fit_parallel(
    read: Read,
    config: NetworkConfig,
    out: Path,
    *,
    workers: int,
    cpus: float = 1.0,
    patience_s: int = 600,
) -> list[EpochReport]:
    """Fit one network with `workers` of them, and export it to `out`/network.

    A batch of `config.batch_tokens` is that of all workers together, so that their number does not
    change what is learned. They speak NCCL if there are GPUs, one each, else Gloo. Called again with the
    same arguments it goes on from the last checkpoint; `out` must be a folder that all workers see.

    Args:
        read: what to learn from.
        cpus: cores of a worker, as Ray counts them.
        patience_s: after so long a wait for the others a worker fails, and all begin again at the
            last checkpoint.

    Returns:
        The reports of all epochs.
    """
    out = out.resolve()
    gpus = torch.cuda.is_available()
    trainer = TorchTrainer(
        _work,
        train_loop_config={"read": read, "config": config, "out": out},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo", timeout_s=patience_s),
        scaling_config=train.ScalingConfig(
            num_workers=workers,
            use_gpu=gpus,
            resources_per_worker={"CPU": cpus} | ({"GPU": 1.0} if gpus else {}),
        ),
        run_config=train.RunConfig(
            name=RUN,
            storage_path=str(out),
            failure_config=train.FailureConfig(max_failures=FAILURES),
            checkpoint_config=train.CheckpointConfig(num_to_keep=1),
        ),
    )
    result = trainer.fit()
    if result.error is not None:
        raise result.error
    assert result.checkpoint is not None
    with result.checkpoint.as_directory() as folder:
        return [EpochReport(**report) for report in json.loads((Path(folder) / REPORTS).read_bytes())]


def _work(job: dict[str, Any]) -> None:
    """One worker, from reading the data to, for the first one, the export."""
    torch.set_num_threads(1)
    lesson, exchange = job["read"](), Exchange.here()
    training = fit_network(
        lesson.events,
        lesson.catalog,
        job["config"],
        lesson.valid,
        device=str(get_device()),
        exchange=exchange,
    )
    checkpoint = train.get_checkpoint()
    if checkpoint is not None:
        with checkpoint.as_directory() as folder:
            training.resume(Path(folder) / CHECKPOINT)
    for report in training:
        with tempfile.TemporaryDirectory() as folder:
            kept = _kept(training, Path(folder)) if exchange.rank == 0 else None
            train.report(asdict(report), checkpoint=kept)
    if exchange.rank == 0:
        shutil.rmtree(job["out"] / NETWORK, ignore_errors=True)
        export_network(training.model, job["out"] / NETWORK)


def _kept(training: Training, folder: Path) -> train.Checkpoint:
    training.save(folder / CHECKPOINT)
    (folder / REPORTS).write_text(json.dumps([asdict(report) for report in training.reports]))
    return train.Checkpoint.from_directory(folder)


def main(arguments: list[str] | None = None) -> None:
    """Fit with the settings that the search begins with, or with those that a search found."""
    parser = argparse.ArgumentParser(prog="python -m tuning.parallel", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of tuning.dataset")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True, help="one core or GPU each")
    parser.add_argument("--encoder", type=Path, help="folder of a text encoder, for titles")
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--tuned", type=Path, help="folder of tuning.network: its best settings")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--horizon-days", type=float, default=0.0, help="of validation")
    parser.add_argument("--users-per-chunk", type=int, default=0, help="stream the data; 0 holds all of it")
    options = parser.parse_args(arguments)
    if options.tuned is None:
        config = read_settings(NetworkConfig, SearchSettings.read(options.settings).network)
    else:
        config = Tuned.load(options.tuned).config
    config = config if options.epochs is None else replace(config, epochs=options.epochs)
    source = Source(
        folder=options.data.resolve(),
        encoder=None if options.encoder is None else options.encoder.resolve(),
        horizon_days=options.horizon_days,
        users_per_chunk=options.users_per_chunk,
    )
    start_ray(cores())
    for report in fit_parallel(source, config, options.out, workers=options.workers):
        print(
            f"epoch {report.epoch}: loss {report.loss:.4f}, ndcg@10 {report.ndcg:.4f},"
            f" {report.events / report.seconds:,.0f} events/s"
        )
    print(f"network in {options.out / NETWORK}")


if __name__ == "__main__":
    main()
