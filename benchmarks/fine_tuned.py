"""Encoders fine-tuned on Home Depot's judgements, and what they say of queries that they have not seen.

One encoder learns from each fold; the mean of the weights of several folds judges the others. Trees that
learn from a query of one of those folds read what the mean without that fold says of it.
"""

from collections.abc import Set
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.home_depot import FOLDS, Judged
from benchmarks.search import judgements
from benchmarks.vectors import kept_vectors
from raysys.relevance.bi_encoder import EncoderConfig, fine_tune
from raysys.relevance.lessons import some
from raysys.text.export import export_encoder, packaged_model
from raysys.text.static import StaticEncoder
from raysys.text.torch_encoder import Pieces, average, vectors
from raysys.types import Floats

OUT = Path("var/bench/encoders/fine_tuned")
CONFIG = EncoderConfig(learning_rate=5e-5, held_out=0.0, checks=4)
"""The loss was chosen on queries with fewer than 8 judged products, which are evaluated nowhere."""
ALL = frozenset(range(FOLDS))


def encoder() -> Any:
    """The sentence encoder that learning begins with."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(packaged_model()), device="cpu")


def learn(judged: Judged, fold: int) -> None:
    """Fine-tune an encoder on one fold, once; it goes on where it was stopped."""
    if (path := OUT / f"{fold}.pt").exists():
        return
    (work := OUT / f"{fold}.work").mkdir(parents=True, exist_ok=True)
    found = encoder()
    pairs = some(judgements(judged), judged.folds()[judged.query] == fold)
    for check in fine_tune(found, pairs, CONFIG, work):
        told = f"{check.pairs} pairs, {check.cpu_seconds:.0f} CPU s, loss {check.loss:.4f}"
        print(f"fold {fold}: {told}", flush=True)
    torch.save(found.state_dict(), path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


@cache
def _weights(fold: int) -> dict[str, torch.Tensor]:
    return dict(torch.load(OUT / f"{fold}.pt", weights_only=True))


def learned_from(folds: Set[int]) -> Any:
    """The mean of the encoders of these folds."""
    found = encoder()
    found.load_state_dict(average([_weights(fold) for fold in sorted(folds)]))
    return found.eval()


def folder(kind: str, folds: Set[int], titles: list[str]) -> Path:
    """Of what was learned from some folds as `int8` or `static`, made once."""
    name = "-".join(map(str, sorted(folds)))
    if not (found := OUT / f"{kind}-{name}").exists():
        model = learned_from(folds)
        if kind == "static":
            StaticEncoder.distilled(Pieces(model), titles).save(found)
        else:
            model.save(str(OUT / f"model-{name}"))
            export_encoder(OUT / f"model-{name}", found)
    return found


def cosine(judged: Judged, kind: str, folds: Set[int], fold: int) -> Floats:
    """(n,) of the pairs of a fold, by what was learned from other folds, made once.

    Args:
        kind: `int8` or `static` as they are served, or `torch`, which reads many texts at a time.
    """
    if fold in folds:
        raise ValueError(f"fold {fold} is among those that were learned from, {sorted(folds)}")
    path = OUT / f"{kind}-{'-'.join(map(str, sorted(folds)))}-of-{fold}.npy"
    if path.exists():
        return np.asarray(np.load(path, allow_pickle=False))
    part = some(judgements(judged), judged.folds()[judged.query] == fold)
    if kind == "torch":
        model = learned_from(folds)
        queries, texts = vectors(model, part.queries), vectors(model, part.texts)
    elif kind == "static":
        static = StaticEncoder.load(folder(kind, folds, judged.titles))
        queries, texts = static.encode(part.queries), static.encode(part.texts)
    else:
        made = folder(kind, folds, judged.titles)
        queries, texts = (kept_vectors(words, made, OUT / "vectors") for words in (part.queries, part.texts))
    found = np.einsum("nd,nd->n", queries[part.query], texts[part.text])
    np.save(path, found, allow_pickle=False)
    return np.asarray(found)


def meaning(judged: Judged, kind: str, asked: Set[int]) -> Floats:
    """Cosine (N,): of the folds that are asked as it is served, of the others as trees learn from it."""
    fold, learned = judged.folds()[judged.query], ALL - asked
    found = np.zeros(len(fold))
    for number in sorted(asked):
        found[fold == number] = cosine(judged, kind, learned, number)
    told = "static" if kind == "static" else "torch"
    for number in sorted(learned):
        found[fold == number] = cosine(judged, told, learned - {number}, number)
    return found
