"""What encoders say of pairs whose queries they never learned from (cross-fitting).

An encoder that was fine-tuned on a query knows its answers; trees that are learned from the same judgements
would trust it more than it deserves. So beside it stand encoders that each left out one shard of the queries.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raysys.relevance.fit import Judgements
from raysys.relevance.lessons import some
from raysys.relevance.scorer import cosines
from raysys.text.normalize import normalize
from raysys.text.static import load_encoder
from raysys.types import Bools, Floats, Ints

UNSEEN = "unseen"
"""Folder in that of an encoder; `0`, `1`, ... in it are the encoders without a shard each."""

UNREAD = 10
"""One of so many shards is kept from a cross-encoder, to say how good it is."""


def shards(queries: Sequence[str], count: int) -> Ints:
    """A shard (Q,) in [0, count) of every query, by its words alone: it is the same in any file."""
    return np.array([zlib.crc32(normalize(text).encode()) % count for text in queries], np.int64)


def unread(queries: Sequence[str]) -> Bools:
    """The queries (Q,) that no cross-encoder learns from: a tenth, by their words alone."""
    return np.asarray(shards(queries, UNREAD) == 0)


def unseen_meaning(encoder: Path, judged: Judgements) -> Floats | None:
    """Cosine (N,) of every pair by an encoder that left its query out; None beside one that was not tuned."""
    folders = sorted((encoder / UNSEEN).glob("*"))
    if not folders:
        return None
    shard = shards(judged.queries, len(folders))[judged.query]
    found = np.full(len(shard), np.nan)
    for number, folder in enumerate(folders):
        if (rows := shard == number).any():
            part, other = some(judged, rows), load_encoder(folder)
            queries, texts = other.encode(part.queries), other.encode(part.texts)
            found[rows] = [
                cosines(queries[query], texts[text : text + 1], 1)[0]
                for query, text in zip(part.query, part.text, strict=True)
            ]
    return found
