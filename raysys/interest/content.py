"""What an item says of itself, as numbers: hashed category and brand, log price, text vector.

Codes are hashes into fixed buckets, so a category or brand that was never seen has one too.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysys.catalog import Catalog
from raysys.types import Floats, Ints

LEVELS = 4
"""Levels of a category path that count; deeper ones are dropped."""
CATEGORY_BUCKETS = 8192
BRAND_BUCKETS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of n items, what the item tower reads."""

    text: Floats
    """(n, 384) float32 unit rows, zero where there is no vector."""
    category: Ints
    """(n, LEVELS) int64 code of each prefix of the path, 0 where there is none."""
    brand: Ints
    """(n,) int64 code, 0 for none."""
    log_price: Floats
    """(n,) float32 log of the price in micros, NaN if unknown."""

    def __len__(self) -> int:
        return len(self.brand)

    def at(self, rows: Ints) -> "Content":
        """That of some of the items."""
        return Content(
            text=self.text[rows],
            category=self.category[rows],
            brand=self.brand[rows],
            log_price=self.log_price[rows],
        )

    @classmethod
    def of(cls, catalog: Catalog, first: int = 0) -> "Content":
        """The content of the catalog's rows from `first` on."""
        price = np.asarray(catalog.price_micros[first:], np.float64)
        known = np.where(price > 0, price, np.nan)
        paths = [prefixes(path) for path in catalog.categories[first:]]
        return cls(
            text=np.asarray(catalog.text_vectors[first:], np.float32),
            category=np.array([_codes(p, CATEGORY_BUCKETS) for p in paths], np.int64).reshape(-1, LEVELS),
            brand=np.array([code(brand, BRAND_BUCKETS) for brand in catalog.brands[first:]], np.int64),
            log_price=np.log(known).astype(np.float32),
        )


def prefixes(path: str) -> list[str]:
    """`a/b/c` as `a`, `a/b`, `a/b/c`, at most LEVELS of them."""
    parts = [part for part in path.split("/") if part]
    return ["/".join(parts[: level + 1]) for level in range(min(len(parts), LEVELS))]


def code(value: str, buckets: int) -> int:
    """A number in [1, buckets) that depends on `value` alone, 0 for the empty string."""
    if not value:
        return 0
    digest = hashlib.blake2b(value.lower().encode(errors="surrogatepass"), digest_size=8).digest()
    return 1 + int.from_bytes(digest, "little") % (buckets - 1)


def _codes(values: Sequence[str], buckets: int) -> list[int]:
    return [code(value, buckets) for value in values] + [0] * (LEVELS - len(values))
