"""Answers as bytes: plain ASCII, and floats that every engine's parser takes for floats."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

from deployments.dialects.dialect import DIGITS, Document, Scored

NUMBER = f"%.{DIGITS}f"
"""A score has always a point: `1`, which a client may read as an integer, would fail there."""


def entries(form: str, *columns: Sequence[object]) -> str:
    """A JSON array with an entry of `form` for each row of `columns`.

    One format string for all of them, so that no Python runs for each.
    """
    return f"[{','.join([form] * len(columns[0]))}]" % tuple(chain.from_iterable(zip(*columns, strict=True)))


def text_object(sent: Document, text: str) -> object:
    """A document as `{"text": ...}`; an object stays as it was sent."""
    return sent if isinstance(sent, dict) else {"text": sent or ""}


def plain_text(sent: Document, text: str) -> object:
    """A document as its text, an object as its words."""
    return text if isinstance(sent, dict) else sent or ""


def scored_list(
    scored: Scored,
    key: str = "relevance_score",
    echo: str = "document",
    form: Callable[[Document, str], object] = text_object,
) -> str:
    """`[{"index": ..., key: ...}, ...]` in the order of the answer.

    Args:
        echo: the key of a document, where the request asked to repeat them.
        form: how a document is repeated, from what was sent and its text.
    """
    order = scored.order.tolist()
    columns: list[Sequence[object]] = [order, scored.scores.tolist()]
    if not scored.asked.echo:
        return entries(f'{{"index":%d,"{key}":{NUMBER}}}', *columns)
    sent, texts = scored.asked.documents, scored.texts
    columns.append([json.dumps(form(sent[place], texts[place])) for place in order])
    return entries(f'{{"index":%d,"{key}":{NUMBER},"{echo}":%s}}', *columns)


def answer(scored: Scored, head: Mapping[str, Any], name: str, listed: str, tail: Mapping[str, Any]) -> bytes:
    """One JSON object around a list; what the answer did without is told after it."""
    degraded = {"degraded": list(scored.degraded)} if scored.degraded else {}
    return wrapped(head, name, listed, {**degraded, **tail})


def wrapped(head: Mapping[str, Any], name: str, listed: str, tail: Mapping[str, Any]) -> bytes:
    """Plain values, then the list `name`, then whatever is nested.

    In this order, because an old Elasticsearch reads the first nested thing as the list.
    """
    parts = (_inside(head), f'"{name}":{listed}', _inside(tail))
    return f"{{{','.join(part for part in parts if part)}}}".encode("ascii")


def _inside(table: Mapping[str, Any]) -> str:
    return json.dumps(dict(table), separators=(",", ":"))[1:-1]
