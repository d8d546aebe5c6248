"""From parts to a released bundle: assemble, pass the gate, publish."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from raysys.bundle import Bundle, read_manifest
from raysys.errors import BundleError, ConfigError, DataError

GateKind: TypeAlias = Literal["first", "refresh"]

TOLERANCE = 0.01
"""A refresh may be worse by this share of the released bundle's quality."""
CURRENT = "current.json"
"""Names the released bundle in a folder of bundles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """A metric of a bundle on held-out data, beside what it must beat or hold."""

    name: str
    value: float
    low: float
    """Lower end of the 95 % interval of `value`."""
    high: float
    baselines: Mapping[str, float]
    """The same metric of each simple alternative on the same data."""

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise DataError(f"{self.name}: {self.value} is outside its interval [{self.low}, {self.high}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the gate's table."""

    name: str
    value: float
    against: str
    bar: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate decided, and everything it looked at."""

    kind: GateKind
    lines: tuple[Line, ...]
    reason: str
    passed: bool

    def table(self) -> str:
        """The lines and the reason, for a terminal."""
        head = f"{'metric':<28} {'value':>9} {'against':<20} {'bar':>9}  verdict"
        rows = [
            f"{line.name:<28} {line.value:>9.4f} {line.against:<20} {line.bar:>9.4f}"
            f"  {'pass' if line.passed else 'FAIL'}"
            for line in self.lines
        ]
        return "\n".join([f"gate: {self.kind}", head, *rows, self.reason])


def gate_first(qualities: Sequence[Quality]) -> Verdict:
    """A first release must be at least as good as the best simple baseline in every metric."""
    if not qualities:
        raise DataError("nothing was measured; a first release needs the quality of at least one metric")
    lines = []
    for quality in qualities:
        if not quality.baselines:
            raise DataError(f"{quality.name} has no baselines; measure at least one on the same data")
        best = max(quality.baselines, key=lambda name: quality.baselines[name])
        bar = quality.baselines[best]
        lines.append(
            Line(name=quality.name, value=quality.value, against=best, bar=bar, passed=quality.value >= bar)
        )
    return _verdict("first", lines)


def gate_refresh(qualities: Sequence[Quality], released: Mapping[str, float]) -> Verdict:
    """A refresh may lose at most 1 % of any metric of the released bundle.

    Args:
        qualities: of the new bundle.
        released: value of each metric of the released bundle, measured on the same held-out data.
    """
    if absent := sorted(set(released) - {quality.name for quality in qualities}):
        raise DataError(f"the new bundle was not measured on {absent[0]}; measure it as the released one was")
    lines = [
        Line(
            name=quality.name,
            value=quality.value,
            against="released less 1 %",
            bar=(bar := released[quality.name] - TOLERANCE * abs(released[quality.name])),
            passed=quality.value >= bar,
        )
        for quality in qualities
        if quality.name in released
    ]
    if not lines:
        raise DataError("new and released bundle share no metric; release with the gate `first`")
    return _verdict("refresh", lines)


def _verdict(kind: GateKind, lines: Sequence[Line]) -> Verdict:
    failed = [line for line in lines if not line.passed]
    reason = f"released: all {len(lines)} lines pass"
    if failed:
        worst = failed[0]
        reason = (
            f"refused: {worst.name} is {worst.value:.4f}, {worst.against} is {worst.bar:.4f};"
            " improve it, or release anyway with force"
        )
    return Verdict(kind=kind, lines=tuple(lines), reason=reason, passed=not failed)


def judge(qualities: Sequence[Quality], released: Mapping[str, float] | None) -> Verdict:
    """The gate of the kind that fits: `first` where nothing is released yet."""
    return gate_first(qualities) if released is None else gate_refresh(qualities, released)


def release(
    bundle: Bundle, qualities: Sequence[Quality], verdict: Verdict, folder: Path, *, force: bool = False
) -> Path | None:
    """Save `bundle` under `folder` and make it current if the gate lets it; None if refused."""
    if not (verdict.passed or force):
        return None
    metrics = {
        q.name: {"value": q.value, "low": q.low, "high": q.high, "baselines": dict(q.baselines)}
        for q in qualities
    }
    gate = {
        "kind": verdict.kind,
        "passed": verdict.passed,
        "forced": force and not verdict.passed,
        "reason": verdict.reason,
    }
    told = replace(bundle, manifest={**bundle.manifest, "metrics": metrics, "gate": gate})
    return publish(told, folder)


def publish(bundle: Bundle, folder: Path) -> Path:
    """Save `bundle` as `folder/ID` and point `current.json` at it, in that order."""
    draft = folder / f"draft-{os.getpid()}"
    saved = bundle.save(draft)
    path = folder / saved.id
    if path.exists():
        raise BundleError(f"{path} exists and a bundle is never overwritten; remove {draft}")
    draft.rename(path)
    note = folder / f".{CURRENT}.{os.getpid()}.tmp"
    note.write_text(json.dumps({"bundle": saved.id}))
    note.replace(folder / CURRENT)
    return path


def current(folder: Path) -> Path | None:
    """The released bundle of `folder`, None before the first release."""
    try:
        name = json.loads((folder / CURRENT).read_text())["bundle"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / CURRENT}: {error}; expected a bundle's id under `bundle`") from error
    path = folder / str(name)
    read_manifest(path)
    return path


def metrics_of(path: Path) -> dict[str, Any]:
    """Metrics in a released bundle's manifest, by name."""
    metrics: dict[str, Any] = read_manifest(path).get("metrics", {})
    return metrics
