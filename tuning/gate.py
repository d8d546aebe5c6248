"""The gate: what a bundle must show before it is released, and the table that says whether it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from raysys.errors import DataError
from raysys.evaluation.estimate import Estimate
from raysys.evaluation.off_policy import TOLERANCE as SANE

GateKind: TypeAlias = Literal["first", "refresh", "change"]

TOLERANCE = 0.01
"""A refresh may be worse by this share of the released bundle's quality."""
EVIDENCE = 1_000
"""A change needs at least this effective sample size,"""
EVIDENCE_SHARE = 0.1
"""and at least this share of the rankings."""
ONE_SIDED = 1.645
"""Standard errors that chance goes beyond in one case of twenty."""


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
    paired_error: float = 0.0
    """Standard error of the difference to the released bundle on the same users; 0 if unknown."""

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise DataError(f"{self.name}: {self.value} is outside its interval [{self.low}, {self.high}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """What a change must not harm: new minus released, and how far below zero it may lie."""

    name: str
    difference: Estimate
    floor: float
    """The lower bound must be at least this; at most 0."""


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
    difference: Estimate | None = None
    """Of a change: new minus released policy, per ranking."""

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
    """A refresh may lose at most 1 % of any metric of the released bundle, and what chance explains.

    Chance explains a loss that the paired difference shows with less than 95 % (one-sided).

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
            against="released, 1 %, chance" if quality.paired_error else "released less 1 %",
            bar=(bar := _refresh_bar(released[quality.name], quality.paired_error)),
            passed=quality.value >= bar,
        )
        for quality in qualities
        if quality.name in released
    ]
    if not lines:
        raise DataError("new and released bundle share no metric; release with the gate `first`")
    return _verdict("refresh", lines)


def _refresh_bar(released: float, paired_error: float) -> float:
    return released - TOLERANCE * abs(released) - ONE_SIDED * paired_error


def gate_change(difference: Estimate, guardrails: Sequence[Guardrail] = ()) -> Verdict:
    """A new policy must be surely better on logged rankings, and the log must be able to tell.

    Args:
        difference: reward per ranking, new minus released, by an off-policy estimator that was
            not stopped for lack of support: this gate names what lacks.
    """
    needed = max(EVIDENCE, EVIDENCE_SHARE * difference.n)
    weight, low = difference.mean_weight, difference.low
    lines = [
        Line(
            name="mean weight", value=weight, against=f"1 ± {SANE}", bar=1.0, passed=abs(weight - 1) <= SANE
        ),
        Line(
            name="effective sample size",
            value=difference.effective_n,
            against=f"1,000 and 10 % of {difference.n:,}",
            bar=needed,
            passed=difference.effective_n >= needed,
        ),
        Line(name="difference, lower bound", value=low, against="above zero", bar=0.0, passed=low > 0.0),
        *(
            Line(
                name=f"{guard.name}, lower bound",
                value=guard.difference.low,
                against="at least",
                bar=guard.floor,
                passed=guard.difference.low >= guard.floor,
            )
            for guard in guardrails
        ),
    ]
    return replace(_verdict("change", lines), difference=difference)


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


def judge(
    qualities: Sequence[Quality],
    released: Mapping[str, float] | None,
    difference: Estimate | None = None,
    guardrails: Sequence[Guardrail] = (),
) -> Verdict:
    """The gate of the kind that fits.

    `first` where nothing is released yet; `change` where the policy is another one and records tell
    the difference (`tuning.release.policy_difference`), and then the qualities must hold, too; else
    `refresh`.
    """
    if released is None:
        return gate_first(qualities)
    if difference is None:
        return gate_refresh(qualities, released)
    change = gate_change(difference, guardrails)
    held = gate_refresh(qualities, released).lines if released else ()
    return replace(_verdict("change", [*change.lines, *held]), difference=difference)
