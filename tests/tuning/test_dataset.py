"""The dataset job: the same result on one shard and on Ray's, from files and from the live log."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from raysys.behavior.world import World
from raysys.dataset.build import Dataset
from raysys.dataset.read import read
from raysys.events import Event, Impression, encode_event
from raysys.state.open import open_store
from tuning.dataset import main, make

WORLD = World(users=40, items=60)
DAYS = 12


def events() -> Iterator[Event]:
    """The world's log, in which every other page answers a query."""
    for number, event in enumerate(WORLD.events(DAYS)):
        if isinstance(event, Impression) and number % 2:
            event = msgspec.structs.replace(event, query=f"words {number % 7}")
        yield event


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in JSON Lines, every tenth line twice, and the items beside it."""
    folder = tmp_path_factory.mktemp("log")
    lines = [encode_event(event) for event in events()]
    (folder / "events.jsonl").write_bytes(b"\n".join(lines + lines[::10]))
    (folder / "items.jsonl").write_bytes(b"\n".join(encode_event(item) for item in WORLD.catalog()))
    return folder


def test_shards_on_ray_give_what_one_shard_gives(files: Path, ray_here: None, tmp_path: Path) -> None:
    reports = [make(read([files]), tmp_path / name, shards) for name, shards in (("one", 1), ("many", 3))]
    one, many = (Dataset.load(tmp_path / name) for name in ("one", "many"))
    assert reports == [one.report, many.report] == [one.report, one.report]
    assert many.interactions.equals(one.interactions)
    assert many.queries.equals(one.queries)
    assert one.report["queries"] == len(one.queries) > 50
    assert one.report["removed"]["sent twice"] > 0


def test_the_command_writes_a_dataset_and_prints_its_report(
    files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(files / "events.jsonl"), str(files / "items.jsonl"), "--out", str(tmp_path / "dataset")])
    data = Dataset.load(tmp_path / "dataset")
    assert len(data.items) == WORLD.items
    assert data.report["fingerprint"] in capsys.readouterr().out


def test_the_live_log_gives_what_the_same_events_give_from_a_file(files: Path, tmp_path: Path) -> None:
    uri = f"sqlite:{tmp_path / 'state.db'}"
    store = open_store(uri)
    store.append([*WORLD.catalog(), *events()], 2_000_000_000_000)
    store.close()
    main(["--state", uri, "--out", str(tmp_path / "live")])
    main([str(files), "--out", str(tmp_path / "file")])
    live, file = (Dataset.load(tmp_path / name) for name in ("live", "file"))
    assert live.report["fingerprint"] == file.report["fingerprint"]
    assert live.report["impressions"] == file.report["impressions"]
    assert live.queries.equals(file.queries)


def test_without_anything_to_read_the_command_says_what_it_wants(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--journey" in capsys.readouterr().err
