"""What a person does with one page: looks, clicks and buys; fitted where the log can tell, else assumed."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from raysys.behavior.choice import ChoiceModel, inclusive_value
from raysys.behavior.examination import LOG2, SWEEP, Examination
from raysys.behavior.leave import Leave
from raysys.behavior.situations import Situations
from raysys.errors import ConfigError
from raysys.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """How people answer a page."""

    choice: ChoiceModel
    leave: Leave
    examination: Examination = LOG2
    click_given_look: float = 0.3
    """Of a look at the most wanted of all candidates; others in proportion to their share of the choice."""
    found: float = 0.9
    """Chance of a purchase with every candidate in sight, where each logged situation has a purchase."""
    satiation: float = 1.0
    """Utility that a candidate loses for each thing of its group bought in this session."""
    satisfices: bool = False
    """Buys the first that is good enough and looks no further, instead of comparing what was looked at."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.click_given_look <= 1.0:
            raise ConfigError(f"click_given_look is {self.click_given_look}, must be from 0 to 1")
        if not 0.0 < self.found < 1.0:
            raise ConfigError(f"found is {self.found}, must lie between 0 and 1")
        if self.satiation < 0.0:
            raise ConfigError(f"satiation is {self.satiation}, must be 0 or more")

    @classmethod
    def compares(cls, choice: ChoiceModel, leave: Leave) -> Self:
        """Looks down to some depth (position-based model), then takes the best of what was seen."""
        return cls(choice=choice, leave=leave)

    @classmethod
    def cascades(cls, choice: ChoiceModel, leave: Leave) -> Self:
        """The second opinion: reads from the top, takes the first that is good enough, and stops.

        A dynamic Bayesian network click model (Chapelle & Zhang 2009) in which satisfaction
        is a purchase; less patient, quicker to tire and to leave than `compares`.
        """
        return cls(
            choice=choice,
            leave=Leave(leave.base, 2.0 * leave.raised),
            examination=Examination("0.85^k", "power", 0.85),
            click_given_look=0.5,
            satiation=2.0,
            satisfices=True,
        )

    def outside(self, situations: Situations, appeal: Floats) -> Floats:
        """Utility (N,) of buying nothing, beside candidates with `appeal` (N, C)."""
        fitted = self.choice.outside[situations.surface]
        odds = np.log1p(-self.found) - np.log(self.found)
        return np.where(np.isnan(fitted), inclusive_value(appeal, situations) + odds, fitted)

    def assumptions(self) -> tuple[str, ...]:
        """Everything in this behavior that no log told."""
        reads = "first good enough, then stops" if self.satisfices else "best of what was looked at"
        return (
            f"examination by position: {self.examination.name}",
            f"a page is read for the {reads}",
            f"a click precedes every purchase; click at a look at the most wanted: {self.click_given_look:g}",
            f"where every logged situation has a purchase, everything in sight sells with {self.found:g}",
            f"a purchase of the session takes {self.satiation:g} from the utility of its group",
            f"a page of no use multiplies the chance of leaving by {self.leave.raised:g}",
        )

    def swept(self) -> tuple["Behavior", ...]:
        """This behavior with one assumption changed at a time, for a sensitivity table."""
        patient = Leave(self.leave.base, 1.0)
        restless = Leave(self.leave.base, 3.0 * self.leave.raised)
        look = self.click_given_look
        changes: tuple[dict[str, Any], ...] = (
            *({"examination": other} for other in SWEEP if other != self.examination),
            {"click_given_look": look / 3.0},
            {"click_given_look": look**0.5},
            {"found": 0.5},
            {"found": 0.98},
            {"satiation": 0.0},
            {"satiation": 2.0 * self.satiation},
            {"leave": patient},
            {"leave": restless},
            {"satisfices": not self.satisfices},
        )
        return tuple(replace(self, **change) for change in changes)


@dataclass(frozen=True, slots=True)
class Deeds:
    """What B people did with their pages of K."""

    looked: Bools
    """(B, K)"""
    clicked: Bools
    bought: Bools


def read_page(
    wanted: Floats,
    outside: Floats,
    looked: Bools,
    clicks: Bools,
    many: Ints,
    *,
    satisfices: bool,
) -> Deeds:
    """What is clicked and bought of a page.

    Args:
        wanted: (B, K) utility with the noise of the moment.
        outside: (B,) the same for buying nothing.
        looked: (B, K) what is looked at, if nothing ends the reading before.
        clicks: (B, K) where a look alone makes a click.
        many: (B,) how many things are bought if one is; at least 1.
        satisfices: whether the first that beats `outside` is bought, or the best that was looked at.
    """
    enough = looked & (wanted > outside[:, None])
    if satisfices:
        order = enough.cumsum(axis=1)
        looked = looked & (order - enough < many[:, None])
        bought = enough & looked
    else:
        seen = np.where(looked, wanted, -np.inf)
        place = np.argsort(np.argsort(-seen, axis=1, kind="stable"), axis=1, kind="stable")
        bought = looked & (place < many[:, None]) & enough.any(axis=1, keepdims=True)
    return Deeds(looked, (looked & clicks) | bought, bought)


def how_many(again: Floats, uniform: Floats) -> Ints:
    """Things bought (B,), at least 1: geometric with `again` (B,) as the chance of one more."""
    with np.errstate(divide="ignore"):
        extra = np.floor(np.log(uniform) / np.log(np.clip(again, 1e-300, 1.0 - 1e-12)))
    return np.asarray(1 + np.where(again > 0, np.minimum(extra, 1_000), 0), np.int64)
