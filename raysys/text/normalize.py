"""Texts brought to one form: Unicode, case, and the words that are left."""

import re
import unicodedata

_WORD = re.compile(r"\w+(?:[./]\w+)*")
MOST_CHARACTERS = 4_000
"""Longer texts are cut: no search box is this wide, and encoders read less."""


def normalize(text: str) -> str:
    """NFKC, case-folded, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).casefold().split())


def words(text: str) -> list[str]:
    """The words of a text in order; `3/4` and `2.5` stay whole, a plural s goes."""
    return [_singular(word) for word in _WORD.findall(normalize(text))]


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
