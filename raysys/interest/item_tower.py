"""An item's vector from whatever is known of it: identity, text, category, brand and price."""

import numpy as np
import torch
from torch import Tensor, nn

from raysys.catalog import TEXT_WIDTH
from raysys.interest.content import BRAND_BUCKETS, CATEGORY_BUCKETS, Content

TEXT_RANK = 64
"""Principal directions of the text vectors that the tower reads."""
PARTS = ("identity", "text", "category", "brand", "price")


class ItemTower(nn.Module):
    """One vector from an item's identity, text, category, brand and price, weighed by learned gates.

    What an item lacks adds nothing, and the gates know that it is lacking: an item that was
    never seen gets a vector from its content alone.
    """

    basis: Tensor
    price_scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("basis", torch.zeros(TEXT_WIDTH, TEXT_RANK))
        self.register_buffer("price_scale", torch.tensor([0.0, 1.0]))
        self.text = nn.Linear(TEXT_RANK, width, bias=False)
        self.category = nn.Embedding(CATEGORY_BUCKETS, width, padding_idx=0)
        self.brand = nn.Embedding(BRAND_BUCKETS, width, padding_idx=0)
        self.price = nn.Sequential(nn.Linear(1, 16), nn.GELU(), nn.Linear(16, width))
        self.gate = nn.Linear(len(PARTS) * width + len(PARTS), len(PARTS))
        for module in (self.text, self.category, self.brand):
            nn.init.normal_(module.weight, std=0.02)
        with torch.no_grad():
            self.category.weight[0] = 0.0
            self.brand.weight[0] = 0.0
            self.gate.weight.mul_(0.1)
            self.gate.bias.fill_(1.0)

    def learn_scales(self, content: Content, *, text: bool) -> None:
        """Take the text's principal directions and the spread of the prices from the items at hand."""
        low, directions = np.linalg.eigh(np.asarray(content.text.T @ content.text, np.float64))
        basis = directions[:, ::-1][:, :TEXT_RANK]
        spread = np.sqrt(max(float(low[::-1][:TEXT_RANK].sum()), 1e-9) / max(len(content), 1) / TEXT_RANK)
        price = content.log_price[~np.isnan(content.log_price)]
        scale = [price.mean(), max(float(price.std()), 1e-3)] if len(price) else [0.0, 1.0]
        self.basis.copy_(torch.from_numpy(basis.copy()) / spread * float(text))
        self.price_scale.copy_(torch.tensor(scale))

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
        return self.fuse(text @ self.basis, category, brand, log_price, identity, known)

    def fuse(
        self,
        text: Tensor,
        category: Tensor,
        brand: Tensor,
        log_price: Tensor,
        identity: Tensor,
        known: Tensor,
        hidden: Tensor | None = None,
    ) -> Tensor:
        """As `forward` on text already projected (n, TEXT_RANK); parts `hidden` (n, 5) 0 are lacking."""
        priced = ~torch.isnan(log_price)
        price = torch.where(priced, log_price, self.price_scale[0])
        price = (price - self.price_scale[0]) / self.price_scale[1]
        present = torch.stack(
            [
                known,
                (text != 0).any(1).to(known.dtype),
                (category[:, 0] > 0).to(known.dtype),
                (brand > 0).to(known.dtype),
                priced.to(known.dtype),
            ],
            dim=1,
        )  # (n, 5)
        if hidden is not None:
            present = present * hidden
        parts = torch.stack(
            [
                identity,
                self.text(text),
                self.category(category).sum(1),
                self.brand(brand),
                self.price(price[:, None]),
            ],
            dim=1,
        )  # (n, 5, D)
        parts = parts * present[:, :, None]
        gate = torch.sigmoid(self.gate(torch.cat([parts.flatten(1), present], dim=1)))  # (n, 5)
        return (parts * gate[:, :, None]).sum(1)
