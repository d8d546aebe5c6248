"""Numbers and units: `3/4"`, `3/4 in.` and `0.75 inch` are one quantity, `12v` and `12 volt` another."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

Unit = tuple[str, str, float]
"""Canonical name, dimension, and size in the dimension's base unit."""

_UNITS: tuple[tuple[str, str, float, str], ...] = (
    ("in", "length", 1.0, "inch inches 寸 英寸"),
    ("ft", "length", 12.0, "foot feet 英尺"),
    ("yd", "length", 36.0, "yard yards"),
    ("mm", "length", 1 / 25.4, "millimeter millimetre 毫米"),
    ("cm", "length", 1 / 2.54, "centimeter centimetre 厘米"),
    ("m", "length", 100 / 2.54, "meter metre 米"),
    ("sqft", "area", 1.0, "sq_ft sq_foot sq_feet square_foot square_feet"),
    ("sqm", "area", 10.7639, "sq_m square_meter 平方米"),
    ("cuft", "volume", 28.3168, "cu_ft cu_foot cu_feet cubic_foot cubic_feet"),
    ("gal", "volume", 3.78541, "gallon"),
    ("qt", "volume", 0.946353, "quart"),
    ("pt", "volume", 0.473176, "pint"),
    ("floz", "volume", 0.0295735, "fl_oz fluid_ounce"),
    ("l", "volume", 1.0, "liter litre 升"),
    ("ml", "volume", 0.001, "milliliter millilitre 毫升"),
    ("lb", "mass", 453.592, "lbs pound"),
    ("oz", "mass", 28.3495, "ounce"),
    ("g", "mass", 1.0, "gram gr 克"),
    ("kg", "mass", 1000.0, "kilo kilogram 千克 公斤"),
    ("jin", "mass", 500.0, "斤"),
    ("v", "voltage", 1.0, "volt 伏"),
    ("w", "power", 1.0, "watt 瓦"),
    ("kw", "power", 1000.0, "kilowatt 千瓦"),
    ("hp", "power", 745.7, "horsepower"),
    ("a", "current", 1.0, "amp ampere"),
    ("ah", "charge", 1.0, "amp_hour"),
    ("mah", "charge", 0.001, ""),
    ("btu", "heat", 1.0, ""),
    ("ga", "gauge", 1.0, "gauge awg"),
    ("pack", "count", 1.0, "pk pc piece ct count 件 个装 片装"),
    ("gb", "memory", 1.0, "gigabyte"),
    ("tb", "memory", 1000.0, "terabyte"),
    ("mb", "memory", 0.001, "megabyte"),
    ("deg", "angle", 1.0, "degree"),
    ("pct", "share", 1.0, "percent"),
)
UNITS: dict[str, Unit] = {
    word: (name, dimension, size)
    for name, dimension, size, others in _UNITS
    for word in (name, *others.split())
}
"""What each way of writing a unit means, its words joined by `_`."""
DIMENSIONS: tuple[str, ...] = tuple(dict.fromkeys(dimension for _, dimension, _, _ in _UNITS))
BARE = len(DIMENSIONS)
"""Dimension of a number without a unit."""
SYMBOLS = {'"': "in", "''": "in", "\u201d": "in", "\u2032\u2032": "in", "'": "ft", "\u2032": "ft",
           "\u00b0": "deg", "%": "pct"}  # fmt: skip

LONGEST = 15
"""Digits before the point of a number that counts something; a longer one is a word, no amount."""

