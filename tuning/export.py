"""Job: the best items of every user, and the vectors of users and items, as Parquet."""

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from raysys.dataset.stream import file_chunks, interaction_files
from raysys.errors import DataError
from raysys.types import Floats, Surface
from tuning.dataset import over_ray
from tuning.lists import Known, Lister, known_of, load_lister

TOP, USERS, ITEMS = "top", "users", "items.parquet"
CHUNK = 512
"""Users of a row group; memory holds that many, and one file of the dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of the dataset, whose users' lists and vectors are to be written to a draft."""

    file: Path
    draft: Path
    bundle: Path
    data: Path
    surface: Surface
    now_ms: int
    top: int


def export(
    bundle: Path,
    data: Path,
    out: Path,
    *,
    top: int = 100,
    shards: int = 1,
    now_ms: int | None = None,
    surface: Surface = "feed",
) -> dict[str, Any]:
    """Write the lists and vectors of all users of a dataset to the new folder `out`; its report.

    `top`/ has (user, position, item_id, `KIND_prob` of every kind), best first by the primary
    kind; `users`/ has (user, vector) and `items.parquet` (item_id, vector) if the bundle has a
    network: that of the first one, where scores are the average of several. A user is a state key.

    Args:
        data: folder of tuning.dataset, which has left out who refused or was forgotten.
        top: items of a user, at most.
        shards: Ray tasks at a time, one file each; any number gives the same.
        now_ms: the moment as of which lists are made; just after the dataset's last one if not given.
        surface: whose standing filters hold.

    Raises:
        BundleError: the bundle has no interest model.
        DataError: there is no dataset, `out` exists, or `top` is below 1.
    """
    if out.exists():
        raise DataError(f"{out} exists and an export is never overwritten; choose another name")
    if top < 1:
        raise DataError(f"top is {top}, must be 1 or more")
    files = interaction_files(data)
    told = json.loads((data / "report.json").read_text())
    now_ms = (told["last_ms"] or 0) + 1 if now_ms is None else now_ms
    bundle, data = bundle.absolute(), data.absolute()
    lister = load_lister(bundle, data, surface)
    with _draft(out) as draft:
        parts = [
            Part(
                file=file.absolute(),
                draft=draft,
                bundle=bundle,
                data=data,
                surface=surface,
                now_ms=now_ms,
                top=top,
            )
            for file in files
        ]
        users = _in_ray(parts, shards) if shards > 1 else _here(parts, told["users"])
        if lister.network is not None:
            _items(lister).write_parquet(draft / ITEMS)
        asked = {"now_ms": now_ms, "top": top, "surface": surface}
        report = _report(lister, {"dataset": told["fingerprint"], **asked, "users": users})
        (draft / "report.json").write_text(json.dumps(report, indent=1))
    return report


def export_file(part: Part, watch: Callable[[int], Any] = lambda users: None) -> int:
    """Write one file's users, a row group for each chunk; how many they are."""
    lister = load_lister(part.bundle, part.data, part.surface)
    tops, vectors = (_Growing(part.draft / name / part.file.name) for name in (TOP, USERS))
    users = 0
    with tops, vectors:
        for chunk in _with_an_empty_one(file_chunks(part.file, CHUNK, queries=True)):
            people = list(known_of(chunk, lister.catalog, part.now_ms))
            tops.add(_tops(lister, people, part))
            if lister.network is not None:
                vectors.add(_vectors(lister, people, part.now_ms))
            users += len(people)
            watch(len(people))
    return users


def _here(parts: list[Part], users: int) -> int:
    """One file after the other in this process, watched user by user."""
    with tqdm(total=users, desc="exporting", unit="user") as bar:
        return sum(export_file(part, bar.update) for part in parts)


def _in_ray(parts: list[Part], shards: int) -> int:
    return sum(over_ray(shards)(export_file, parts))


