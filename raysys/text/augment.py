"""Other words for the same: what a small log lacks in ways to say a thing (token dropout, synonyms).

Where words have no spaces between them, each character counts as one: queries leave them out, too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raysys.errors import ConfigError
from raysys.text.analysis import stem
from raysys.text.normalize import UNSEGMENTED, normalize

Phrase = tuple[str, ...]
"""Words with the spaces before them."""

_WORD = re.compile(rf" ?(?:[{UNSEGMENTED}]|[^ {UNSEGMENTED}]+)")


@dataclass(frozen=True)
class Augmenter:
    """Leaves out words and says phrases otherwise; a text keeps at least one of its words."""

    dropped: float = 0.0
    """Chance of each word to be left out."""
    replaced: float = 0.0
    """Chance of each phrase that has synonyms to be said by another of its group."""
    synonyms: tuple[tuple[str, ...], ...] = ()
    """Groups of phrases, as of `raysys.text.synonyms.read_synonyms`."""

    def __post_init__(self) -> None:
        for name in ("dropped", "replaced"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be in [0, 1)")
        if self.replaced and not self.synonyms:
            raise ConfigError("phrases are to be replaced, but there are no synonyms; name a file of them")

    def __bool__(self) -> bool:
        """Whether a text may come out otherwise than it went in."""
        return bool(self.dropped or self.replaced)

    def __call__(self, text: str, rng: np.random.Generator) -> str:
        """One of the ways to say `text`, drawn by `rng`."""
        if not self:
            return text
        said = self._reworded(_phrase(text), rng)
        kept = [word for word in said if rng.random() >= self.dropped]
        return "".join(kept or said[:1]).lstrip()

    @cached_property
    def _others(self) -> dict[Phrase, list[Phrase]]:
        """The other phrases of each phrase's groups, by the stems of its words."""
        found: dict[Phrase, list[Phrase]] = {}
        for group in self.synonyms:
            phrases = list(map(_phrase, group))
            for phrase in phrases:
                others = (other for other in phrases if other != phrase)
                found.setdefault(_stems(phrase), []).extend(others)
        return found

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._others), default=0)

    def _reworded(self, said: Phrase, rng: np.random.Generator) -> Sequence[str]:
        if not self.replaced:
            return said
        found: list[str] = []
        place = 0
        while place < len(said):
            for length in range(min(self._longest, len(said) - place), 0, -1):
                phrase = said[place : place + length]
                if others := self._others.get(_stems(phrase)):
                    if rng.random() < self.replaced:
                        first, *rest = others[int(rng.integers(len(others)))]
                        phrase = (" " * phrase[0].startswith(" ") + first, *rest)
                    found.extend(phrase)
                    place += length
                    break
            else:
                found.append(said[place])
                place += 1
        return found


def _phrase(text: str) -> Phrase:
    return tuple(_WORD.findall(normalize(text)))


def _stems(phrase: Phrase) -> Phrase:
    return tuple(stem(word.lstrip()) for word in phrase)
