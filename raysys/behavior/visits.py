"""When people come back: the chance of another visit soon, from the rhythm of the visits so far."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.errors import DataError
from raysys.types import DAY_MS, Bools, Floats, Ints

WITHIN_DAYS = 7.0
WINDOWS_DAYS = (7.0, 28.0, 84.0)
FEATURES = (
    "log_gap",
    *(f"log_visits:{days:g}d" for days in WINDOWS_DAYS),
    "log_visits",
    "log_mean_gap",
    "log_usual_gap",
    "log_size",
    *(f"weekday:{day}" for day in range(7)),
)
"""The names of the V features of a visit, in order; all are known when it is over."""
_RECENT = 0.7
"""What each visit leaves of the gaps before it in the usual gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visits:
    """n visits, one for each person and day, in order of person and time."""

    person: Ints
    time_ms: Ints
    """(n,) the first moment of the visit."""
    size: Ints
    """(n,) interactions of the visit, in shops the basket."""

    @classmethod
    def of(cls, person: Ints, time_ms: Ints, day_starts_ms: int = 0) -> Self:
        """From the columns (N,) of a log, in any order; a day begins `day_starts_ms` after midnight."""
        if person.shape != time_ms.shape:
            raise DataError(
                f"person has shape {person.shape} and time_ms {time_ms.shape}, expected one shape"
            )
        order = np.lexsort((time_ms, person))
        person, time_ms = person[order], time_ms[order]
        day = (time_ms - day_starts_ms) // DAY_MS
        starts = np.flatnonzero((np.diff(person, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0))
        return cls(
            person=person[starts],
            time_ms=time_ms[starts],
            size=np.diff(np.append(starts, len(person))),
        )

    def __len__(self) -> int:
        return len(self.person)

    def where(self, keep: Bools) -> Self:
        """Those that `keep` (n,) says; gaps are then between those that are left."""
        return type(self)(person=self.person[keep], time_ms=self.time_ms[keep], size=self.size[keep])

    def gaps(self) -> Floats:
        """Days (n,) to the next visit of the same person; NaN at the last."""
        gap = np.full(len(self), np.nan)
        same = self.person[1:] == self.person[:-1]
        gap[:-1][same] = np.diff(self.time_ms)[same] / DAY_MS
        return gap

    def returned(self, until_ms: int, within_days: float = WITHIN_DAYS) -> Floats:
        """Whether (n,) 1 or 0 the next visit came in time; NaN where a log up to `until_ms` cannot tell."""
        told = self.time_ms + within_days * DAY_MS < until_ms  # else only those who came would be known
        return np.where(told, self.gaps() <= within_days, np.nan)

    def features(self) -> Floats:
        """(n, V) float64, of a visit and those before it."""
        since = np.full(len(self), np.nan)
        since[1:] = self.gaps()[:-1]
        first = np.flatnonzero(np.diff(self.person, prepend=-1) != 0)
        start = np.repeat(first, np.diff(np.append(first, len(self))))
        count = np.arange(len(self)) - start + 1
        span = (self.time_ms - self.time_ms[start]) / DAY_MS
        columns = [
            np.log1p(np.nan_to_num(since, nan=WITHIN_DAYS)),
            *(np.log(np.arange(1, len(self) + 1) - self._before(days)) for days in WINDOWS_DAYS),
            np.log(count),
            np.log1p((span + WITHIN_DAYS) / count),
            self._usual(np.log1p(since), count),
            np.log(self.size),
        ]
        weekday = self.time_ms // DAY_MS % 7
        return np.column_stack([*columns, weekday[:, None] == np.arange(7)])

    def _before(self, days: float) -> Ints:
        """(n,) where a person's visits of less than `days` ago begin."""
        code = np.unique(self.person, return_inverse=True)[1]
        base = int(self.time_ms.min(initial=0))
        width = int(self.time_ms.max(initial=0)) - base + int(days * DAY_MS) + 1  # keeps people apart
        place = code * width + (self.time_ms - base)
        return np.asarray(np.searchsorted(place, place - int(days * DAY_MS), side="right"))

    def _usual(self, log_gap: Floats, count: Ints) -> Floats:
        """(n,) mean of a person's log gaps so far, where late ones count more; of one visit, a week."""
        usual = np.full(len(self), np.log1p(WITHIN_DAYS))
        for turn in range(2, int(count.max(initial=1)) + 1):
            at = np.flatnonzero(count == turn)
            keep = _RECENT if turn > 2 else 0.0
            usual[at] = keep * usual[at - 1] + (1.0 - keep) * log_gap[at]
        return usual


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitModel:
    """The chance of another visit within WITHIN_DAYS: a logistic regression."""

    center: Floats
    """(V,)"""
    scale: Floats
    weights: Floats
    bias: float

    def probs(self, features: Floats) -> Floats:
        """(n,) for features (n, V)."""
        logits = (features - self.center) / self.scale @ self.weights + self.bias
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits))


def fit_visits(features: Floats, returned: Floats) -> VisitModel:
    """Fit on visits with features (n, V) and `returned` (n,); NaN is left out."""
    known = np.isfinite(returned)
    if len(np.unique(returned[known])) < 2:
        raise DataError("somebody must have come back in time and somebody not; give a longer log")
    from sklearn.linear_model import LogisticRegression

    center = features[known].mean(axis=0)
    scale = np.maximum(features[known].std(axis=0), 1e-9)
    found = LogisticRegression(max_iter=500).fit((features[known] - center) / scale, returned[known])
    return VisitModel(center=center, scale=scale, weights=found.coef_[0], bias=float(found.intercept_[0]))