def _with_an_empty_one(chunks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """First a chunk of nobody, so that a file without users has its columns all the same."""
    names = ("user", "item", "kind", "query")
    schema: dict[str, Any] = dict.fromkeys(names, pl.String) | {"time_ms": pl.Int64}
    yield pl.DataFrame(schema=schema)
    yield from chunks


def _tops(lister: Lister, people: list[Known], part: Part) -> pl.DataFrame:
    """The lists of some users, one row for each item."""
    lists = [lister.top(one.habits, one.hidden, part.now_ms, part.top) for one in people]
    sizes = [len(rows) for rows, _ in lists]
    ids = [lister.catalog.item_ids[row] for rows, _ in lists for row in rows.tolist()]
    kinds = lister.interest.kinds
    probs = np.concatenate([np.zeros((0, len(kinds)), np.float32), *(prob for _, prob in lists)])
    users = pl.Series([one.user for one in people], dtype=pl.String)
    place = np.concatenate([np.zeros(0, np.int32), *(np.arange(size, dtype=np.int32) for size in sizes)])
    columns = {
        "user": users.gather(np.repeat(np.arange(len(people)), sizes).astype(np.uint32)),
        "position": pl.Series(place),
        "item_id": pl.Series(ids, dtype=pl.String),
        **{f"{kind}_prob": pl.Series(probs[:, number]) for number, kind in enumerate(kinds)},
    }
    return pl.DataFrame(columns)


def _vectors(lister: Lister, people: list[Known], now_ms: int) -> pl.DataFrame:
    """The vectors of some users."""
    assert lister.network is not None
    vectors = np.zeros((len(people), lister.network.encoder.width), np.float32)
    for number, one in enumerate(people):
        vectors[number] = lister.vector(one.habits, now_ms)
    return _named("user", [one.user for one in people], vectors)


def _items(lister: Lister) -> pl.DataFrame:
    """The vectors of all items."""
    assert lister.network is not None
    return _named("item_id", list(lister.catalog.item_ids), np.asarray(lister.network.vectors, np.float32))


def _named(name: str, ids: list[str], vectors: Floats) -> pl.DataFrame:
    """Ids (n,) beside their vectors (n, D)."""
    kind = pl.Array(pl.Float32, vectors.shape[1])
    return pl.DataFrame({name: pl.Series(ids, dtype=pl.String), "vector": pl.Series(vectors, dtype=kind)})


def _report(lister: Lister, done: dict[str, Any]) -> dict[str, Any]:
    network = lister.network
    return {
        "bundle": lister.bundle_id,
        **done,
        "items": len(lister.catalog),
        "kinds": lister.interest.kinds,
        "primary": lister.interest.primary,
        "width": None if network is None else network.encoder.width,
        "networks": 0 if network is None else 1 + len(network.beside),
    }


class _Growing:
    """A Parquet file that grows by one row group at a time; none if nothing is added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "_Growing":
        return self

    def __exit__(self, *why: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, frame: pl.DataFrame) -> None:
        from pyarrow.parquet import ParquetWriter

        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when all went well, and is gone when not."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.parent.absolute() / f".{out.name}.{os.getpid()}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def main(arguments: list[str] | None = None) -> None:
    """Export, then print the report."""
    parser = argparse.ArgumentParser(prog="python -m tuning.export", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of tuning.dataset")
    parser.add_argument("--out", type=Path, required=True, help="a folder that does not exist yet")
    parser.add_argument("--top", type=int, default=100)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--now-ms", type=int, help="make the lists as of then")
    parser.add_argument("--surface", choices=["feed", "search", "ads"], default="feed")
    options = parser.parse_args(arguments)
    report = export(
        options.bundle,
        options.data,
        options.out,
        top=options.top,
        shards=options.shards,
        now_ms=options.now_ms,
        surface=options.surface,
    )
    for name, value in report.items():
        print(f"{name:>10}  {value}")


if __name__ == "__main__":
    main()
