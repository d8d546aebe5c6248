"""The signals: what may be weighed for a candidate, and how raw values come to one scale.

Every function here is candidate-isolated: a row's value does not depend on other rows.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from raysys.errors import BundleError
from raysys.types import DAY_MS, Floats, Ints

SIGNALS: tuple[str, ...] = (
    "engine",
    "relevance",
    "interest",
    "repeat",
    "price_fit",
    "margin",
    "interest_margin",
    "freshness",
    "popularity",
    "uncertainty",
    "ad_value",
)
"""S, in the order of the columns of every signal array."""

ENGINE = SIGNALS.index("engine")
CLIP = 4.0
FRESH_DAYS = 30.0

DEFAULTS: dict[str, tuple[float, float]] = {
    "engine": (0.3, 0.2),
    "relevance": (0.5, 0.2),
    "interest": (-4.0, 2.0),
    "repeat": (0.2, 0.3),
    "price_fit": (-0.7, 0.6),
    "margin": (0.3, 0.2),
    "interest_margin": (0.05, 0.1),
    "freshness": (0.2, 0.3),
    "popularity": (3.0, 2.0),
    "uncertainty": (0.5, 0.3),
    "ad_value": (0.0, 0.05),
}
"""Center and scale of each signal before anything was measured in a shop; relevance is as
`benchmarks.search` finds it for candidates of a real engine, with an encoder (.17) and without one (.24)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalConstants:
    """Center and scale of each signal, measured at training time and never from a request."""

    names: tuple[str, ...]
    center: Floats
    """(S,)"""
    scale: Floats
    """(S,), all above 0."""

    def __post_init__(self) -> None:
        if self.center.shape != (len(self.names),) or self.scale.shape != (len(self.names),):
            raise BundleError(
                f"signal constants have {len(self.names)} names, {self.center.shape} centers"
                f" and {self.scale.shape} scales; build the bundle again"
            )
        if not (np.all(np.isfinite(self.center)) and np.all(np.isfinite(self.scale) & (self.scale > 0))):
            raise BundleError("signal constants must be finite and every scale above 0")

    @classmethod
    def default(cls) -> "SignalConstants":
        """Constants to start from, before any ranking was logged."""
        return cls(
            names=SIGNALS,
            center=np.array([DEFAULTS[name][0] for name in SIGNALS]),
            scale=np.array([DEFAULTS[name][1] for name in SIGNALS]),
        )

    @classmethod
    def measure(cls, raw: Floats) -> "SignalConstants":
        """Median and spread of each column of `raw` (n, S); the default where nothing varies."""
        found = cls.default()
        for name, values in zip(SIGNALS, raw.T, strict=True):
            found = found.measured(name, values)
        return found

    def measured(self, name: str, values: Floats) -> Self:
        """With median and spread of raw `values` (n,) for one signal; as it is where nothing varies."""
        known = values[np.isfinite(values)]
        if len(known) < 2:
            return self
        low, middle, high = np.percentile(known, [15.87, 50.0, 84.13])
        spread = (high - low) / 2 if high - low > 1e-9 else float(known.std())
        if spread <= 1e-6 * max(1.0, abs(float(middle))):  # rounding
            return self
        here = np.array([other == name for other in self.names])
        center, scale = np.where(here, middle, self.center), np.where(here, spread, self.scale)
        return type(self)(names=self.names, center=center, scale=scale)

    def standardize(self, raw: Floats) -> Floats:
        """(C, S) float32 in units of scale, clipped to ±4; a missing value is 0, neutral."""
        unit = (raw - self.center) / self.scale
        return np.clip(np.where(np.isnan(unit), 0.0, unit), -CLIP, CLIP).astype(np.float32)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        table = {"names": self.names, "center": self.center.tolist(), "scale": self.scale.tolist()}
        (folder / "signals.json").write_bytes(msgspec.json.format(msgspec.json.encode(table)))

    @classmethod
    def load(cls, folder: Path) -> "SignalConstants":
        try:
            table = msgspec.json.decode((folder / "signals.json").read_bytes())
            names, center, scale = table["names"], table["center"], table["scale"]
        except (OSError, msgspec.DecodeError, KeyError) as error:
            raise BundleError(f"signal constants in {folder}: {error}; build the bundle again") from error
        return cls(names=tuple(names), center=np.array(center), scale=np.array(scale))


def engine_signal(positions: Ints) -> Floats:
    """The engine's opinion (C,) from its positions (C,): 1 / log2(2 + position)."""
    return np.asarray(1.0 / np.log2(2.0 + positions))


def logit(prob: Floats) -> Floats:
    """Log odds, for probabilities kept a millionth away from 0 and 1."""
    safe = np.clip(prob.astype(np.float64), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(safe / (1 - safe)))


def price_fit(price_micros: Floats, paid_micros: Floats) -> Floats:
    """Minus the distance (C,) in log price to the middle of what the user touched (H,), NaN if unknown."""
    paid = paid_micros[np.isfinite(paid_micros) & (paid_micros > 0)]
    if not len(paid):
        return np.full(len(price_micros), np.nan)
    price = np.where(price_micros > 0, price_micros, np.nan)
    return np.asarray(-np.abs(np.log(price) - np.median(np.log(paid))))


def freshness(first_ms: Floats, now_ms: int) -> Floats:
    """1 for an item first seen now, falling by e every 30 days (C,); NaN where `first_ms` is unknown."""
    age = np.maximum(now_ms - first_ms, 0.0) / (FRESH_DAYS * DAY_MS)
    return np.where(first_ms > 0, np.exp(-age), np.nan)
