"""Moments at which somebody asked for a ranking, as arrays: what behavior is fitted on and simulated from."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from raysys.errors import DataError
from raysys.types import SURFACES, Bools, Floats, Ints

_NAMES = ("context_names", "wish_names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """N moments at which somebody asked for a ranking, in order of session and step; C candidates, padded.

    Padding may hold any finite number; nothing reads it.
    """

    surface: Ints
    """(N,) index into SURFACES."""
    context: Floats
    """(N, F) what the policy sees, as of before the session (`raysys.policy.context`)."""
    context_names: tuple[str, ...]
    """Names of the F context features: the simulator renews those that serving would renew."""
    signals: Floats
    """(N, C, S) standardized signals."""
    present: Bools
    """(N, C) candidates that exist."""
    wish: Floats
    """(N, C, W) what the choice model sees: its own features, never the interest model's output."""
    wish_names: tuple[str, ...]
    """Names of the W wish features. `popularity` (higher is more popular) and `own` (above 0 where the
    person bought the candidate before) are read by the fidelity report."""
    margin: Floats
    """(N, C) money that a purchase yields."""
    bid: Floats
    """(N, C) money that a click on a promoted candidate yields, 0 for others."""
    group: Ints
    """(N, C) group (product type) for satiation, -1 where there is none."""
    bought: Bools
    """(N, C) what was really bought then."""
    person: Ints
    """(N,)"""
    session: Ints
    """(N,) rising; the steps of a session are consecutive and in order."""

    def __post_init__(self) -> None:
        self._check_shapes()
        if np.any(np.diff(self.session, prepend=0) < 0):
            raise DataError("sessions must rise from 0 or more; sort the situations by session and step")
        if np.any((self.surface < 0) | (self.surface >= len(SURFACES))):
            raise DataError(f"surface must be an index into {SURFACES}")
        self._check_values()

    def __len__(self) -> int:
        return len(self.surface)

    @property
    def starts(self) -> Ints:
        """(M,) where each of the M sessions begins."""
        return np.flatnonzero(np.diff(self.session, prepend=-1) != 0)

    @property
    def lengths(self) -> Ints:
        """(M,) steps of each session."""
        return np.diff(np.append(self.starts, len(self)))

    def take(self, sessions: Ints) -> Self:
        """The situations of these sessions, in the order of the log; ids stay what they were."""
        return self.where(np.isin(self.session, sessions))

    def where(self, keep: Bools) -> Self:
        """Those that `keep` (N,) says."""
        arrays = {name: getattr(self, name)[keep] for name in _arrays()}
        return replace(self, **arrays)

    def split(self, share: float, seed: int = 0) -> tuple[Self, Self]:
        """Those of a random `share` of the people, and those of the others."""
        if not 0.0 <= share <= 1.0:
            raise DataError(f"share is {share}, expected a number from 0 to 1")
        people, code = np.unique(self.person, return_inverse=True)
        chosen = np.random.default_rng(seed).permutation(len(people)) < round(share * len(people))
        return self.where(chosen[code]), self.where(~chosen[code])

    def save(self, folder: Path) -> None:
        """Write one `.npy` a column and `names.json` into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _arrays():
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        (folder / "names.json").write_text(json.dumps({name: getattr(self, name) for name in _NAMES}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        try:
            names = json.loads((folder / "names.json").read_text())
            columns: dict[str, Any] = {
                name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in _arrays()
            }
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no situations: {error}; write them again") from error
        return cls(**columns | {name: tuple(names[name]) for name in _NAMES})

    def _check_shapes(self) -> None:
        size, width = self.present.shape
        expected = {
            "surface": (size,), "person": (size,), "session": (size,),
            "context": (size, len(self.context_names)),
            "signals": (size, width, self.signals.shape[-1]),
            "wish": (size, width, len(self.wish_names)),
            "margin": (size, width), "bid": (size, width), "group": (size, width), "bought": (size, width),
        }  # fmt: skip
        for name, shape in expected.items():
            if (found := getattr(self, name).shape) != shape:
                raise DataError(f"{name} has shape {found}, expected {shape}", field=name)

    def _check_values(self) -> None:
        if len(self) and not self.present.any(axis=1).all():
            empty = int(np.argmin(self.present.any(axis=1)))
            raise DataError(f"situation {empty} has no candidate; leave it out", field="present")
        if np.any(self.bought & ~self.present):
            raise DataError("bought names candidates that are not present", field="bought")
        for name in ("context", "signals", "wish", "margin", "bid"):
            if not np.isfinite(getattr(self, name)).all():
                raise DataError(f"{name} holds NaN or infinity; fill what is missing with 0", field=name)
        same = self.session[1:] == self.session[:-1]
        if np.any(self.person[1:][same] != self.person[:-1][same]):
            raise DataError("a session has steps of two people; number sessions by person", field="session")


def _arrays() -> list[str]:
    return [field.name for field in fields(Situations) if field.name not in _NAMES]
