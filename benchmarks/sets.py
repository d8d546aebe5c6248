"""Public data sets as files of the event contract, under var/bench: what the benchmarks run on.

The files that have no times get made-up ones: a day an event, the last one of every user on the same
day, so that the order of each user's events is kept and nothing else is said. Who is asked right after
an event is asked a day later.
"""

import argparse
import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from raysys.dataset import complete_journey
from raysys.errors import DataError
from raysys.events import ItemUpdate, Kind, encode_event
from raysys.types import DAY_MS

DATA = Path("../shared/data")
OUT = Path("var/bench")
END = 18_000
"""Day, counted from 1970, of every user's last event where the files have no times."""
RETAILROCKET_KINDS: Mapping[str, Kind] = {"view": "view", "cart": "cart", "buy": "purchase"}

Sequences = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSet:
    """Files of one benchmark."""

    events: Path
    items: Path
    ask: Path | None = None
    """Who is asked what; without it the test is leave-one-out."""
    unseen: int = 0
    """Interactions that the files lack between what is known of somebody and what is asked for."""
    keep_seen: bool = False
    """Whether people take things again, and may be asked for them."""

    def arguments(self) -> list[str]:
        """What the command of the interest model is told."""
        asked = [] if self.ask is None else ["--ask", str(self.ask)]
        skipped = ["--unseen", str(self.unseen)] if self.unseen else []
        seen = ["--keep-seen"] if self.keep_seen else []
        return ["--events", str(self.events), "--items", str(self.items), *asked, *skipped, *seen]


def amazon(name: str) -> Callable[[Path, Path], None]:
    """S3-Rec's Amazon file `name`: purchases, short texts as titles, attribute ids as tags."""

    def write(data: Path, out: Path) -> None:
        folder = data / "amazon_s3rec"
        rows = _table(folder / f"{name}.items.tsv.gz")
        items = [
            ItemUpdate(
                item_id=row["item_id"],
                title=row["short_text"] or row["asin"],
                attributes={"tags": row["attribute_ids"].split()},
            )
            for row in rows
        ]
        histories = [line.split()[1:] for line in _lines(folder / f"{name}.sequences.txt.gz")]
        _write(out, items, timeless(histories, "purchase"))

    return write


def movielens(data: Path, out: Path) -> None:
    """ML-1M as gSASRec published its split: learn from its train file, ask for its test items.

    `exact.parquet` asks the 512 users of whom everything before the test item is in the files, with
    the two items that follow their train history as known; `skip.parquet` asks all 6,040, of whom
    5,528 lack the item right before the one asked for.
    """
    folder = data / "movielens_1m_gsasrec"
    train, known, test = _movielens(folder)
    _write(out, _movies(folder), timeless(train, "view"))
    exact = asked(train, [(n, known[n], test[n]) for n in sorted(known)])
    exact.write_parquet(out / "exact.parquet")
    everybody = [(n, known.get(n, []), item) for n, item in enumerate(test)]
    asked(train, everybody).write_parquet(out / "skip.parquet")


def movielens_int(data: Path, out: Path) -> None:
    """ML-1M's train file with the last two items of 5,528 users held out: the low-noise figure.

    `exact.parquet` asks for the last but one, `skip.parquet` for the last from the same history.
    """
    folder = data / "movielens_1m_gsasrec"
    train, known, _ = _movielens(folder)
    others = [n for n in range(len(train)) if n not in known]
    kept = [items if n in known else items[:-2] for n, items in enumerate(train)]
    _write(out, _movies(folder), timeless(kept, "view"))
    for name, place in (("exact", -2), ("skip", -1)):
        rows = asked(kept, [(n, [], train[n][place]) for n in others])
        rows.write_parquet(out / f"{name}.parquet")


def retailrocket(data: Path, out: Path) -> None:
    """Views, carts and purchases with their times; one purchase a user is asked for.

    The times of these purchases are lost: each user is asked a millisecond after the last event.
    """
    folder = data / "retailrocket_sslrec"
    frame = pl.read_parquet(folder / "events.parquet").sort("timestamp", maintain_order=True)
    events = frame.select(
        pl.lit("interaction").alias("type"),
        pl.col("event").replace_strict(RETAILROCKET_KINDS).alias("kind"),
        pl.col("user_id", "item_id").cast(pl.String),
        (pl.col("timestamp") * 1_000).cast(pl.Int64).alias("time_ms"),
    )
    ask = pl.read_csv(folder / "test_next_buy.csv").select(pl.col("user_id", "item_id").cast(pl.String))
    names = sorted({*events["item_id"].unique(), *ask["item_id"]}, key=int)
    _write(out, [ItemUpdate(item_id=name, title=name) for name in names], events)
    last = events.group_by("user_id").agg(pl.col("time_ms").max() + 1)
    ask.join(last, on="user_id").write_parquet(out / "ask.parquet")


def journey(_: Path, out: Path) -> None:
    """Purchases of Complete Journey, whose households buy again; of a basket the last line comes last."""
    complete_journey.events(out)
    pl.read_parquet(out / "items.parquet").write_ndjson(out / "items.jsonl")
    (out / "items.parquet").unlink()
    (out / "interactions.parquet").rename(out / "events.parquet")


