"""What an item says of itself, as numbers: hashed category, brand, attributes and words, price, vectors.

Codes are hashes into fixed buckets, so a category or brand that was never seen has one too.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.text.normalize import words
from raysys.types import Floats, Ints

LEVELS = 4
"""Levels of a category path that count; deeper ones are dropped."""
CATEGORY_BUCKETS = 8192
BRAND_BUCKETS = 2048
TRAIT_BUCKETS = WORD_BUCKETS = 8192
SAID = 16
"""Values of attributes, and words of the title, that count; further ones are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of n items, what the item tower reads."""

    text: Floats
    """(n, 384) float32 unit rows, zero where there is no vector."""
    category: Ints
    """(n, LEVELS) int64 code of each prefix of the path, 0 where there is none."""
    brand: Ints
    """(n,) int64 code, 0 for none."""
    traits: Ints
    """(n, SAID) int32 code of each value of an attribute, 0 where there is none."""
    words: Ints
    """(n, SAID) int32 code of each word of the title, 0 where there is none."""
    log_price: Floats
    """(n,) float32 log of the price in micros, NaN if unknown."""
    image: Floats
    """(n, W) float32 as the catalog has them, zero where there is none; W may be 0."""
    audio: Floats
    """(n, W') float32 likewise."""

    def __len__(self) -> int:
        return len(self.brand)

    def at(self, rows: Ints) -> "Content":
        """That of some of the items."""
        return Content(**{column.name: getattr(self, column.name)[rows] for column in fields(self)})

    def text_alone(self) -> "Content":
        """As if nothing but texts were known."""
        return replace(
            self,
            category=np.zeros_like(self.category),
            brand=np.zeros_like(self.brand),
            traits=np.zeros_like(self.traits),
            log_price=np.full_like(self.log_price, np.nan),
            image=self.image[:, :0],
            audio=self.audio[:, :0],
        )

    def seen(self, name: str, width: int) -> Floats:
        """The column `image` or `audio` (n, width) for who reads so many numbers, zeros if there are none.

        Raises:
            DataError: the vectors are of another width.
        """
        vectors: Floats = getattr(self, name)
        if vectors.shape[1] not in (0, width):
            raise DataError(
                f"{name} vectors have {vectors.shape[1]} numbers, the network was fitted on {width};"
                " fit it again, or send what the same model makes",
                field=f"{name}_embedding",
            )
        return vectors if vectors.shape[1] else np.zeros((len(self), width), np.float32)

    @classmethod
    def of(cls, catalog: Catalog, first: int = 0) -> "Content":
        """The content of the catalog's rows from `first` on."""
        return cls._of(catalog, slice(first, None), range(first, len(catalog)))

    @classmethod
    def of_rows(cls, catalog: Catalog, rows: Ints) -> "Content":
        """The content of the catalog's `rows` (n,)."""
        return cls._of(catalog, rows, rows.tolist())

    @classmethod
    def _of(cls, catalog: Catalog, rows: Ints | slice, numbers: Sequence[int]) -> "Content":
        price = np.asarray(catalog.price_micros[rows], np.float64)
        known = np.where(price > 0, price, np.nan)
        paths = [prefixes(catalog.categories[row]) for row in numbers]
        brands = [code(catalog.brands[row], BRAND_BUCKETS) for row in numbers]
        return cls(
            text=np.asarray(catalog.text_vectors[rows], np.float32),
            category=np.array([_codes(p, CATEGORY_BUCKETS) for p in paths], np.int64).reshape(-1, LEVELS),
            brand=np.array(brands, np.int64),
            traits=_said(
                (attribute_values(catalog.attributes[n]) for n in numbers), len(numbers), TRAIT_BUCKETS
            ),
            words=_said((words(catalog.titles[n]) for n in numbers), len(numbers), WORD_BUCKETS),
            log_price=np.log(known).astype(np.float32),
            image=np.asarray(catalog.image_vectors[rows], np.float32),
            audio=np.asarray(catalog.audio_vectors[rows], np.float32),
        )


def prefixes(path: str) -> list[str]:
    """`a/b/c` as `a`, `a/b`, `a/b/c`, at most LEVELS of them."""
    parts = [part for part in path.split("/") if part]
    return ["/".join(parts[: level + 1]) for level in range(min(len(parts), LEVELS))]


def attribute_values(attributes: Mapping[str, Any]) -> Iterator[str]:
    """`name=value` for each value of each attribute; a list has several."""
    for name, value in attributes.items():
        yield from (f"{name}={one}" for one in (value if isinstance(value, list | tuple) else (value,)))


@lru_cache(1 << 16)
def code(value: str, buckets: int) -> int:
    """A number in [1, buckets) that depends on `value` alone, 0 for the empty string."""
    if not value:
        return 0
    digest = hashlib.blake2b(value.lower().encode(errors="surrogatepass"), digest_size=8).digest()
    return 1 + int.from_bytes(digest, "little") % (buckets - 1)


def _said(tokens: Iterable[Iterable[str]], count: int, buckets: int) -> Ints:
    """(count, SAID) int32 codes of the distinct tokens of so many items."""
    found = np.zeros((count, SAID), np.int32)
    for row, mine in enumerate(tokens):
        codes = list(dict.fromkeys(code(token, buckets) for token in mine))[:SAID]
        found[row, : len(codes)] = codes
    return found


def _codes(values: Sequence[str], buckets: int) -> list[int]:
    return [code(value, buckets) for value in values] + [0] * (LEVELS - len(values))
