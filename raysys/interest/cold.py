"""What the content of items says of their vectors: a ridge regression, for items that nobody touched."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from raysys.interest.content import BRAND_BUCKETS, CATEGORY_BUCKETS, Content
from raysys.types import Floats, Ints

if TYPE_CHECKING:
    from raysys.interest.item_tower import ItemTower

COLUMNS = 3000
"""Categories and brands, the most frequent ones, that have a coefficient."""
RIDGE = 3.0
"""In units of items: a category of so many is believed by half."""


def fit_content(tower: "ItemTower", content: Content, vectors: Floats) -> None:
    """Set the tower's weights such that content says as much as it can of `vectors` (n, D) of n items.

    A linear map with a squared error, after the networks are fitted, as in Gantner et al. 2010:
    it costs them nothing, and what is little known is drawn to the mean.
    """
    from scipy import linalg, sparse

    codes, kept = _codes(content)
    size = len(content)
    dense = np.concatenate(
        [
            content.text @ tower.basis.cpu().numpy(),
            tower.prices(torch.from_numpy(content.log_price)).cpu().numpy(),
        ],
        axis=1,
    )
    features = sparse.hstack([sparse.csr_matrix(dense), codes[:, kept]]).tocsr()
    mean = vectors.mean(0)
    gram = (features.T @ features).toarray() + RIDGE * np.eye(features.shape[1])
    found = linalg.solve(gram, features.T @ (vectors - mean), assume_a="pos") if size else np.zeros(0)
    text, price, code = np.split(found, [dense.shape[1] - 2, dense.shape[1]])
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.zero_()
        tower.text.weight.copy_(torch.from_numpy(text.T))
        tower.text.bias.copy_(torch.from_numpy(mean))
        tower.price.weight.copy_(torch.from_numpy(price.T))
        here = torch.from_numpy(code.astype(np.float32)).to(tower.category.weight.device)
        branded = kept >= CATEGORY_BUCKETS
        tower.category.weight[torch.from_numpy(kept[~branded])] = here[torch.from_numpy(~branded)]
        tower.brand.weight[torch.from_numpy(kept[branded] - CATEGORY_BUCKETS)] = here[
            torch.from_numpy(branded)
        ]


def _codes(content: Content) -> tuple[Any, Ints]:
    """One column (n, buckets) for each category and brand, and which of them have a coefficient."""
    from scipy import sparse

    size = len(content)
    columns = np.concatenate([content.category, CATEGORY_BUCKETS + content.brand[:, None]], axis=1)
    empty = (columns == 0) | (columns == CATEGORY_BUCKETS)
    rows = np.broadcast_to(np.arange(size)[:, None], columns.shape)[~empty]
    shape = (size, CATEGORY_BUCKETS + BRAND_BUCKETS)
    ones = np.ones(len(rows), np.float32)
    codes = sparse.csr_matrix((ones, (rows, columns[~empty])), shape)
    count = np.asarray(codes.sum(0)).ravel()
    best = np.argsort(-count, kind="stable")[:COLUMNS]
    return codes, np.sort(best[count[best] >= 1])
