"""Texts brought to one form: Unicode, case, and the words that are left."""

import re
import unicodedata
from collections.abc import Iterator

MOST_CHARACTERS = 4_000
"""Longer texts are cut: no search box is this wide, and encoders read less."""
UNSEGMENTED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese (a regex class)."""

_WORD = re.compile(rf"[{UNSEGMENTED}]+|(?:(?![{UNSEGMENTED}])\w)+(?:[./](?:(?![{UNSEGMENTED}])\w)+)*")
_UNSEGMENTED = re.compile(rf"[{UNSEGMENTED}]")
_VULGAR = re.compile(r"(?<=\d)(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_FRACTION_SLASH = "\u2044"
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a character: no text in UTF-8 has one, no tokenizer takes one."""


def normalize(text: str) -> str:
    """NFKC, case-folded, one space between words; twice is the same as once.

    `1½` becomes `1 1/2`, where NFKC alone says `11⁄2`.
    """
    if text.isascii():
        return " ".join(text[:MOST_CHARACTERS].lower().split())
    apart = _HALF.sub("\ufffd", _VULGAR.sub(" ", text[:MOST_CHARACTERS]))
    once = _folded(_folded(apart)).replace(_FRACTION_SLASH, "/")
    return " ".join(once[:MOST_CHARACTERS].split())


def _folded(text: str) -> str:
    # for a few letters folding undoes composition and the other way round, so one is done around the other
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def words(text: str) -> list[str]:
    """The words of a text in order; `3/4` and `2.5` stay whole, a plural s goes.

    What is written without spaces is read as overlapping pairs of characters.
    """
    return [word for raw in _WORD.findall(normalize(text)) for word in _words(raw)]


def pairs(run: str) -> Iterator[str]:
    """Overlapping pairs of characters of a text without spaces: its words and some more."""
    yield from (run[place : place + 2] for place in range(max(len(run) - 1, 1)))


def _words(raw: str) -> Iterator[str]:
    if _UNSEGMENTED.match(raw):
        return pairs(raw)
    return iter((_singular(raw),))


def _singular(word: str) -> str:
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
