"""Fit the interest network with settings that were found, one or several side by side."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import ray
import torch
from tqdm import tqdm

from raysys.bundle import check_files, read_manifest
from raysys.catalog import Catalog
from raysys.interest.export import export_network
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.train import fit_network
from raysys.interest.warm import Older, begin
from tuning.trials import start_ray


def older_of(bundle: Path) -> Older:
    """The network of a bundle, as one to go on from.

    Raises:
        BundleError: the bundle is damaged, or has no network.
    """
    check_files(bundle, read_manifest(bundle))
    return Older.load(bundle / "interest" / "network", Catalog.load(bundle / "catalog").item_ids)


def fit_and_export(
    events: Interactions, catalog: Catalog, config: NetworkConfig, out: Path, warm: Path | None = None
) -> Path:
    """Fit on the whole log, with a progress bar, and write what a replica loads to the new folder `out`.

    Args:
        warm: a bundle whose network this one goes on from.

    Raises:
        ConfigError: that network has another width, other heads or another temperature.
    """
    training = fit_network(events, catalog, config)
    if warm is not None:
        begin(training.model, older_of(warm), catalog)
    bar = tqdm(training, total=config.epochs, desc="fitting the network", unit="epoch")
    for report in bar:
        bar.set_postfix_str(f"loss {report.loss:.3f}")
    return export_network(training.model, out)


def fit_side_by_side(
    jobs: Sequence[tuple[Interactions, NetworkConfig, Path]], catalog: Catalog, cpus: int
) -> list[Path]:
    """`fit_and_export` for each of some logs, settings and folders, one core or GPU each."""
    start_ray(cpus)
    shared = ray.put(catalog)
    gpus = 1.0 if torch.cuda.is_available() else 0.0
    task = ray.remote(num_cpus=1, num_gpus=gpus)(_one_thread)
    pending = [task.remote(events, shared, config, out.resolve()) for events, config, out in jobs]
    return [ray.get(one) for one in tqdm(pending, desc="fitting the networks", unit="network")]


def _one_thread(events: Interactions, catalog: Catalog, config: NetworkConfig, out: Path) -> Path:
    torch.set_num_threads(1)
    partial = out.with_name(f"{out.name}.part")  # of a run that was killed, nothing half done is taken
    shutil.rmtree(partial, ignore_errors=True)
    fit_and_export(events, catalog, config, partial)
    return partial.replace(out)
