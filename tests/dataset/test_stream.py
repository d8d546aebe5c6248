"""One epoch shows every user once, with a complete history, whatever the size of the chunks and files."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysys.behavior.world import World
from raysys.dataset.build import Dataset
from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events
from raysys.dataset.stream import file_chunks, interaction_files, user_chunks
from raysys.errors import DataError

WORLD = World(seed=1, users=60, items=80)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of many files of a few users each."""
    path = tmp_path_factory.mktemp("data") / "dataset"
    prepare([of_events(WORLD.events(30))], path, file_rows=20)
    return path


def histories(frame: pl.DataFrame) -> dict[str, list[tuple[object, ...]]]:
    told = frame.select("user", "item", "kind", "time_ms")
    return {user: part.rows() for (user,), part in told.group_by("user", maintain_order=True)}


@settings(max_examples=25, deadline=None)
@given(users=st.integers(1, 70), mixed=st.integers(1, 9), seed=st.none() | st.integers(0, 9))
def test_every_user_is_in_one_chunk_with_a_complete_history(
    users: int, mixed: int, seed: int | None, folder: Path
) -> None:
    chunks = [histories(chunk) for chunk in user_chunks(folder, users, seed, mixed=mixed)]
    whole = histories(Dataset.load(folder).interactions)
    assert {user: rows for chunk in chunks for user, rows in chunk.items()} == whole
    assert [len(chunk) for chunk in chunks[:-1]] == [users] * (len(chunks) - 1)
    assert sum(len(chunk) for chunk in chunks) == len(whole)


def test_a_seed_is_an_order_and_another_seed_another(folder: Path) -> None:
    def epoch(seed: int | None) -> list[list[str]]:
        return [chunk["user"].unique(maintain_order=True).to_list() for chunk in user_chunks(folder, 5, seed)]

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)
    assert {frozenset(chunk) for chunk in epoch(1)}.isdisjoint({frozenset(chunk) for chunk in epoch(2)})
    assert epoch(None) == epoch(None) != epoch(1)


def test_no_more_files_than_are_mixed_are_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = pl.read_parquet

    def counted(paths: list[Path], **more: object) -> pl.DataFrame:
        read.append(len(paths))
        return real(paths, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(pl, "read_parquet", counted)
    chunks = user_chunks(folder, 1, 0, mixed=3)
    next(chunks)
    assert read == [3]
    assert sum(1 for _ in chunks) + 1 == len(histories(Dataset.load(folder).interactions))
    assert max(read[:-1]) == 3


def test_other_columns_come_where_they_are_wanted(folder: Path) -> None:
    [chunk] = user_chunks(folder, 1_000, 0, columns=("weight", "session"))
    assert chunk.columns == ["user", "weight", "session"]
    assert len(chunk) == len(Dataset.load(folder).interactions)


def test_an_empty_log_has_no_chunks(tmp_path: Path) -> None:
    prepare([of_events([])], tmp_path)
    assert list(user_chunks(tmp_path, 5, 0)) == []


def test_what_cannot_be_streamed_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no dataset"):
        next(user_chunks(tmp_path, 5, 0))
    with pytest.raises(DataError, match="must be 1 or more"):
        next(user_chunks(folder, 0, 0))


def test_the_files_one_by_one_hold_what_all_of_them_hold(folder: Path) -> None:
    parts = [list(file_chunks(path, 3)) for path in interaction_files(folder)]
    assert all(chunk["user"].n_unique() <= 3 for part in parts for chunk in part)
    together = [histories(chunk) for part in parts for chunk in part]
    whole = histories(Dataset.load(folder).interactions)
    assert {user: rows for chunk in together for user, rows in chunk.items()} == whole
    assert sum(map(len, together)) == len(whole)
    with pytest.raises(DataError, match="must be 1 or more"):
        list(file_chunks(interaction_files(folder)[0], 0))
