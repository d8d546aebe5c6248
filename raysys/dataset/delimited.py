"""Text files as lines, packed or not, and tables of them: a broken row costs that row, not the file."""

import codecs
import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from raysys.errors import DataError

NO_TEXT = (b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04", b"PAR1")
"""How files begin that are packed by gzip, UTF-16 either way round, a ZIP archive (as .xlsx is), Parquet."""


class Table(NamedTuple):
    """Some lines of a file."""

    texts: pl.DataFrame
    """Strings, null where there is nothing between two separators."""
    lines: Sequence[int]
    """The number of each row's line, from 1."""
    ragged: Sequence[tuple[int, str]]
    """Number of each line of a row with too few or too many columns, and what was found."""


def lines_of(path: Path) -> Iterator[bytes]:
    """Every line, of a file in gzip too, without a byte order mark; a single empty one if there is none.

    Raises:
        DataError: a packed file is damaged, or a file holds no text in UTF-8.
    """
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            first = file.readline()
            if first.startswith(NO_TEXT) or b"\0" in first[:4]:
                raise DataError(
                    f"{path.name} begins with {first[:4]!r}, expected text in UTF-8; if it is packed by gzip"
                    " call it .gz, else write it as UTF-8"
                )
            yield first.removeprefix(codecs.BOM_UTF8)
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
        DataError: two columns have one name, or the first line is none of a table.
    """
    lines = lines_of(path)
    line = 1
    quoted = len(separator) == 1
    if not header:
        first = next(lines).decode("utf-8", "replace").rstrip("\r\n")
        if "\r" in first:
            raise DataError(f"{path.name} ends lines by a carriage return alone; end them by a newline")
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
    numbered = _numbered(rows, line)
    while found := list(islice(numbered, size)):
        yield _by_row(found, header)


class _Numbered(NamedTuple):
    """A row of columns, or words that say why it is none, and the lines that it takes."""

    row: list[str] | str
    lines: range


def _numbered(rows: Any, line: int) -> Iterator[_Numbered]:
    """What a CSV reader finds from a line on, but for empty lines."""
    while True:
        first = line + rows.line_num
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:  # the reader begins anew with the line after it
            row = str(error).partition(" - ")[0]
        if row:
            yield _Numbered(row, range(first, line + rows.line_num))


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


def _by_row(numbered: Sequence[_Numbered], header: Sequence[str]) -> Table:
    """Row by row in Python; a quote without an end is the fault of every line up to the next one."""
    whole, ragged = [], []
    for row, lines in numbered:
        if isinstance(row, list) and len(row) == len(header):
            whole.append((lines[-1], row))
            continue
        found = row if isinstance(row, str) else _ragged(len(row), header)
        if len(lines) > 1:
            found += f" on the lines {lines[0]} to {lines[-1]}; is a quote not closed?"
        ragged += [(line, found) for line in lines]
    texts = pl.DataFrame([row for _, row in whole], schema=dict.fromkeys(header, pl.String), orient="row")
    return Table(_filled(texts), [line for line, _ in whole], ragged)


def _ragged(found: int, header: Sequence[str]) -> str:
    return f"{found} columns, expected {len(header)}"


def _filled(texts: pl.DataFrame) -> pl.DataFrame:
    """What is empty is absent."""
    return texts.select(pl.when(pl.all() != "").then(pl.all()))
