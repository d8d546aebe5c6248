"""Text files as lines, packed or not, and tables of them: a broken row costs that row, not the file."""

import codecs
import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from raysys.errors import DataError


class Table(NamedTuple):
    """Some lines of a file."""

    texts: pl.DataFrame
    """Strings, null where there is nothing between two separators."""
    lines: Sequence[int]
    """The number of each row's line, from 1."""
    ragged: Sequence[tuple[int, str]]
    """Number of each line with too few or too many columns, and what was found."""


def lines_of(path: Path) -> Iterator[bytes]:
    """Every line, of a file in gzip too, without a byte order mark; a single empty one if there is none.

    Raises:
        DataError: a packed file is damaged.
    """
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            yield file.readline().removeprefix(codecs.BOM_UTF8)
            yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path.name}: {error}; pack or copy it again") from error


def tables(path: Path, separator: str, header: Sequence[str], size: int) -> Iterator[Table]:
    """The rows of a file, about `size` at a time.

    Whole columns at once up to the first quote, which may hold separators and line ends; then row by
    row. Quotes have no meaning beside a separator of several characters.

    Args:
        header: names of the columns; if there are none, the first line has them.

    Raises:
        DataError: two columns have one name.
    """
    lines = lines_of(path)
    line = 1
    quoted = len(separator) == 1
    if not header:
        first = next(lines).decode("utf-8", "replace").rstrip("\r\n")
        header = next(csv.reader([first], delimiter=separator), []) if quoted else first.split(separator)
        line = 2
    if twice := sorted(name for name, count in Counter(header).items() if count > 1):
        raise DataError(f"{path.name} has two columns {twice}; name each column once")
    rest: list[bytes] = []
    while rest := list(islice(lines, size)):
        block = b"".join(rest)
        if quoted and (b'"' in block or b"\r" in block.replace(b"\r\n", b"") or len(header) < 2):
            break
        yield _plain(block, line, separator, header)
        line += len(rest)
    rows = csv.reader((raw.decode("utf-8", "replace") for raw in chain(rest, lines)), delimiter=separator[:1])
    numbered = ((line - 1 + rows.line_num, row) for row in rows if row)
    while found := list(islice(numbered, size)):
        yield _by_row(found, header)


def _plain(block: bytes, first: int, separator: str, header: Sequence[str]) -> Table:
    """Lines without quotes."""
    texts = pl.Series("text", block.decode("utf-8", "replace").split("\n")).str.strip_suffix("\r")
    told = pl.DataFrame({"text": texts, "line": np.arange(first, first + len(texts))}).filter(texts != "")
    width = told["text"].str.count_matches(separator, literal=True) + 1
    whole = width == len(header)
    ragged = [
        (line, _ragged(found, header))
        for line, found in zip(told["line"].filter(~whole), width.filter(~whole), strict=True)
    ]
    told = told.filter(whole)
    if len(header) == 1:
        fields = told.select(pl.col("text").alias(header[0]))
    else:
        split = told["text"].str.split_exact(separator, len(header) - 1)
        fields = split.struct.rename_fields(list(header)).struct.unnest()
    return Table(_filled(fields), told["line"].to_list(), ragged)


def _by_row(numbered: Sequence[tuple[int, list[str]]], header: Sequence[str]) -> Table:
    """Row by row in Python."""
    whole = [(line, row) for line, row in numbered if len(row) == len(header)]
    ragged = [(line, _ragged(len(row), header)) for line, row in numbered if len(row) != len(header)]
    texts = pl.DataFrame([row for _, row in whole], schema=dict.fromkeys(header, pl.String), orient="row")
    return Table(_filled(texts), [line for line, _ in whole], ragged)


def _ragged(found: int, header: Sequence[str]) -> str:
    return f"{found} columns, expected {len(header)}"


def _filled(texts: pl.DataFrame) -> pl.DataFrame:
    """What is empty is absent."""
    return texts.select(pl.when(pl.all() != "").then(pl.all()))
