"""The whole loop on the demo's data: dataset, Tune, RLlib, gate, bundle, services, report."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import ray
from tqdm import tqdm

from raysys.ads.journey import ASSUMPTIONS as AD_ASSUMPTIONS
from raysys.ads.journey import journey_ads, journey_conversions, journey_response
from raysys.catalog import Catalog
from raysys.dataset import complete_journey
from raysys.dataset.build import Dataset
from raysys.dataset.read import read
from raysys.errors import RaysysError
from raysys.events import Event, Interaction
from raysys.releases import current
from raysys.state.open import open_store
from raysys.surfaces.experts import Encoder
from raysys.text.static import load_encoder
from raysys.types import DAY_MS
from tuning.dataset import make
from tuning.gate import Verdict, judge
from tuning.loop import LoopSettings, Turn, say, turn
from tuning.release import release
from tuning.serving import Services
from tuning.story import example_calls, latency, tell, write

WEEK_MS = 7 * DAY_MS
TEST_DAYS = 28
BATCH = 2_000
"""Events appended to the store at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Where the demo keeps what it made, and when its days are."""

    folder: Path
    full: bool
    port: int = 8000

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def bundles(self) -> Path:
        return self.folder / "bundles"

    @property
    def state(self) -> str:
        return f"sqlite:{(self.folder / 'state.db').resolve()}"

    @property
    def services(self) -> Services:
        return Services(
            folder=self.folder / "deployments",
            state=self.state,
            records=self.folder / "records",
            pid_file=Path("var/serve.pid"),
            port=self.port,
        )

    def windows(self) -> tuple[int, int, int]:
        """The first moments of the tuning and of the test weeks, and the end; the test weeks begin today."""
        moments = json.loads((self.folder / "windows.json").read_text())
        return moments["tune_ms"], moments["test_ms"], moments["test_ms"] + TEST_DAYS * DAY_MS

    @property
    def later_ms(self) -> int:
        """How much later than in the data everything happens."""
        return int(json.loads((self.folder / "windows.json").read_text())["later_ms"])


def read_data(demo: Demo) -> Dataset:
    """The dataset, made once: moved by whole weeks, so that its test weeks begin in the week of today."""
    if (demo.dataset / "report.json").exists():
        return Dataset.load(demo.dataset)
    tune_ms, test_ms = complete_journey.cuts_ms(complete_journey.package_folder())
    later_ms = (time.time_ns() // 1_000_000 - test_ms) // WEEK_MS * WEEK_MS
    demo.folder.mkdir(parents=True, exist_ok=True)
    moments = {"tune_ms": tune_ms + later_ms, "test_ms": test_ms + later_ms, "later_ms": later_ms}
    (demo.folder / "windows.json").write_text(json.dumps(moments))
    settings = complete_journey.JourneySettings
    source = demo.folder / "events"
    kept = complete_journey.events(source, settings() if demo.full else settings.short(), later_ms=later_ms)
    for line in (*complete_journey.ASSUMPTIONS, *AD_ASSUMPTIONS):
        print("assumed:", line)
    print(f"assumed: everything happens {later_ms // WEEK_MS} weeks later than in the data")
    print("kept:", kept)
    make(read([source]), demo.dataset, 1)
    return Dataset.load(demo.dataset)


def read_catalog(demo: Demo, data: Dataset, encoder: Encoder) -> Catalog:
    """The items with their text vectors, made once."""
    folder = demo.folder / "catalog"
    if folder.exists():
        return Catalog.load(folder)

    def encode(texts: list[str]) -> Any:
        distinct = sorted(set(texts))
        bar = tqdm(distinct, desc="text vectors", unit="text", mininterval=1.0)
        vectors = {text: encoder.encode([text])[0] for text in bar}
        return [vectors[text] for text in texts]

    catalog = Catalog.of(data.items, encode)
    catalog.save(folder)
    return catalog


def fill_state(demo: Demo, events: Sequence[Event], before_ms: int) -> None:
    """The live state as it would be by now: everything that happened before today, made once."""
    done = demo.folder / "state.done"
    if done.exists():
        return
    path = demo.folder / "state.db"
    for left in path.parent.glob("state.db*"):
        left.unlink()
    store = open_store(demo.state)
    try:
        with tqdm(total=len(events), desc="live state", unit="event", mininterval=1.0) as bar:
            for start in range(0, len(events), BATCH):
                batch = events[start : start + BATCH]
                store.append(batch, before_ms)
                bar.update(len(batch))
    finally:
        store.close()
    done.write_text(str(len(events)))


def past(data: Dataset, before_ms: int) -> Iterator[Interaction]:
    """What users did before a moment, as events."""
    frame = data.interactions.filter((pl.col("time_ms") < before_ms) & pl.col("user").str.starts_with("u:"))
    for user, item, kind, time_ms in frame.select("user", "item", "kind", "time_ms").iter_rows():
        yield Interaction(kind=kind, item_id=item, user_id=user.removeprefix("u:"), time_ms=time_ms)


def learn(demo: Demo, encoder: Encoder) -> tuple[Dataset, Turn]:
    """Everything up to a bundle that has not been released yet."""
    say("0/4 the data")
    data = read_data(demo)
    catalog = read_catalog(demo, data, encoder)
    settings = LoopSettings.read()
    network = replace(settings.network, trials=4, minutes=10.0 if demo.full else 3.0)
    people = replace(settings.policy.situations, households=1_200 if demo.full else 300)
    settings = replace(settings, network=network, policy=replace(settings.policy, situations=people))
    settings = replace(settings, windows=3 if demo.full else 1)
    ads = journey_ads(data, later_ms=demo.later_ms)
    made = turn(
        data,
        catalog,
        demo.windows(),
        demo.folder / "learned",
        settings,
        encoder=encoder,
        ads=ads,
        response=journey_response(),
    )
    return data, made


def gate(demo: Demo, made: Turn, *, force: bool) -> tuple[Path | None, Verdict]:
    """Put the bundle through the gate; None if it was refused."""
    say("gate")
    qualities = made.qualities()
    verdict = judge(qualities, None, None)
    print(verdict.table())
    return release(made.bundle, qualities, verdict, demo.bundles, force=force), verdict


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; what was made before is used again."""
    parser = argparse.ArgumentParser(prog="python -m tuning.demo", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all households: the run that claims refer to")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--encoder", type=Path, default=Path("var/encoder"))
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--no-serve", action="store_true", help="stop once the bundle is released")
    parser.add_argument("--force", action="store_true", help="release even if the gate refuses")
    options = parser.parse_args(arguments)
    try:
        return _run(options)
    except RaysysError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    folder = options.out or Path("var/demo-full" if options.full else "var/demo")
    demo = Demo(folder=folder, full=options.full, port=options.port)
    released, sections = current(demo.bundles), None
    if released is None:
        _, made = learn(demo, load_encoder(options.encoder))
        released, verdict = gate(demo, made, force=options.force)
        sections = tell(demo.folder / "report.html", made, verdict)
        if released is None:
            return 1
    else:
        print(f"{released.name} was released before and is used again; `make clean-demo` begins anew")
    ray.shutdown()  # what Tune and RLlib held is free for the services
    if not options.no_serve:
        data = serve(demo, released)
        if sections is not None:
            _, test_ms, _ = demo.windows()
            write(demo.folder / "report.html", [*sections, latency(demo.port, data, test_ms)])
    print(f"\n{time.monotonic() - begun:.0f} s in all")
    return 0


def serve(demo: Demo, released: Path) -> Dataset:
    """Fill the live state, start the services, and show what they answer."""
    say("services")
    data = read_data(demo)
    _, test_ms, _ = demo.windows()
    ads = journey_ads(data, later_ms=demo.later_ms)
    answered = [one for one in journey_conversions(later_ms=demo.later_ms) if one.time_ms < test_ms]
    events: list[Event] = [*ads, *answered, *past(data, test_ms)]
    fill_state(demo, events, test_ms)
    demo.services.start(released)
    example_calls(demo.port, data, test_ms)
    return data


if __name__ == "__main__":
    raise SystemExit(main())
