"""How well rankings of the whole catalog name what users took next: arrays in, one value a user out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.errors import DataError
from raysys.evaluation.metrics import mean_error
from raysys.types import Bools, Floats, Ints

LENGTH = 10
TOLERANCE = 1e-6
BLOCK = 5000
"""Users whom the library sees at a time: it wants their rankings as dictionaries of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextItemMetrics:
    """One value for each of n users, all in [0, 1]."""

    ndcg: Floats
    """(n,) binary NDCG@10; the ideal ranking has min(10, number of true items) of them on top."""
    hit: Floats
    """(n,) 1 where a true item is among the first 10, else 0 (HR@10)."""
    reciprocal: Floats
    """(n,) 1 / (1 + place of the first true item), 0 where it was not reached (MRR is the mean)."""

    def __len__(self) -> int:
        return len(self.ndcg)

    def summary(self) -> dict[str, float]:
        """Means, and their standard errors over users: of one user the largest there can be."""
        found = {}
        for name, values in (("ndcg@10", self.ndcg), ("hr@10", self.hit), ("mrr", self.reciprocal)):
            found[name] = float(values.mean())
            found[f"{name}_se"] = mean_error(values)[1] if len(self) > 1 else 0.5
        return found

    def gain(self, over: "NextItemMetrics") -> dict[str, float]:
        """Mean paired differences over the same users, and their standard errors.

        Raises:
            DataError: the two do not judge equally many users.
        """
        if len(self) != len(over):
            raise DataError(f"{len(self)} users against {len(over)}; pair systems on the same users")
        found = {}
        for name, mine, theirs in (
            ("ndcg@10", self.ndcg, over.ndcg),
            ("hr@10", self.hit, over.hit),
            ("mrr", self.reciprocal, over.reciprocal),
        ):
            found[name], found[f"{name}_se"] = mean_error(mine - theirs)
        return found


def judge(top: Ints, truth: Sequence[Ints], first: Ints | None = None) -> NextItemMetrics:
    """Metrics of rankings, from arrays.

    Args:
        top: (n, K) item rows, best first, -1 where a ranking has ended; no item twice in a row.
        truth: (n,) item rows that were taken, at least one each.
        first: (n,) place of the first true item in the whole ranking, from 0, -1 if it is in none.
            Without it the reciprocal rank looks at K places and is 0 beyond.

    Raises:
        DataError: shapes, repeated items, a user without truth, or `first` against `top`.
    """
    hits = _hits(top, truth)
    gains = 1.0 / np.log2(np.arange(LENGTH) + 2.0)
    ideal = np.concatenate([[0.0], np.cumsum(gains)])[[min(LENGTH, len(np.unique(t))) for t in truth]]
    shown = hits[:, :LENGTH]
    place = _first(hits) if first is None else _checked(first, hits)
    return NextItemMetrics(
        ndcg=shown @ gains[: shown.shape[1]] / ideal,
        hit=np.asarray(shown.any(axis=1), np.float64),
        reciprocal=np.where(place < 0, 0.0, 1.0 / (np.maximum(place, 0) + 1.0)),
    )


def judge_by_library(top: Ints, truth: Sequence[Ints], first: Ints | None = None) -> NextItemMetrics:
    """What `judge` says, computed by ir_measures (nDCG@10, Success@10, RR); the two must agree.

    The library sees K places; a reciprocal rank beyond them is taken from `first`.

    Raises:
        DataError: as `judge`, and where the library's value of a user differs from ours.
    """
    ours = judge(top, truth)
    found: dict[str, Floats] = {name: np.zeros(len(truth)) for name in ("ndcg", "hit", "rr")}
    for start in range(0, len(truth), BLOCK):
        part = slice(start, start + BLOCK)
        for name, values in _by_library(top[part], truth[part]).items():
            found[name][part] = values
    for name, mine in (("ndcg", ours.ndcg), ("hit", ours.hit), ("rr", ours.reciprocal)):
        apart = np.abs(found[name] - mine)
        if (apart > TOLERANCE).any():
            user = int(apart.argmax())
            raise DataError(
                f"{name} of ranking {user} is {mine[user]:.8f} by our arrays and {found[name][user]:.8f} by"
                " ir_measures; one of them is wrong, so nothing is reported"
            )
    reciprocal = found["rr"] if first is None else judge(top, truth, first).reciprocal
    return NextItemMetrics(ndcg=found["ndcg"], hit=found["hit"], reciprocal=reciprocal)


def _by_library(top: Ints, truth: Sequence[Ints]) -> dict[str, Floats]:
    """(n,) ndcg, hit and rr of each user, by ir_measures."""
    import ir_measures

    measures = {"ndcg": ir_measures.nDCG @ LENGTH, "hit": ir_measures.Success @ LENGTH, "rr": ir_measures.RR}
    qrels = {str(n): dict.fromkeys(map(str, rows.tolist()), 1) for n, rows in enumerate(truth)}
    run = {
        str(n): {str(row): -float(place) for place, row in enumerate(rows) if row >= 0}
        for n, rows in enumerate(top.tolist())
    }
    found: dict[str, Floats] = {name: np.zeros(len(truth)) for name in measures}
    names = {measure: name for name, measure in measures.items()}
    for value in ir_measures.iter_calc(list(measures.values()), qrels, run):
        found[names[value.measure]][int(value.query_id)] = value.value
    return found


def _hits(top: Ints, truth: Sequence[Ints]) -> Bools:
    """(n, K) whether the item at each place is true."""
    if top.ndim != 2 or len(top) != len(truth) or not len(truth):
        raise DataError(f"rankings of shape {top.shape} for {len(truth)} users; expected one row a user")
    counts = np.array([len(rows) for rows in truth])
    if (counts == 0).any():
        raise DataError(f"user {int(counts.argmin())} has no true item; leave such users out")
    ordered = np.sort(top, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise DataError("a ranking names an item twice")
    taken = np.concatenate(truth).astype(np.int64)
    if taken.min() < 0:
        raise DataError("a true item has a negative row; leave items out that are not in the catalog")
    wide = int(max(taken.max(), top.max(initial=0))) + 1
    asked = np.arange(len(truth), dtype=np.int64)
    pairs = np.repeat(asked, counts) * wide + taken
    return np.isin(asked[:, None] * wide + top, pairs) & (top >= 0)


def _first(hits: Bools) -> Ints:
    """(n,) place of the first true item, -1 for none."""
    if not hits.shape[1]:
        return np.full(len(hits), -1)
    return np.where(hits.any(axis=1), hits.argmax(axis=1), -1)


def _checked(first: Ints, hits: Bools) -> Ints:
    """`first` (n,), after it was held against what the top shows."""
    if first.shape != (len(hits),):
        raise DataError(f"first has shape {first.shape}, expected ({len(hits)},)")
    seen = _first(hits)
    wrong = np.where(seen >= 0, first != seen, (first >= 0) & (first < hits.shape[1]))
    if wrong.any():
        user = int(wrong.argmax())
        raise DataError(f"ranking {user} has its first true item at {seen[user]}, `first` says {first[user]}")
    return first
