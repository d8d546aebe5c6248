"""A text as search reads it: tokens and quantities, the same way for queries and for documents."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from raysys.errors import ConfigError
from raysys.text.normalize import UNSEGMENTED, normalize
from raysys.text.quantities import NUMBER, Measured, apart, measured, number_token, spaced
from raysys.text.segment import Segment, segmenter
from raysys.text.synonyms import Synonyms

_WORD = rf"(?:(?![{UNSEGMENTED}])\w)+"
_PART = re.compile(rf"(?P<run>[{UNSEGMENTED}]+)|(?P<word>{_WORD}(?:['\u2019]{_WORD})*)")
_POSSESSIVE = re.compile(r"['\u2019](?:s$)?")


@dataclass(frozen=True)
class Analyzer:
    """Splits texts into tokens; reading its own tokens again changes nothing."""

    synonyms: tuple[tuple[str, ...], ...] = ()
    """Groups of phrases that mean the same, see `raysys.text.synonyms`."""
    segment: str = "pairs"
    """How text without spaces is split, see `raysys.text.segment`."""

    def __post_init__(self) -> None:
        _ = self._synonyms  # a mistake in them is told now

    def tokens(self, text: str) -> tuple[str, ...]:
        """The tokens of a text, in order."""
        return self.read(text).tokens

    def read(self, text: str, most: int | None = None) -> Measured:
        """Tokens and quantities of a text, or of its first `most` words and numbers."""
        return measured(self._synonyms.replaced(tuple(islice(self._raw(text), most))))

    @cached_property
    def _synonyms(self) -> Synonyms:
        return Synonyms.of(self.synonyms, lambda phrase: tuple(self._raw(phrase)))

    @cached_property
    def _segment(self) -> Segment:
        return segmenter(self.segment)

    def _raw(self, text: str) -> Iterator[str]:
        """Numbers in one form, stems of words, and parts of runs without spaces."""
        text = spaced(normalize(text))
        place = 0
        while place < len(text):
            if found := NUMBER.match(text, place):
                yield number_token(found)
            elif found := _PART.match(text, place):
                if found["run"]:
                    yield from self._segment(found[0])
                elif word := _POSSESSIVE.sub("", found[0]):
                    yield from map(stem, apart(word))
            place = found.end() if found else place + 1

    def table(self) -> dict[str, Any]:
        """The settings, for a bundle."""
        return {"synonyms": [list(group) for group in self.synonyms], "segment": self.segment}

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> "Analyzer":
        """The inverse of `table`.

        Raises:
            ConfigError: says what is wrong.
        """
        if unknown := sorted(set(table) - {"synonyms", "segment"}):
            raise ConfigError(f"text has no setting {unknown[0]!r}")
        groups: Sequence[Sequence[str]] = table.get("synonyms", ())
        return cls(tuple(tuple(group) for group in groups), table.get("segment", "pairs"))


def stem(word: str) -> str:
    """A word without its plural ending (the S-stemmer, Harman 1991, with -es after sibilants)."""
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return f"{word[:-3]}y" if len(word) > 4 else word[:-1]
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    return word[:-1]
