"""How the minutes of a study are shared out between its parts: rules of thumb, by what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysys.config import read_settings, read_toml

SETTINGS = Path(__file__).with_name("settings.toml")

ANSWERS, FEW = 25_000, 500
"""Answers that the combination has use for, and as many as it is given however little time there is."""
ANSWER_S, ITEMS = 0.015, 30_000
"""CPU seconds that go into the combination and all around it for each of those answers, about; in
catalogs of more than so many items more in proportion."""
COMBINING, TUNING = 0.85, 0.25
"""Share of the minutes that the combination and the simple systems' settings may take, on one core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """The table [next_item]: how the minutes are spent."""

    learning: float = 0.6
    """Share of the minutes, at least, in which networks are fitted."""
    trials: int = 8
    """Networks that are fitted, at most, each with settings of its own."""
    fewest: int = 4
    """As many at least, if that leaves each of them less time than it would want; half of them where
    histories are long."""
    networks: int = 4
    """Of the best ones, averaged, as far as they come near the best."""
    recalled: int = 60
    """Items that each source proposes for a person."""
    learned: int = 60
    """Items of those that the combination learns from, for each person."""
    space: Mapping[str, Any] = field(default_factory=dict)
    """What is searched: fields of `NetworkConfig`."""
    also: Mapping[str, Any] = field(default_factory=dict)
    """What differs in the second trial from the first, which is what rules say."""

    @classmethod
    def read(cls, path: Path = SETTINGS) -> "StudySettings":
        return read_settings(cls, read_toml(path).get("next_item", {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Minutes:
    """What some wall minutes on some cores can do for a catalog."""

    minutes: float
    cores: int
    items: int

    @property
    def tuning_seconds(self) -> float:
        """CPU seconds, of one core, for the settings of the simple systems."""
        return TUNING * 60.0 * self.minutes

    @property
    def answer_seconds(self) -> float:
        """CPU seconds that each answer takes which the combination learns from."""
        return ANSWER_S * max(self.items / ITEMS, 1.0)

    @property
    def answers(self) -> int:
        """How many answers the combination learns from, at most about."""
        affordable = COMBINING * 60.0 * self.minutes / self.answer_seconds
        return int(min(max(affordable, FEW), ANSWERS))

    @property
    def judges(self) -> int:
        """People of the validation that are enough to choose a system by."""
        return max(self.answers // 5, FEW)

    def network_seconds(self, answers: int, share: float) -> float:
        """CPU seconds, of all cores, for networks: what the combination leaves, at least a share."""
        whole = 60.0 * self.minutes * self.cores
        return max(whole - self.answer_seconds * min(answers, self.answers), share * whole)

    def each(self, seconds: float, *groups: int) -> float:
        """CPU seconds of one network, if groups of so many are fitted one group after the other.

        A network has one core, so more cores than networks make none of them better.

        Args:
            seconds: of all cores, for all groups.
        """
        rounds = sum(-(-group // self.cores) for group in groups)
        return seconds / self.cores / rounds