def timeless(histories: Sequence[Sequence[str]], kind: Kind) -> pl.DataFrame:
    """Events of users 0, 1, ..., each in order, a made-up day apart, all ending on day END."""
    sizes = np.array([len(items) for items in histories])
    user = np.repeat(np.arange(len(histories)), sizes)
    from_start = np.arange(len(user)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    day = END - np.repeat(sizes, sizes) + 1 + from_start
    return pl.DataFrame(
        {
            "type": ["interaction"] * len(user),
            "kind": [kind] * len(user),
            "user_id": user.astype(str),
            "item_id": [item for items in histories for item in items],
            "time_ms": day * DAY_MS,
        }
    ).sort("time_ms", maintain_order=True)


def asked(
    histories: Sequence[Sequence[str]], users: Iterable[tuple[int, Sequence[str], str]]
) -> pl.DataFrame:
    """Rows of an ask file: for each (user, items known beside the history, item asked for), in order."""
    rows = []
    for user, known, item in users:
        if not histories[user]:
            raise DataError(f"user {user} has no history to be asked after")
        days = range(END + 1, END + 2 + len(known))
        told = [True] * len(known) + [False]
        rows += [
            {"user_id": str(user), "item_id": one, "time_ms": day * DAY_MS, "known": is_known}
            for one, day, is_known in zip([*known, item], days, told, strict=True)
        ]
    return pl.DataFrame(rows)


def _movielens(folder: Path) -> tuple[Sequences, dict[int, list[str]], list[str]]:
    """Train histories, the two items that follow those of 512 users, and everybody's test item."""
    train = [line.split() for line in _lines(folder / "train_input.txt.gz")]
    place = {tuple(items): n for n, items in enumerate(train)}
    before = [line.split() for line in _lines(folder / "val_input.txt.gz")]
    last = [line.strip() for line in _lines(folder / "val_output.txt")]
    test = [line.strip() for line in _lines(folder / "test_output.txt")]
    # the train history of a validation user is its validation history without the last item
    known = {place[tuple(items[:-1])]: [items[-1], after] for items, after in zip(before, last, strict=True)}
    if not len(train) == len(test) == len(place):
        raise DataError(f"{folder} has {len(train)} histories, {len(place)} distinct, {len(test)} tests")
    return train, known, test


def _movies(folder: Path) -> list[ItemUpdate]:
    return [
        ItemUpdate(
            item_id=row["item_id"],
            title=row["title"],
            category=next(iter(row["genres"].split()), None),
            attributes={"genres": row["genres"].split(), "year": row["year"]},
        )
        for row in _table(folder / "items.tsv")
    ]


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()


def _table(path: Path) -> list[dict[str, str]]:
    head, *rows = (line.split("\t") for line in _lines(path))
    return [dict(zip(head, row, strict=True)) for row in rows]


def _write(out: Path, items: Iterable[ItemUpdate], events: pl.DataFrame) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "items.jsonl").write_bytes(b"".join(encode_event(item) + b"\n" for item in items))
    events.write_parquet(out / "events.parquet")


WRITERS: Mapping[str, Callable[[Path, Path], None]] = {
    "beauty": amazon("Beauty"), "sports": amazon("Sports"), "toys": amazon("Toys"),
    "movielens": movielens, "movielens_int": movielens_int, "retailrocket": retailrocket,
    "journey": journey,
}  # fmt: skip
ASKS: Mapping[str, Mapping[str, tuple[str, int]]] = {
    "movielens": {"exact": ("exact", 0), "skip": ("skip", 1)},
    "movielens_int": {"exact": ("exact", 0), "skip": ("skip", 1)},
    "retailrocket": {"": ("ask", 0)},
}
"""For each set that is not leave-one-out: its ask files, and how many interactions each passes over."""
NAMES = ("beauty", "sports", "toys", "movielens-exact", "movielens-skip",
         "movielens_int-exact", "movielens_int-skip", "retailrocket", "journey")  # fmt: skip
BOUGHT_AGAIN = ("journey",)
"""Sets whose people take things again."""
PACKAGED = ("journey",)
"""Sets that come with the packages of the demo, not with `data`."""


def bench_set(name: str, *, data: Path = DATA, out: Path = OUT) -> BenchSet:
    """The files of a set, written if they are not there yet; `movielens-skip` names a set and its ask.

    Raises:
        DataError: there is no such set, or the data are not here.
    """
    stem, _, ask = name.partition("-")
    if name not in NAMES:
        raise DataError(f"there is no set {name!r}; there are {', '.join(NAMES)}")
    folder = out / stem
    if not (folder / "events.parquet").exists():
        if stem not in PACKAGED and not data.is_dir():
            raise DataError(
                f"{data} is not here: the benchmarks need data that this repository does not hold"
            )
        WRITERS[stem](data, folder)
    file, unseen = ASKS.get(stem, {}).get(ask, (None, 0))
    return BenchSet(
        events=folder / "events.parquet",
        items=folder / "items.jsonl",
        ask=None if file is None else folder / f"{file}.parquet",
        unseen=unseen,
        keep_seen=stem in BOUGHT_AGAIN,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sets and say how to use them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sets", description=__doc__)
    parser.add_argument("sets", nargs="*", default=NAMES)
    for name in parser.parse_args(arguments).sets:
        print(f"{name:>20}  python -m tuning.interest", *bench_set(name).arguments())


if __name__ == "__main__":
    main()
