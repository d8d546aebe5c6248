"""Job: files of events, or the demo's data, become a dataset; Ray cleans the shards side by side."""

import argparse
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from raysys.config import read_settings, read_toml
from raysys.dataset import complete_journey
from raysys.dataset.clean import CleanSettings
from raysys.dataset.mapping import Mapping
from raysys.dataset.prepare import Run, prepare
from raysys.dataset.read import CHUNK, Read, of_events, read
from raysys.dataset.split import WeightSettings
from raysys.state.open import open_store

SETTINGS = Path(__file__).with_name("settings.toml")


def over_ray(shards: int) -> Run:
    """Ray tasks, `shards` of them at a time; the answers come in order.

    They read and write in the dataset's folder: on several machines it must be one that all see.
    """
    import ray

    def run(work: Callable[[Any], Any], tasks: list[Any]) -> Iterator[Any]:
        remote = ray.remote(work)
        pending = deque(remote.remote(task) for task in tasks[:shards])
        waiting = iter(tasks[shards:])
        for _ in tqdm(tasks, desc=work.__name__, unit="file"):
            yield ray.get(pending.popleft())
            pending.extend(remote.remote(task) for task in islice(waiting, 1))

    return run


def of_journey(folder: Path, *, short: bool) -> Iterable[Read]:
    """The demo's data as events, with its assumptions printed."""
    settings = complete_journey.JourneySettings
    counts = complete_journey.events(folder, settings.short() if short else settings())
    for assumption in complete_journey.ASSUMPTIONS:
        print("assumed:", assumption)
    print("kept:", counts)
    return read([folder])


def of_store(uri: str) -> Iterator[Read]:
    """The live log."""
    store = open_store(uri)
    try:
        events = (event for _, event in store.events())
        while chunk := list(islice(events, CHUNK)):
            yield of_events(chunk)
    finally:
        store.close()


def make(chunks: Iterable[Read], out: Path, shards: int) -> dict[str, Any]:
    """Write a dataset with the settings of `settings.toml`; its report."""
    out.mkdir(parents=True, exist_ok=True)
    table = read_toml(SETTINGS).get("dataset", {})
    return prepare(
        tqdm(chunks, desc="reading", unit="chunk"),
        out.absolute(),
        clean=read_settings(CleanSettings, table.get("clean", {})),
        weights=read_settings(WeightSettings, table.get("weights", {})),
        run=map if shards == 1 else over_ray(shards),
        quarantine=out / "quarantine.jsonl",
    )


def main(arguments: list[str] | None = None) -> None:
    """Build a dataset and print its report."""
    parser = argparse.ArgumentParser(prog="python -m tuning.dataset", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=Path("var/dataset"))
    parser.add_argument("--mapping", type=Path)
    parser.add_argument("--state", help="read the live log of this store")
    parser.add_argument("--journey", choices=["short", "full"], help="the demo's data")
    parser.add_argument("--shards", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.journey:
        chunks = of_journey(options.out / "events", short=options.journey == "short")
    elif options.state:
        chunks = of_store(options.state)
    elif options.files:
        chunks = read(options.files, None if options.mapping is None else Mapping.read(options.mapping))
    else:
        parser.error("name files of events, --state or --journey")
    for name, value in make(chunks, options.out, options.shards).items():
        print(f"{name:>16}  {value}")


if __name__ == "__main__":
    main()
