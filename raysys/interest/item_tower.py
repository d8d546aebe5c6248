"""An item's vector: that of its identity where it was learned, else one from text, category, brand, price."""

import numpy as np
import torch
from torch import Tensor, nn

from raysys.catalog import TEXT_WIDTH
from raysys.interest.content import BRAND_BUCKETS, CATEGORY_BUCKETS, Content

TEXT_RANK = 64
"""Principal directions of the text vectors that the tower reads."""


class ItemTower(nn.Module):
    """The vector of an item's content: a sum over its parts; what an item lacks adds nothing."""

    basis: Tensor
    price_scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(TEXT_WIDTH, TEXT_RANK))
        self.register_buffer("price_scale", torch.tensor([0.0, 1.0]))
        self.text = nn.Linear(TEXT_RANK, width)
        self.category = nn.Embedding(CATEGORY_BUCKETS, width, padding_idx=0)
        self.brand = nn.Embedding(BRAND_BUCKETS, width, padding_idx=0)
        self.price = nn.Linear(2, width, bias=False)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def learn_scales(self, content: Content, *, text: bool) -> None:
        """Take the text's principal directions and the spread of the prices from the items at hand."""
        low, directions = np.linalg.eigh(np.asarray(content.text.T @ content.text, np.float64))
        basis = directions[:, ::-1][:, :TEXT_RANK]
        spread = np.sqrt(max(float(low[::-1][:TEXT_RANK].sum()), 1e-9) / max(len(content), 1) / TEXT_RANK)
        price = content.log_price[~np.isnan(content.log_price)]
        scale = [price.mean(), max(float(price.std()), 1e-3)] if len(price) else [0.0, 1.0]
        self.basis.copy_(torch.from_numpy(basis.copy()) / spread * float(text))
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
        log_price: Tensor,
        identity: Tensor,
        known: Tensor,
    ) -> Tensor:
        """Vectors (n, D) of items.

        Args:
            text: (n, 384) unit rows, zero for none.
            category: (n, LEVELS) int64 codes, 0 for none.
            brand: (n,) int64 codes, 0 for none.
            log_price: (n,) NaN for none.
            identity: (n, D), read only where known.
            known: (n,) float, 1 for an item that the network was trained on, else 0.
        """
        content = self.describe(text @ self.basis, category, brand, log_price)
        return torch.where(known[:, None] > 0, identity, content)

    def describe(self, text: Tensor, category: Tensor, brand: Tensor, log_price: Tensor) -> Tensor:
        """Vectors (n, D) by content alone, of text already projected (n, TEXT_RANK)."""
        parts = self.text(text) + self.category(category).sum(1) + self.brand(brand)
        found: Tensor = parts + self.price(self.prices(log_price))
        return found
