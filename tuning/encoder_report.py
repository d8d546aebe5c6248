"""How good the variants of a text encoder are, by queries they have not seen, and what they cost."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raysys.errors import DataError
from raysys.evaluation.metrics import mean_error
from raysys.evaluation.report import Section, lines, trade_off, write_report
from raysys.relevance.fit import Judgements, mean_ndcg
from raysys.relevance.lessons import some
from raysys.relevance.unseen import UNSEEN, shards
from raysys.text.static import load_encoder
from raysys.types import Floats

Reader = Callable[[Sequence[str]], Floats]
"""Texts to unit rows (n, D)."""
HEAD = ("variant", "NDCG@5", "to int8 as it came", "CPU µs a query", "CPU µs a text", "MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one variant made of N pairs and their texts."""

    cosine: Floats
    """(N,)"""
    vectors: Floats
    """Unit rows of the queries and texts that the pairs of each shard have, in order."""
    query_us: float
    text_us: float

    @classmethod
    def by(cls, readers: Sequence[Reader], asked: Judgements) -> "Read":
        """Each reader reads the queries of its shard; one alone reads all."""
        shard = shards(asked.queries, len(readers))[asked.query]
        cosine, kept = np.zeros(len(shard)), []
        spent, count = [0.0, 0.0], [0, 0]
        for number, reader in enumerate(readers):
            part = some(asked, shard == number)
            found = []
            for side, words in enumerate((part.queries, part.texts)):
                begun = time.process_time()
                found.append(reader(words))
                spent[side] += time.process_time() - begun
                count[side] += len(words)
            queries, texts = found
            cosine[shard == number] = np.sum(queries[part.query] * texts[part.text], axis=1)
            kept += found
        query_us, text_us = (1e6 * spent[side] / max(count[side], 1) for side in (0, 1))
        return cls(cosine=cosine, vectors=np.concatenate(kept), query_us=query_us, text_us=text_us)


def judges(judged: Judgements, most: int, seed: int) -> Judgements:
    """What up to `most` queries were told of which some texts are better than others.

    Raises:
        DataError: there are fewer than two such queries.
    """
    order = np.argsort(judged.query, kind="stable")
    asked, first = np.unique(judged.query[order], return_index=True)
    groups = zip(asked, np.split(judged.relevant[order], first[1:]), strict=True)
    able = np.array([query for query, relevant in groups if np.ptp(relevant) > 0])
    if len(able) < 2:
        raise DataError(f"{len(able)} queries have better and worse texts, expected two at least; judge more")
    chosen = np.random.default_rng(seed).permutation(able)[:most]
    return some(judged, np.isin(judged.query, chosen))


def measured(asked: Judgements, came: Path, out: Path, exact: Sequence[Reader]) -> dict[str, Any]:
    """NDCG@5 and costs of every variant, the loss of 8 bits among them.

    Args:
        came: folder of `int8` and `static` before anything was learned.
        out: folder of `int8` and `static` as they were learned, with those that left a shard out.
        exact: for each shard the one that left it out, in fp32.
    """

    def unseen(kind: str) -> list[Reader]:
        return [load_encoder(out / kind / UNSEEN / str(number)).encode for number in range(len(exact))]

    variants = {
        "int8 as it came": ([load_encoder(came / "int8").encode], came / "int8"),
        "static as it came": ([load_encoder(came / "static").encode], came / "static"),
        "fp32, fine-tuned": (exact, None),
        "int8, fine-tuned": (unseen("int8"), out / "int8"),
        "static, fine-tuned": (unseen("static"), out / "static"),
    }
    read = {name: Read.by(readers, asked) for name, (readers, _) in variants.items()}
    ndcg = {name: ndcgs(one.cosine, asked) for name, one in read.items()}
    rows = []
    for name, (_, folder) in variants.items():
        mean, error = mean_error(ndcg[name])
        gain, gain_error = mean_error(ndcg[name] - ndcg["int8 as it came"])
        rows.append(
            {
                "name": name,
                "ndcg": mean,
                "ndcg_se": error,
                "gain": gain,
                "gain_se": gain_error,
                # a whole batch of fp32 in torch is no measure of a replica
                "query_us": None if folder is None else read[name].query_us,
                "text_us": None if folder is None else read[name].text_us,
                "bytes": None if folder is None else sum(one.stat().st_size for one in folder.glob("*.*")),
            }
        )
    whole, small = (read[f"{kind}, fine-tuned"].vectors for kind in ("fp32", "int8"))
    return {
        "judges": len(asked.queries),
        "variants": rows,
        "int8_cosine": float(np.mean(np.sum(whole * small, axis=1))),
    }


def ndcgs(scores: Floats, judged: Judgements) -> Floats:
    """NDCG@5 (Q,) of each query of which anything is relevant, else NaN."""
    return np.array(
        [
            mean_ndcg(scores[rows], judged.relevant[rows], judged.query[rows])
            for rows in (judged.query == number for number in range(len(judged.queries)))
        ]
    )


def tell(report: Mapping[str, Any], path: Path) -> None:
    """Write the page of a report as `tuning.encoder` makes it."""
    rows = report["variants"]
    loss = {row["name"]: row["ndcg"] for row in rows}
    lost = loss["fp32, fine-tuned"] - loss["int8, fine-tuned"]
    served = {row["name"]: (row["query_us"], row["ndcg"], row["gain_se"]) for row in rows if row["query_us"]}
    front, best = [], -math.inf
    for name, (_, ndcg, _) in sorted(served.items(), key=lambda one: one[1][0]):
        if ndcg > best:
            front.append(name)
            best = ndcg
    held = {
        f"shard {number}": [check["order"] for check in checks]
        for number, checks in enumerate(report["checks"])
    }
    sections = [
        Section(
            title="Every variant, by its cosine alone",
            text=(
                f"{report['judges']} queries judge; what was fine-tuned did not see the queries it is judged"
                f" by. 8 bits lose {lost:.4f} NDCG@5, and their vectors are {report['int8_cosine']:.4f} like"
                " those of fp32 (cosine). Errors are of paired differences."
            ),
            head=HEAD,
            rows=[_cells(row) for row in rows],
            png=trade_off(served, front, cost="CPU µs to encode a query", unit="NDCG@5"),
        ),
        Section(
            title="Learning",
            text=f"{report['pairs']} pairs of {report['queries']} queries; {report['mined']} were mined.",
            png=lines(held, across="check", unit="pairs of held-out queries in order"),
        ),
    ]
    write_report(path, "The text encoder", sections)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    costs = [f"{row[name]:.0f}" if row[name] else "" for name in ("query_us", "text_us")]
    size = f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else ""
    return (
        row["name"],
        f"{row['ndcg']:.4f} ± {row['ndcg_se']:.4f}",
        f"{row['gain']:+.4f} ± {row['gain_se']:.4f}",
        *costs,
        size,
    )
