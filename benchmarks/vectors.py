"""Vectors of texts, made once and kept in chunks: a run that was cut off goes on where it was."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raysys.text.encoder import TextEncoder
from raysys.types import Floats

CHUNK = 1_000


def kept_vectors(texts: Sequence[str], encoder: Path, out: Path) -> Floats:
    """Unit rows (n, D) of `texts`, by the encoder in the folder `encoder`, read from `out` where they are.

    A chunk's name holds what it was made of, so another encoder or other texts never meet an old file.
    """
    out.mkdir(parents=True, exist_ok=True)
    model = hashlib.sha256((encoder / "model.onnx").read_bytes()).hexdigest()
    loaded: TextEncoder | None = None
    parts = []
    for first in range(0, len(texts), CHUNK):
        chunk = list(texts[first : first + CHUNK])
        name = hashlib.sha256("\n".join([model, *chunk]).encode()).hexdigest()[:20]
        path = out / f"{name}.npy"
        if not path.exists():
            loaded = loaded or TextEncoder.load(encoder)
            draft = path.with_suffix(".tmp.npy")
            np.save(draft, loaded.encode(chunk), allow_pickle=False)
            draft.rename(path)
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
