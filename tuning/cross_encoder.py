"""Teach a cross-encoder what a shop's queries mean: it reads query and text together, for the first few.

    python -m tuning.cross_encoder JUDGED.csv --out var/cross/shop --minutes 20
    python -m tuning.relevance JUDGED.csv --bundle var/bundles/ID --cross-encoder var/cross/shop/served \\
        --out var/draft

The files are those of `tuning.relevance`. A tenth of the queries, told by their words, is never learned from:
there `metrics.json` tells how well it orders, and `tuning.relevance` finds how much it is to say. A run that
was stopped goes on.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysys.errors import ConfigError, DataError
from raysys.evaluation.metrics import mean_error
from raysys.relevance.cross_encoder import CrossConfig, fine_tune_pairs
from raysys.relevance.fit import Judgements
from raysys.relevance.lessons import some
from raysys.relevance.unseen import unread
from raysys.text.cross_encoder import CrossEncoder
from raysys.text.export import export_pairs, packaged_model
from raysys.text.torch_pairs import PairNetwork, Reader
from raysys.types import Floats
from tuning.encoder_report import judges, ndcgs
from tuning.lesson_options import add_options, judgements_of, schedule_of

METRICS = "metrics.json"
JUDGES = 400
"""Queries by which it is measured, at most."""


def reader_of(model: str | Path | None) -> Reader:
    """A cross-encoder that has learned nothing yet, from a sentence encoder; None is the packaged one."""
    from sentence_transformers import SentenceTransformer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = SentenceTransformer(str(model or packaged_model()), device=device)
    return Reader(PairNetwork(encoder).to(device), encoder.tokenizer.backend_tokenizer)


def tune_cross_encoder(
    judged: Judgements,
    out: Path,
    config: CrossConfig | None = None,
    *,
    model: str | Path | None = None,
    most: int = JUDGES,
) -> dict[str, Any]:
    """Learn, export and measure; what `metrics.json` holds.

    Args:
        model: a path or a hub name of sentence-transformers to begin with; None is the packaged one.
        most: queries by which it is measured.
    """
    if (out / METRICS).exists():
        raise ConfigError(f"{out} holds a cross-encoder already; choose another name")
    kept = unread(judged.queries)
    if kept.sum() < 2:
        raise DataError(
            f"{kept.sum()} of {len(kept)} queries are kept to judge it, expected two at least; judge more"
        )
    config, reader, apart = config or CrossConfig(), reader_of(model), kept[judged.query]
    (work := out / "work").mkdir(parents=True, exist_ok=True)
    asked, checks = judges(some(judged, apart), most, config.seed), []
    before = said(reader, asked)
    for check in fine_tune_pairs(reader, some(judged, ~apart), config, work):
        told = f"{check.pairs} pairs, {check.cpu_seconds:.0f} CPU s, loss {check.loss:.4f}"
        print(told, flush=True)
        checks.append(asdict(check))
    after = said(reader, asked)
    cross = CrossEncoder.load(export_pairs(reader.network, reader.tokenizer, out / "served"))
    begun = time.process_time()
    served = cross.of_pairs(asked.queries, asked.texts, asked.query, asked.text)
    seconds = (time.process_time() - begun) / len(asked.query)
    found = {
        "settings": asdict(config) | {"model": str(model or "")},
        "judges": len(asked.queries),
        "ndcg": {
            name: mean_error(ndcgs(scores, asked))
            for name, scores in (("as it came", before), ("fine-tuned", after), ("served", served))
        },
        "error_of_8_bits": float(np.sqrt(np.mean((np.clip(after, 0.0, 1.0) - served) ** 2))),
        "pair_us": 1e6 * seconds,
        "checks": checks,
    }
    (out / METRICS).write_text(json.dumps(found, indent=1))
    return found


def said(reader: Reader, judged: Judgements) -> Floats:
    """Relevance (N,) of every pair by a network in torch."""
    return reader.scores(judged.queries, judged.texts, judged.query, judged.text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn from a file or a log, and say what it brought."""
    parser = argparse.ArgumentParser(
        prog="python -m tuning.cross_encoder",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add_options(parser, CrossConfig())
    given = parser.parse_args(arguments)
    judged = judgements_of(given)
    config = CrossConfig(**schedule_of(given))
    found = tune_cross_encoder(judged, given.out, config, model=given.model)
    for name, (mean, error) in found["ndcg"].items():
        print(f"{name:12} NDCG@5 {mean:.4f} ± {error:.4f} of {found['judges']} queries that it never saw")
    moved, cost = found["error_of_8_bits"], found["pair_us"]
    print(f"served in {cost:.0f} µs of CPU a pair; 8 bits move relevance by {moved:.4f}")


if __name__ == "__main__":
    main()
