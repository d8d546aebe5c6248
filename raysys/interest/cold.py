"""What the content of items says of their vectors: a ridge regression, for items that nobody touched."""

from typing import Any

import numpy as np
import torch

from raysys.interest.content import BRAND_BUCKETS, CATEGORY_BUCKETS, Content
from raysys.interest.item_tower import TEXT_RANK, ItemTower
from raysys.types import Floats, Ints

COLUMNS = 3000
"""Categories and brands, the most frequent ones, that have a coefficient."""
RIDGE = 3.0
"""In units of items: a category of so many is believed by half."""
CHUNK = 1 << 16
"""Items whose features are held at once."""
PRICES = 2
"""Columns that an item tower makes of the price."""


def fit_content(tower: ItemTower, content: Content, rows: Ints, vectors: Floats) -> None:
    """Set the tower's weights such that content says as much as it can of the `vectors` (n, D) of n items.

    A linear map with a squared error, after the networks are fitted, as in Gantner et al. 2010:
    it costs them nothing, and what is little known is drawn to the mean. Its equations are summed
    up CHUNK items at a time.

    Args:
        rows: (n,) which items of `content` they are.
    """
    from scipy import linalg

    kept = _kept(content, rows)
    size = TEXT_RANK + PRICES + len(kept)
    gram, goal = RIDGE * np.eye(size), np.zeros((size, vectors.shape[1]))
    mean = vectors.mean(0) if len(rows) else np.zeros(vectors.shape[1], np.float32)
    for low in range(0, len(rows), CHUNK):
        _add(tower, content.at(rows[low : low + CHUNK]), kept, vectors[low : low + CHUNK] - mean, gram, goal)
    found = linalg.solve(gram, goal, assume_a="pos", overwrite_a=True, overwrite_b=True)
    text, price, code = np.split(found, [TEXT_RANK, TEXT_RANK + PRICES])
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


def _add(tower: ItemTower, content: Content, kept: Ints, vectors: Floats, gram: Floats, goal: Floats) -> None:
    """Add some items to the sums X'X (`gram`) and X'Y (`goal`) of the features X and the `vectors` Y."""
    first = TEXT_RANK + PRICES
    dense = np.empty((len(content), first), np.float32)
    dense[:, :TEXT_RANK] = content.text @ tower.basis.cpu().numpy()
    dense[:, TEXT_RANK:] = tower.prices(torch.from_numpy(content.log_price)).cpu().numpy()
    codes = _codes(content)[:, kept]
    cross = codes.T @ dense
    gram[:first, :first] += dense.T @ dense
    gram[first:, :first] += cross
    gram[:first, first:] += cross.T
    pairs = (codes.T @ codes).tocoo()
    gram[first + pairs.row, first + pairs.col] += pairs.data
    goal[:first] += dense.T @ vectors
    goal[first:] += codes.T @ vectors


def _columns(content: Content) -> Ints:
    """The column (n, LEVELS + 1) of each category and brand; column 0 and the first brand are none."""
    return np.concatenate([content.category, CATEGORY_BUCKETS + content.brand[:, None]], axis=1)


def _kept(content: Content, rows: Ints) -> Ints:
    """The columns that have a coefficient, rising."""
    count = np.zeros(CATEGORY_BUCKETS + BRAND_BUCKETS, np.int64)
    for low in range(0, len(rows), CHUNK):
        part = rows[low : low + CHUNK]
        count += np.bincount(content.category[part].ravel(), minlength=len(count))
        count += np.bincount(CATEGORY_BUCKETS + content.brand[part], minlength=len(count))
    count[[0, CATEGORY_BUCKETS]] = 0
    best = np.argsort(-count, kind="stable")[:COLUMNS]
    return np.sort(best[count[best] >= 1])


def _codes(content: Content) -> Any:
    """Indicators (n, buckets), sparse, of the categories and the brand."""
    from scipy import sparse

    columns = _columns(content)
    stated = (columns != 0) & (columns != CATEGORY_BUCKETS)
    rows = np.broadcast_to(np.arange(len(content))[:, None], columns.shape)[stated]
    shape = (len(content), CATEGORY_BUCKETS + BRAND_BUCKETS)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns[stated])), shape)
