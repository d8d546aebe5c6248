"""Teach the text encoder what a shop's queries mean, from judgements, clicks or the log.

    python -m tuning.encoder JUDGED.csv --out var/encoders/shop --minutes 20
    python -m tuning.encoder --log EVENTS... --bundle var/bundles/ID --objective contrastive --negatives 4 \\
        --out var/encoders/shop

The files are those of `tuning.relevance`. `--out` then holds `int8` and `static`, which stand wherever an
encoder is asked for (`--encoder var/encoders/shop/static` serves queries in microseconds), `model` for a run
to begin with (`--model`), `metrics.json` and `report.html`. The queries fall into shards; an encoder learns
from each, and the mean of their weights is what is kept. The means that left one shard out stand beside it in
`unseen`: they are judged here, and `tuning.relevance --encoder` learns from what they say. A run that was
stopped goes on.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch

from raysys.errors import ConfigError
from raysys.relevance.bi_encoder import EncoderConfig, Objective, fine_tune
from raysys.relevance.fit import Judgements
from raysys.relevance.learner import Check
from raysys.relevance.lessons import some
from raysys.relevance.negatives import with_negatives
from raysys.relevance.unseen import UNSEEN, shards
from raysys.text.augment import Augmenter
from raysys.text.export import export_encoder, packaged_model
from raysys.text.static import StaticEncoder
from raysys.text.synonyms import read_synonyms
from raysys.text.torch_encoder import Pieces, average, vectors
from raysys.types import Floats
from tuning.encoder_report import Reader, judges, measured, tell
from tuning.lesson_options import add_options, judgements_of, schedule_of

METRICS = "metrics.json"
JUDGES = 400
"""Queries by which variants are measured, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What was learned, as weights."""

    whole: dict[str, torch.Tensor]
    unseen: list[dict[str, torch.Tensor]]
    """For each shard the mean of what the others taught."""
    checks: list[list[Check]]


def learned(encoder: Any, judged: Judgements, config: EncoderConfig, count: int, work: Path) -> Tuned:
    """Fine-tune an encoder on each of `count` shards of the queries.

    Args:
        encoder: a SentenceTransformer, which is left as it came.
        work: keeps what was learned, so that a run that was stopped goes on.

    Raises:
        ConfigError: one shard, which nobody could judge.
        DataError: a shard has nothing to learn from.
    """
    if count < 2:
        raise ConfigError(f"{count} shard: nothing would be left that has not seen its queries; take two")
    begin = {name: part.clone() for name, part in encoder.state_dict().items()}
    shard = shards(judged.queries, count)[judged.query]
    limit = replace(config, cpu_seconds=config.cpu_seconds / count)
    states, checks = [], []
    for number in range(count):
        (folder := work / str(number)).mkdir(parents=True, exist_ok=True)
        encoder.load_state_dict(begin)
        told = []
        for check in fine_tune(encoder, some(judged, shard == number), limit, folder):
            print(
                f"shard {number}: {check.pairs} pairs, {check.cpu_seconds:.0f} CPU s, loss {check.loss:.4f},"
                f" held out {check.held_loss:.4f}, in order {check.order:.4f}, NDCG@5 {check.ndcg:.4f}",
                flush=True,
            )
            told.append(check)
        states.append({name: part.clone() for name, part in encoder.state_dict().items()})
        checks.append(told)
    encoder.load_state_dict(begin)
    others = [average(states[:number] + states[number + 1 :]) for number in range(count)]
    return Tuned(whole=average(states), unseen=others, checks=checks)


def write(encoder: Any, tuned: Tuned, texts: Sequence[str], out: Path) -> None:
    """Export what was learned: `model`, `int8` and `static`, these two with what left a shard out."""

    def variants(model: Path, names: Callable[[str], Path]) -> None:
        export_encoder(model, names("int8"))
        StaticEncoder.distilled(Pieces(encoder), texts).save(names("static"))

    encoder.load_state_dict(tuned.whole)
    encoder.save(str(out / "model"))
    variants(out / "model", lambda kind: out / kind)
    for kind in ("int8", "static"):
        (out / kind / UNSEEN).mkdir()
    for number, state in enumerate(tuned.unseen):
        encoder.load_state_dict(state)
        with tempfile.TemporaryDirectory() as scratch:
            encoder.save(scratch)
            variants(Path(scratch), lambda kind, number=number: out / kind / UNSEEN / str(number))  # type: ignore[misc]


def _exact(encoder: Any, state: dict[str, torch.Tensor]) -> Reader:
    """Reads texts in fp32 with these weights."""

    def read(texts: Sequence[str]) -> Floats:
        encoder.load_state_dict(state)
        return vectors(encoder, texts, exact=True)

    return read


def tune_encoder(
    judged: Judgements,
    out: Path,
    config: EncoderConfig | None = None,
    *,
    model: str | Path | None = None,
    count: int = 2,
    negatives: int = 0,
    most: int = JUDGES,
) -> dict[str, Any]:
    """Learn, export, measure, and tell; what `metrics.json` holds.

    Args:
        model: a path or a hub name of sentence-transformers; None is the packaged one.
        count: shards of the queries.
        negatives: so many texts that nobody was shown are mined for each query.
        most: queries by which the variants are measured.
    """
    from sentence_transformers import SentenceTransformer

    if (out / METRICS).exists():
        raise ConfigError(f"{out} holds an encoder already; choose another name")
    config = config or EncoderConfig()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    encoder = SentenceTransformer(str(model or packaged_model()), device=device)
    lessons = judged
    if negatives:
        before = (vectors(encoder, judged.queries), vectors(encoder, judged.texts))
        lessons = with_negatives(judged, before, negatives)
        print(f"{len(lessons.query) - len(judged.query)} pairs were mined that look right and are not")
    tuned = learned(encoder, lessons, config, count, out / "work")
    with tempfile.TemporaryDirectory() as scratch:
        came = Path(scratch)
        export_encoder(model, came / "int8")
        StaticEncoder.distilled(Pieces(encoder), judged.texts).save(came / "static")
        write(encoder, tuned, judged.texts, out)
        asked = judges(judged, most, config.seed)
        found = measured(asked, came, out, [_exact(encoder, state) for state in tuned.unseen])
    report = {
        "settings": asdict(config) | {"shards": count, "negatives": negatives, "model": str(model or "")},
        "queries": len(judged.queries),
        "pairs": len(judged.query),
        "mined": len(lessons.query) - len(judged.query),
        **found,
        "checks": [[asdict(check) for check in told] for told in tuned.checks],
    }
    tell(report, out / "report.html")
    (out / METRICS).write_text(json.dumps(report, indent=1))
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn from a file or a log, and say what it brought."""
    parser = argparse.ArgumentParser(
        prog="python -m tuning.encoder", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    usual = EncoderConfig()
    add_options(parser, usual)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--objective", nargs="+", choices=get_args(Objective), default=list(usual.objectives))
    parser.add_argument("--negatives", type=int, default=0, help="mined for each query")
    parser.add_argument("--drop", type=float, default=0.0, help="chance of a query's word to be left out")
    parser.add_argument("--replace", type=float, default=0.0, help="chance of a synonym in a phrase's place")
    parser.add_argument("--synonyms", type=Path, help="a group of phrases a line, apart by commas")
    given = parser.parse_args(arguments)
    judged = judgements_of(given)
    groups = () if given.synonyms is None else tuple(map(tuple, read_synonyms(given.synonyms)))
    config = EncoderConfig(
        objectives=tuple(given.objective),
        **schedule_of(given),
        augmenter=Augmenter(given.drop, given.replace, groups),
    )
    found = tune_encoder(
        judged, given.out, config, model=given.model, count=given.shards, negatives=given.negatives
    )
    for row in found["variants"]:
        print(f"{row['name']:20} NDCG@5 {row['ndcg']:.4f}, {row['gain']:+.4f} ± {row['gain_se']:.4f}")
    print(f"int8 is {found['int8_cosine']:.4f} like fp32 (cosine); {given.out / 'report.html'} tells more")


if __name__ == "__main__":
    main()
