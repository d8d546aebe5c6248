"""What every embedding dialect is made of: texts out of any form of input, vectors in any form of output."""

import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from raysys.types import Floats

MOST_TEXTS = 2048


def texts_in(given: Any, name: str) -> list[str]:
    """The texts of an input that is one or a list of them.

    Raises:
        ValueError: there are too many, or one is no text (tokens are not taken).
    """
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise ValueError(f"{name} is {type(given).__name__}, expected a text or a list of texts")
    if len(texts) > MOST_TEXTS:
        # in these words, because Elasticsearch looks for them to tell what is wrong
        raise ValueError(f"total number of texts must be at most {MOST_TEXTS} - received {len(texts)}")
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{name}[{place}] is {type(text).__name__}, expected a text, not tokens")
    return texts


def shortened(vectors: Floats, dimensions: int | None) -> Floats:
    """The first `dimensions` numbers of each row (n, D), again of length 1; None keeps all.

    Raises:
        ValueError: there are not that many.
    """
    width = vectors.shape[1]
    if dimensions is None or dimensions == width:
        return vectors
    if not 0 < dimensions < width:
        raise ValueError(f"dimensions is {dimensions}, expected 1 to {width}")
    kept = vectors[:, :dimensions]
    lengths = np.linalg.norm(kept, axis=1, keepdims=True)
    return np.asarray(kept / np.maximum(lengths, 1e-12), np.float32)


def numbers(vectors: Floats) -> list[str]:
    """A JSON array of each row (n, D), to 10 decimals: half as long as float32 in full, and as good."""
    rows = np.round(vectors.astype(np.float64), 10).tolist()
    return [msgspec.json.encode(row).decode() for row in rows]


def base64s(vectors: Floats) -> list[str]:
    """A JSON text of each row (n, D): its float32 in little-endian order, as base64."""
    return [f'"{base64.b64encode(row.tobytes()).decode()}"' for row in vectors.astype("<f4")]


def written(vectors: Floats, form: str) -> list[str]:
    return base64s(vectors) if form == "base64" else numbers(vectors)


def tokens(texts: Sequence[str]) -> int:
    """About how many tokens, four characters each: clients want a number, nothing is billed."""
    return sum(map(len, texts)) // 4
