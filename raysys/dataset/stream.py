"""Complete histories of users, some users at a time, from a dataset that need not fit in memory."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from raysys.dataset.prepare import INTERACTIONS
from raysys.dataset.queries import read_queries, woven
from raysys.errors import DataError


def interaction_files(folder: Path) -> list[Path]:
    """The files of a dataset's interactions; each holds all interactions of its users, by user and time."""
    if not (folder / "report.json").is_file():
        raise DataError(f"{folder} holds no dataset; run tuning.dataset first")
    return sorted((folder / INTERACTIONS).glob("*.parquet"))


def user_chunks(
    folder: Path,
    users_per_chunk: int,
    seed: int | None,
    *,
    columns: tuple[str, ...] = ("item", "kind", "time_ms"),
    mixed: int = 4,
    queries: bool = False,
) -> Iterator[pl.DataFrame]:
    """One epoch over a dataset: every user is in exactly one chunk, with a complete history.

    A chunk is a frame of `user` and `columns`. A user's rows follow each other in order of time, at
    one time in the order in which they were read. Every chunk has `users_per_chunk` users but the
    last, which may have fewer.

    The same seed gives the same chunks; another seed, as for the next epoch, another order of the files,
    other users side by side. Memory holds `mixed` files (of prepare.FILE_ROWS interactions or one
    bucket of users, whichever is more) and a chunk, whatever the size of the dataset.

    Args:
        folder: what `prepare` wrote.
        seed: None reads in the order of the files, which is the same in every epoch.
        columns: others may be value, weight, rating, session, query_id, ad_id.
        mixed: files among which users are shuffled.
        queries: whether what users asked for stands between their interactions, in rows of `user`, `time_ms`
            and a column `query` alone; it is null in the others.

    Raises:
        DataError: there is no dataset, or a number is below 1.
    """
    if users_per_chunk < 1 or mixed < 1:
        raise DataError(f"users_per_chunk is {users_per_chunk} and mixed is {mixed}, both must be 1 or more")
    files = interaction_files(folder)
    random = None if seed is None else np.random.default_rng(seed)
    if random is not None:
        random.shuffle(files)
    parts = (files[start : start + mixed] for start in range(0, len(files), mixed))
    read = (_read(part, columns, queries) for part in parts)
    yield from _chunked((_shuffled(frame, random) for frame in read), users_per_chunk)


def file_chunks(
    path: Path,
    users_per_chunk: int,
    *,
    columns: tuple[str, ...] = ("item", "kind", "time_ms"),
    queries: bool = False,
) -> Iterator[pl.DataFrame]:
    """The users of one of the `interaction_files`, in its order; chunks as those of `user_chunks`.

    Raises:
        DataError: `users_per_chunk` is below 1.
    """
    if users_per_chunk < 1:
        raise DataError(f"users_per_chunk is {users_per_chunk}, must be 1 or more")
    yield from _chunked(iter([_read([path], columns, queries)]), users_per_chunk)


def _read(files: list[Path], columns: tuple[str, ...], queries: bool) -> pl.DataFrame:
    frame = pl.read_parquet(files, columns=["user", *columns])
    return woven(frame, read_queries(files)) if queries else frame


def _chunked(frames: Iterator[pl.DataFrame], users: int) -> Iterator[pl.DataFrame]:
    """Chunks of `users` users from some frames, the last one of what is left."""
    rest: list[pl.DataFrame] = []
    for frame in frames:
        yield from _cut(frame, users, rest)
    if rest and len(last := pl.concat(rest)):
        yield last


def _shuffled(frame: pl.DataFrame, random: np.random.Generator | None) -> pl.DataFrame:
    """The same users in another order, their rows as they were."""
    if random is None:
        return frame
    first = _starts(frame)
    sizes = np.diff(first, append=len(frame))
    order = random.permutation(len(first))
    ends = np.cumsum(sizes[order])
    shift = first[order] - (ends - sizes[order])
    return frame.select(pl.all().gather(np.arange(len(frame)) + np.repeat(shift, sizes[order])))


def _cut(frame: pl.DataFrame, users: int, rest: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Chunks of `users` users from `rest` and `frame`; what does not fill one stays in `rest`."""
    frame = pl.concat([*rest, frame])
    rest.clear()
    starts = _starts(frame)
    bounds = [*starts[::users].tolist(), len(frame)]
    for low, high in pairwise(bounds):
        part = frame[low:high]
        if high < len(frame) or len(starts) % users == 0:
            yield part
        else:
            rest.append(part)


def _starts(frame: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first row of each user."""
    user = frame["user"]
    return np.flatnonzero((user != user.shift(1)).fill_null(True).to_numpy())
