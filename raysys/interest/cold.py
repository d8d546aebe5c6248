"""What the content of items says of their vectors: a ridge regression, for items that nobody touched."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raysys.interest.content import Content
from raysys.interest.item_tower import CODED, ItemTower, Widths
from raysys.types import Bools, Floats, Ints

COLUMNS = 3000
"""Categories, brands, values of attributes and words, the most frequent ones, that have a coefficient."""
RIDGE = 3.0
"""In units of items: a category of so many is believed by half."""
DROPPED = 0.3
"""Share of the items for which a part of the content is taken to be missing."""
PARTS = ("title", "category", "brand", "traits", "price", "image", "audio")
"""What an item has or lacks as a whole."""
OF = {"text": "title", "words": "title"}
"""Columns that are of a part of another name."""
CHUNK = 1 << 16
"""Items whose features are held at once."""
FOLDS = 4
"""Shares of the items that are told by maps fitted on the others."""
OFFSETS = dict(zip(CODED, np.cumsum([0, *CODED.values()])[:-1].tolist(), strict=True))
"""Where the codes of each kind begin among those of all kinds."""
CODES = sum(CODED.values())


def fit_content(tower: ItemTower, content: Content, rows: Ints, vectors: Floats) -> None:
    """Set the tower's weights such that content says as much as it can of the `vectors` (n, D) of n items.

    A linear map with a squared error, after the networks are fitted, as in Gantner et al. 2010:
    it costs them nothing, and what is little known is drawn to the mean. Its equations are summed
    up CHUNK items at a time.

    Each part of the content is taken to be missing for a share DROPPED of the items, apart from the
    others, so that the rest says what it can without it (ModDrop: Neverova et al. 2016). Nothing is
    drawn: what the squared error is on average over all draws, is known (Wager et al. 2013).

    Args:
        rows: (n,) which items of `content` they are.
    """
    from scipy import linalg

    kept = _kept(content, rows)
    sizes = _sizes(tower)
    width = sum(sizes.values()) + len(kept)
    gram, goal = np.zeros((width, width)), np.zeros((width, vectors.shape[1]))
    mean = vectors.mean(0) if len(rows) else np.zeros(vectors.shape[1], np.float32)
    for low in range(0, len(rows), CHUNK):
        _add(tower, content.at(rows[low : low + CHUNK]), kept, vectors[low : low + CHUNK] - mean, gram, goal)
    _drop(gram, goal, _parts(sizes, kept))
    gram[np.diag_indices(width)] += RIDGE
    found = linalg.solve(gram, goal, assume_a="pos", overwrite_a=True, overwrite_b=True)
    *dense, coded = np.split(found, np.cumsum(list(sizes.values())))
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.zero_()
        tower.text.bias.copy_(torch.from_numpy(mean))
        for name, weights in zip(sizes, dense, strict=True):
            _weight(tower, name).copy_(torch.from_numpy(weights.T))
        for name, offset in OFFSETS.items():
            mine = (kept >= offset) & (kept < offset + CODED[name])
            table = _weight(tower, name)
            table[torch.from_numpy(kept[mine] - offset)] = torch.from_numpy(coded[mine]).to(table)


def told_by_others(content: Content, vectors: Floats, known: Bools, seed: int) -> Floats:
    """Vectors (I, D) that the content of items says if they themselves had not been there to learn from.

    What a map says of those that it was fitted on is much nearer to their `vectors` (I, D) than what
    it says of others. So each share of the `known` (I,) is told by a map fitted on the rest
    (cross-fitting: Stone 1974); of the others the vectors are what they are.
    """
    tower = ItemTower(vectors.shape[1], Widths.of(content))
    tower.learn_scales(content, text=True)
    found, rows = np.array(vectors), np.flatnonzero(known)
    fold = np.random.default_rng([seed, 3]).integers(0, FOLDS, len(rows))
    for number in range(FOLDS):
        mine, rest = rows[fold == number], rows[fold != number]
        if not len(mine):
            continue
        fit_content(tower, content, rest, vectors[rest])
        for low in range(0, len(mine), CHUNK):
            part = mine[low : low + CHUNK]
            with torch.no_grad():
                found[part] = tower.vectors(content.at(part)).numpy()
    return found


def _parts(sizes: Mapping[str, int], kept: Ints) -> Ints:
    """Which of PARTS each column (width,) is of."""
    dense = [PARTS.index(OF.get(name, name)) for name in sizes]
    starts = np.array(list(OFFSETS.values()))
    coded = np.array([PARTS.index(OF.get(name, name)) for name in OFFSETS])
    return np.concatenate(
        [np.repeat(dense, list(sizes.values())), coded[np.searchsorted(starts, kept, "right") - 1]]
    )


def _drop(gram: Floats, goal: Floats, part: Ints) -> None:
    """Make of the sums what they are on average when parts are missing: two are there less often than one."""
    there = 1.0 - DROPPED
    gram *= np.where(part[:, None] == part, there, there**2)
    goal *= there


def _weight(tower: ItemTower, name: str) -> Tensor:
    """The weights of one part of the content, by the name of its column."""
    return tower.get_parameter(f"{name}.weight")


def _sizes(tower: ItemTower) -> dict[str, int]:
    """How many numbers each part of the content is that is no code."""
    names = ("text", "price", *tower.widths.read)
    return {name: _weight(tower, name).shape[1] for name in names}


def _dense(tower: ItemTower, content: Content) -> Floats:
    """Those numbers (n, sum of sizes), in order."""

    def seen(vectors: Floats, basis: Tensor) -> Floats:
        return np.asarray(vectors @ basis.cpu().numpy(), np.float32)

    prices = tower.prices(torch.from_numpy(content.log_price).to(tower.basis.device)).cpu().numpy()
    parts = [seen(content.text, tower.basis), prices]
    parts += [seen(getattr(content, name), getattr(tower, f"{name}_basis")) for name in tower.widths.read]
    return np.concatenate(parts, axis=1)


def _add(tower: ItemTower, content: Content, kept: Ints, vectors: Floats, gram: Floats, goal: Floats) -> None:
    """Add some items to the sums X'X (`gram`) and X'Y (`goal`) of the features X and the `vectors` Y."""
    dense = _dense(tower, content)
    first = dense.shape[1]
    codes = _codes(content)[:, kept]
    cross = codes.T @ dense
    gram[:first, :first] += dense.T @ dense
    gram[first:, :first] += cross
    gram[:first, first:] += cross.T
    pairs = (codes.T @ codes).tocoo()
    gram[first + pairs.row, first + pairs.col] += pairs.data
    goal[:first] += dense.T @ vectors
    goal[first:] += codes.T @ vectors


def _kept(content: Content, rows: Ints) -> Ints:
    """The codes that have a coefficient, rising."""
    count = np.zeros(CODES, np.int64)
    for low in range(0, len(rows), CHUNK):
        count += np.asarray(_codes(content.at(rows[low : low + CHUNK])).sum(0), np.int64).ravel()
    best = np.argsort(-count, kind="stable")[:COLUMNS]
    return np.sort(best[count[best] >= 1])


def _codes(content: Content) -> Any:
    """Indicators (n, CODES), sparse, of what the items say in codes."""
    from scipy import sparse

    row, column = [], []
    for name, offset in OFFSETS.items():
        codes = getattr(content, name).reshape(len(content), -1)
        item, place = np.nonzero(codes)
        row.append(item)
        column.append(codes[item, place].astype(np.int64) + offset)
    where = np.concatenate(row), np.concatenate(column)
    return sparse.csr_matrix((np.ones(len(where[0]), np.float32), where), (len(content), CODES))