_GLUED = sorted((word for word in UNITS if "_" not in word and word.isascii()), key=len, reverse=True)
_RUN = sorted((word for word in UNITS if not word.isascii()), key=len, reverse=True)
_PLAIN = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\.\d+|\d+"
_SPLITS = (
    # 2x4, 2"x4": a sign between numbers stands for itself
    (re.compile(r"(?<=[\d\"'\u2032])[x\u00d7*](?=\.?\d)", re.ASCII), " x "),
    (
        re.compile(rf"(?<!\w)(?<!\d\.)({_PLAIN})(?=(?:{'|'.join(_GLUED)})(?:e?s)?(?![a-z\d_]))", re.ASCII),
        r"\1 ",
    ),
    (re.compile(rf"(?<=\d)\s*({'|'.join(_RUN)})"), r" \1 "),
    (
        re.compile(rf"(?<=\d)\s*({'|'.join(map(re.escape, sorted(SYMBOLS, key=len, reverse=True)))})"),
        lambda found: f" {SYMBOLS[found[1]]} ",
    ),
)
NUMBER = re.compile(
    rf"(?:(?P<whole>\d{{1,{LONGEST}}})(?:\s+|\s*-\s*))?(?P<over>\d{{1,3}})/(?P<under>[1-9]\d{{0,2}})(?![\w/])|(?:{_PLAIN})(?!\w)",
    re.ASCII,
)
"""A number that is a word of its own, in a text that `spaced` has prepared."""
_DIGITS = re.compile(rf"\d{{1,{LONGEST}}}(?:\.\d+)?", re.ASCII)
_GLUED_WORD = re.compile(rf"(\d+)((?:{'|'.join(_GLUED)})(?:e?s)?)", re.ASCII)
_BY = re.compile(r"^x(?=\d+(?:\.\d+)?$)", re.ASCII)


class Quantity(NamedTuple):
    """A number with what it counts."""

    value: float
    """In the base unit of its dimension."""
    dimension: int
    """Place in DIMENSIONS, or BARE."""
    number: float
    """As it was written, whatever the unit."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Tokens with units in their canonical form, and the quantities that they tell."""

    tokens: tuple[str, ...]
    quantities: tuple[Quantity, ...]


def spaced(text: str) -> str:
    """A normalized text where numbers stand apart from their units and from the x between them."""
    for pattern, apart in _SPLITS:
        text = pattern.sub(apart, text)
    return text


def apart(word: str) -> tuple[str, ...]:
    """A word, or the number and the unit that are glued together in it."""
    found = _GLUED_WORD.fullmatch(word)
    return (word,) if found is None else (found[1], found[2])


def number_token(found: re.Match[str]) -> str:
    """One way to write a number: `0.75` for 3/4, `1.5` for 1-1/2, `1000` for 1,000."""
    if under := found["under"]:
        return _written(float(int(found["whole"] or 0) + Fraction(int(found["over"]), int(under))))
    plain = found[0].replace(",", "")
    return _written(float(plain)) if "." in plain and plain.index(".") <= LONGEST else plain


def _written(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def measured(tokens: Sequence[str]) -> Measured:
    """Units after numbers named alike, the x between numbers left out."""
    kept: list[str] = []
    quantities: list[Quantity] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if _ends_in_quantity(kept):
            token = _BY.sub("", token)
        if not _DIGITS.fullmatch(token):
            between = token == "x" and bool(quantities) and place < len(tokens)
            if not (between and _ends_in_quantity(kept) and _DIGITS.fullmatch(tokens[place])):
                kept.append(token)
            continue
        kept.append(token)
        unit, length = _unit(tokens, place)
        if unit is None:
            quantities.append(Quantity(float(token), BARE, float(token)))
            continue
        name, dimension, size = unit
        kept.append(name)
        quantities.append(Quantity(float(token) * size, DIMENSIONS.index(dimension), float(token)))
        place += length
    return Measured(tuple(kept), tuple(quantities))


def _unit(tokens: Sequence[str], place: int) -> tuple[Unit | None, int]:
    """The unit that begins at `place`, and how many tokens it takes."""
    for length in (2, 1):
        if (unit := UNITS.get("_".join(tokens[place : place + length]))) and place + length <= len(tokens):
            return unit, length
    return None, 0


def _ends_in_quantity(tokens: Sequence[str]) -> bool:
    last = tokens[-1] if tokens else ""
    if _DIGITS.fullmatch(last):
        return True
    return last in UNITS and len(tokens) > 1 and bool(_DIGITS.fullmatch(tokens[-2]))
