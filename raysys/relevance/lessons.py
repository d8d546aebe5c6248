"""Judged pairs in the portions of a step: the pairs of one query together, every query once in a pass."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raysys.relevance.fit import Judgements
from raysys.types import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """N pairs of some queries and texts."""

    queries: list[str]
    texts: list[str]
    query: Ints
    """(N,) which of `queries`."""
    text: Ints
    """(N,) which of `texts`."""
    relevant: Floats
    """(N,) in [0, 1]."""
    weight: Floats
    """(N,) with mean 1."""


def lessons(judged: Judgements, pairs: int, steps: int, seed: int) -> Iterator[Lesson]:
    """`steps` portions of about `pairs` pairs each; the same ones for the same seed."""
    order = np.argsort(judged.query, kind="stable")
    asked, first = np.unique(judged.query[order], return_index=True)
    rows = dict(zip(asked.tolist(), np.split(order, first[1:]), strict=True))
    left: list[int] = []
    number = 0
    for _ in range(steps):
        chosen: list[Ints] = []
        while sum(map(len, chosen)) < pairs and len(chosen) < max(len(asked), 2):
            if not left:
                left = np.random.default_rng([seed, number]).permutation(asked).tolist()
                number += 1
            chosen.append(rows[left.pop()])
        yield portion(judged, np.concatenate(chosen))


def some(judged: Judgements, rows: Bools | Ints) -> Judgements:
    """The judgements of some rows, a mask (N,) or places (n,), with their queries and texts."""
    queries, query = np.unique(judged.query[rows], return_inverse=True)
    texts, text = np.unique(judged.text[rows], return_inverse=True)
    return Judgements(
        queries=[judged.queries[number] for number in queries],
        texts=[judged.texts[number] for number in texts],
        query=query,
        text=text,
        relevant=judged.relevant[rows],
        weight=None if judged.weight is None else judged.weight[rows],
    )


def portion(judged: Judgements, rows: Ints) -> Lesson:
    """Some rows of the judgements."""
    part = some(judged, rows)
    weight = np.ones(len(rows)) if part.weight is None else part.weight
    return Lesson(
        queries=list(part.queries),
        texts=list(part.texts),
        query=part.query,
        text=part.text,
        relevant=part.relevant,
        weight=weight / max(float(weight.mean()), 1e-9),
    )
