"""An item's vector: that of its identity where it was learned, else one from what it says of itself."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from raysys.catalog import TEXT_WIDTH
from raysys.interest.content import BRAND_BUCKETS, CATEGORY_BUCKETS, TRAIT_BUCKETS, WORD_BUCKETS, Content
from raysys.types import Floats, Ints

TEXT_RANK = 64
"""Principal directions of the text vectors that the tower reads; of image and audio as many at most."""


class Widths(NamedTuple):
    """Of the image and audio vectors of a shop; 0 where it has none, and then the tower reads none."""

    image: int = 0
    audio: int = 0

    @classmethod
    def of(cls, content: Content) -> "Widths":
        return cls(content.image.shape[1], content.audio.shape[1])

    @property
    def read(self) -> tuple[str, ...]:
        """Names of those that there are."""
        return tuple(name for name, width in self._asdict().items() if width)


CODED = {
    "category": CATEGORY_BUCKETS,
    "brand": BRAND_BUCKETS,
    "traits": TRAIT_BUCKETS,
    "words": WORD_BUCKETS,
}
"""Columns of `Content` that are codes, 0 for none, and how many codes each may have."""


class ItemTower(nn.Module):
    """The vector of an item's content: a sum over its parts; what an item lacks adds nothing."""

    basis: Tensor
    price_scale: Tensor

    def __init__(self, width: int, widths: Widths | None = None) -> None:
        super().__init__()
        self.widths = widths or Widths()
        self.register_buffer("basis", torch.zeros(TEXT_WIDTH, TEXT_RANK))
        self.register_buffer("price_scale", torch.tensor([0.0, 1.0]))
        self.text = nn.Linear(TEXT_RANK, width)
        for name, buckets in CODED.items():
            self.add_module(name, nn.Embedding(buckets, width, padding_idx=0))
        self.price = nn.Linear(2, width, bias=False)
        for name in self.widths.read:
            size = getattr(self.widths, name)
            self.register_buffer(f"{name}_basis", torch.zeros(size, min(size, TEXT_RANK)))
            self.add_module(name, nn.Linear(min(size, TEXT_RANK), width, bias=False))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def learn_scales(self, content: Content, *, text: bool) -> None:
        """Take the principal directions of text, image and audio and the spread of prices from the items."""
        self.basis.copy_(torch.from_numpy(_directions(content.text, TEXT_RANK) * float(text)))
        for name in self.widths.read:
            basis = getattr(self, f"{name}_basis")
            basis.copy_(torch.from_numpy(_directions(getattr(content, name), basis.shape[1])))
        price = content.log_price[~np.isnan(content.log_price)]
        scale = [price.mean(), max(float(price.std()), 1e-3)] if len(price) else [0.0, 1.0]
        self.price_scale.copy_(torch.tensor(scale))

    def prices(self, log_price: Tensor) -> Tensor:
        """(n, 2) the price against that of the items at hand, and whether there is one."""
        priced = ~torch.isnan(log_price)
        level = (
            torch.where(priced, log_price, self.price_scale[0]) - self.price_scale[0]
        ) / self.price_scale[1]
        return torch.stack([level, priced.to(level.dtype)], dim=1)

    def forward(
        self,
        text: Tensor,
        category: Tensor,
        brand: Tensor,
        traits: Tensor,
        words: Tensor,
        log_price: Tensor,
        identity: Tensor,
        known: Tensor,
        *seen: Tensor,
    ) -> Tensor:
        """Vectors (n, D) of items.

        Args:
            text: (n, 384) unit rows, zero for none.
            category: (n, LEVELS) int64 codes, 0 for none.
            brand: (n,) int64 codes, 0 for none.
            traits: (n, SAID) int32 codes, 0 for none.
            words: (n, SAID) int32 codes, 0 for none.
            log_price: (n,) NaN for none.
            identity: (n, D), read only where known.
            known: (n,) float, 1 for an item that the network was trained on, else 0.
            seen: one (n, W) for each of `widths.read`, zero rows for none.
        """
        coded = {"category": category, "brand": brand, "traits": traits, "words": words}
        content = self.describe(text, coded, log_price, dict(zip(self.widths.read, seen, strict=True)))
        return torch.where(known[:, None] > 0, identity, content)

    def describe(
        self, text: Tensor, coded: Mapping[str, Tensor], log_price: Tensor, seen: Mapping[str, Tensor]
    ) -> Tensor:
        """Vectors (n, D) by content alone; `coded` and `seen` are columns by name."""
        found: Tensor = self.text(text @ self.basis) + self.price(self.prices(log_price))
        for name, codes in coded.items():
            said = self.get_submodule(name)(codes)
            found = found + (said if codes.dim() == 1 else said.sum(1))
        for name, vectors in seen.items():
            found = found + self.get_submodule(name)(vectors @ getattr(self, f"{name}_basis"))
        return found

    def vectors(self, content: Content) -> Tensor:
        """Vectors (n, D) of n items by their content alone."""

        def here(column: Floats | Ints) -> Tensor:
            return torch.from_numpy(column).to(self.basis.device)

        coded = {name: here(getattr(content, name)) for name in CODED}
        seen = {name: here(content.seen(name, getattr(self.widths, name))) for name in self.widths.read}
        return self.describe(here(content.text), coded, here(content.log_price), seen)


def _directions(vectors: Floats, rank: int) -> Floats:
    """The first principal directions (W, rank) of the rows (n, W) that are not zero.

    Scaled such that a column of the product with such rows has a mean square of 1 over all.
    """
    low, directions = np.linalg.eigh(np.asarray(vectors.T @ vectors, np.float64))
    present = max(int(np.any(vectors, axis=1).sum()), 1)
    spread = np.sqrt(max(float(low[::-1][:rank].sum()), 1e-9) / present / rank)
    return np.asarray(directions[:, ::-1][:, :rank] / spread)
