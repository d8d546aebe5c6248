"""What the outcomes of a page are worth."""

from dataclasses import dataclass, fields

import numpy as np

from raysys.behavior.response import Deeds
from raysys.errors import ConfigError
from raysys.types import Bools, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """What the outcomes of a page are worth, in the money of `margin` and `bid`."""

    click: float = 0.0
    """Of each click, whatever was clicked."""
    purchase: float = 1.0
    """Times the margin of what was bought."""
    bid: float = 1.0
    """Times the bid of a promoted candidate that was clicked."""
    leave: float = 0.0
    """Lost when somebody leaves who would have stayed."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0.0 <= (value := getattr(self, field.name)) < np.inf:
                raise ConfigError(f"reward {field.name} is {value}, must be 0 or more")

    def of(self, deeds: Deeds, margin: Floats, bid: Floats, early: Bools) -> Floats:
        """The reward (B,) of pages whose candidates have `margin` and `bid` (B, K)."""
        each = (
            self.click * deeds.clicked
            + self.purchase * margin * deeds.bought
            + self.bid * bid * deeds.clicked
        )
        return np.asarray(each.sum(axis=1) - self.leave * early, np.float64)
