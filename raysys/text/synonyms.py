"""Words that a shop holds to mean the same: read from a file, kept in the bundle."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raysys.errors import ConfigError

Tokens = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Every phrase of a group is read as the group's first; the longest phrase wins."""

    groups: tuple[tuple[str, ...], ...] = ()
    """As they were written."""
    _first: dict[Tokens, str] = field(default_factory=dict, repr=False, compare=False)
    _longest: int = 0

    @classmethod
    def of(cls, groups: Iterable[Sequence[str]], tokens: Callable[[str], Tokens]) -> "Synonyms":
        """Groups of phrases, split into words by `tokens`.

        A group's first phrase becomes one token, its words joined by `_`: nothing can be read into its parts.

        Raises:
            ConfigError: a group says nothing, or a phrase is in two.
        """
        kept = tuple(tuple(group) for group in groups)
        first: dict[Tokens, str] = {}
        for group in kept:
            phrases = [tokens(phrase) for phrase in group]
            if len(phrases) < 2 or not all(phrases):
                raise ConfigError(f"synonyms {list(group)}: expected at least two phrases, each with a word")
            name = "_".join(phrases[0])
            for phrase in phrases:
                if first.setdefault(phrase, name) != name:
                    raise ConfigError(f"synonyms: {' '.join(phrase)!r} is in two groups; join them")
        if chained := sorted({name for name in first.values() if first.get((name,), name) != name}):
            raise ConfigError(f"synonyms: {chained[0]!r} begins one group and is in another; join them")
        return cls(kept, first, max(map(len, first), default=0))

    def replaced(self, tokens: Tokens) -> Tokens:
        """`tokens` with every phrase read as its group's first, until nothing is left to replace."""
        while self._first and (once := self._once(tokens)) != tokens:
            tokens = once
        return tokens

    def _once(self, tokens: Tokens) -> Tokens:
        found: list[str] = []
        place = 0
        while place < len(tokens):
            for length in range(min(self._longest, len(tokens) - place), 0, -1):
                if (name := self._first.get(tokens[place : place + length])) is not None:
                    found.append(name)
                    place += length
                    break
            else:
                found.append(tokens[place])
                place += 1
        return tuple(found)


def read_synonyms(path: Path) -> list[list[str]]:
    """Groups from a text file: one a line, phrases apart by commas, `#` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [[phrase.strip() for phrase in line.split(",")] for line in lines if line]
