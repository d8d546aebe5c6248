"""Job: files of events, or the demo's data, become a dataset; Ray cleans the shards side by side."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from raysys.config import read_settings, read_toml
from raysys.dataset import complete_journey
from raysys.dataset.build import Cleaned, Dataset, Shard, build
from raysys.dataset.clean import CleanSettings
from raysys.dataset.mapping import Mapping
from raysys.dataset.read import Read, of_events, read
from raysys.dataset.split import WeightSettings
from raysys.state.open import open_store

SETTINGS = Path(__file__).with_name("settings.toml")


def over_ray(clean: Callable[[Shard], Cleaned], shards: list[Shard]) -> Iterator[Cleaned]:
    """One Ray task a shard; the answers come in the order of the shards."""
    import ray

    task = ray.remote(clean)
    pending = [task.remote(shard) for shard in shards]
    for reference in tqdm(pending, desc="cleaning", unit="shard"):
        yield ray.get(reference)


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
        yield of_events(event for _, event in store.events())
    finally:
        store.close()


def make(chunks: Iterable[Read], out: Path, shards: int) -> Dataset:
    """Build and save a dataset with the settings of `settings.toml`."""
    out.mkdir(parents=True, exist_ok=True)
    table = read_toml(SETTINGS).get("dataset", {})
    data = build(
        tqdm(chunks, desc="reading", unit="chunk"),
        clean=read_settings(CleanSettings, table.get("clean", {})),
        weights=read_settings(WeightSettings, table.get("weights", {})),
        shards=shards,
        run=map if shards == 1 else over_ray,
        quarantine=out / "quarantine.jsonl",
    )
    data.save(out)
    return data


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
    for name, value in make(chunks, options.out, options.shards).report.items():
        print(f"{name:>16}  {value}")


if __name__ == "__main__":
    main()
