"""Several workers: they learn what one learns, and go on after a failure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events
from raysys.errors import DataError
from raysys.events import KINDS, Impression, Interaction, ItemUpdate
from raysys.interest.encoder import UserEncoder
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.queries import Queries
from raysys.interest.train import fit_network
from raysys.types import DAY_MS
from tests.fakes import shop
from tuning.log import read_log
from tuning.parallel import Lesson, Source, fit_parallel

CONFIG = NetworkConfig(width=16, dropout=0.0, batch_tokens=128, learning_rate=0.01, epochs=3, patience=9)
USERS, ITEMS, DAYS = 24, 12, 12


def rounds() -> Interactions:
    """Everybody buys two items a day, and the next two in a circle on the next day."""
    deeds = [
        (day, user, (2 * (day + user) + one) % ITEMS)
        for day in range(DAYS)
        for user in range(USERS)
        for one in range(2)
    ]
    day, user, row = np.array(deeds).T
    kind = np.full(len(deeds), KINDS.index("purchase"))
    whose, after = np.divmod(np.arange(USERS * DAYS), DAYS)  # a query after each day's first item
    queries = Queries.of(
        user=whose, time_ms=after * DAY_MS, after=2 * after + 1, texts=[f"word{n % 5} fresh" for n in whose]
    )
    return Interactions(user=user, row=row, kind=kind, time_ms=day * DAY_MS, queries=queries)


def lesson() -> Lesson:
    events = rounds()
    cut = (DAYS - 2) * DAY_MS
    return Lesson(events=events.before(cut), catalog=shop(ITEMS), valid=events.since(cut))


@dataclass(frozen=True)
class Breaking:
    """The same lesson, whose second epoch cannot be read at first; it notes who reads which epoch."""

    folder: Path

    def __call__(self) -> Lesson:
        whole = lesson()
        assert isinstance(whole.events, Interactions)
        events = whole.events

        def chunks(number: int) -> Iterator[Interactions]:
            with (self.folder / "read").open("a") as file:
                file.write(f"{number}\n")
            if number == 1 and not (self.folder / "broke").exists():
                (self.folder / "broke").touch()
                raise OSError("the disk is gone")
            yield events

        return replace(whole, events=chunks)


@pytest.mark.usefixtures("ray_here")
def test_two_workers_learn_what_one_learns_even_if_one_of_them_fails(tmp_path: Path) -> None:
    whole = lesson()
    alone = fit_network(whole.events, whole.catalog, CONFIG, whole.valid, device="cpu")
    expected = list(alone)
    reports = fit_parallel(Breaking(tmp_path), CONFIG, tmp_path / "out", workers=2, cpus=0.5, patience_s=60)
    # a pass for the counts, twice, and the first epoch, once: it was not repeated after the failure
    assert (tmp_path / "read").read_text().split().count("0") == 2 * 3
    assert (tmp_path / "broke").exists()
    assert [report.epoch for report in reports] == [1, 2, 3]
    for mine, its in zip(reports, expected, strict=True):
        assert mine.events == its.events
        assert mine.loss == pytest.approx(its.loss, rel=1e-3)
        assert mine.ndcg == pytest.approx(its.ndcg, abs=0.02)
    encoder = UserEncoder.load(tmp_path / "out" / "network")
    vectors = alone.model.identity.weight.detach().numpy()
    assert np.abs(encoder.item_vectors(whole.catalog) - vectors).max() < 0.02 * np.abs(vectors).max()
    assert encoder.words is not None
    assert alone.model.words is not None
    words = alone.model.words.detach().numpy()
    assert np.abs(encoder.words[1] - words).max() < 0.02 * np.abs(words).max()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    events: list[Interaction | Impression | ItemUpdate] = [
        ItemUpdate(item_id=f"i{n}", title=f"thing {n}") for n in range(4)
    ]
    for day in range(19_000, 19_007):
        for user in range(5):
            item_id, time_ms = f"i{(day + user) % 4}", day * DAY_MS
            events.append(Interaction(kind="click", item_id=item_id, user_id=f"u{user}", time_ms=time_ms))
            events.append(
                Impression(
                    query_id=f"q{day}-{user}", surface="search", item_ids=[item_id], time_ms=time_ms,
                    user_id=f"u{user}", query=f"word{user}",
                )
            )  # fmt: skip
    out = tmp_path_factory.mktemp("data") / "dataset"
    prepare([of_events(events)], out)
    return out


def test_a_source_streams_what_it_holds_otherwise(folder: Path) -> None:
    held = Source(folder=folder, horizon_days=2.0)()
    read = Source(folder=folder, horizon_days=2.0, users_per_chunk=2)()
    assert isinstance(held.events, Interactions)
    assert held.valid is not None
    assert read.valid is not None
    assert callable(read.events)
    assert held.valid.time_ms.min() > held.events.time_ms.max()
    found, expected = Interactions.joined(list(read.events(0))).queries, held.events.queries
    for name in ("user", "time_ms", "after"):
        np.testing.assert_array_equal(np.sort(getattr(found, name)), np.sort(getattr(expected, name)), name)
    assert len(found) == 5 * 5
    assert sorted(zip(read.valid.user, read.valid.row, strict=True)) == sorted(
        zip(held.valid.user, held.valid.row, strict=True)
    )
    chunks = list(read.events(0))
    assert len(chunks) == 3
    cells = [cell for chunk in chunks for cell in zip(chunk.user, chunk.time_ms, chunk.row, strict=True)]
    assert sorted(cells) == sorted(zip(held.events.user, held.events.time_ms, held.events.row, strict=True))
    log, catalog = read_log(folder, None)
    assert catalog.item_ids == held.catalog.item_ids
    assert len(log) == len(held.events) + len(held.valid)


def test_a_horizon_longer_than_the_log_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="before the last 99"):
        Source(folder=folder, horizon_days=99.0)()
