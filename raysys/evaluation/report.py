"""One HTML file that shows what was measured: tables and plots, with nothing to fetch."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysys.errors import DataError
from raysys.evaluation.calibration import reliability
from raysys.types import Bools, Floats

STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ccc}"
    "td:first-child,th:first-child{text-align:left}img{max-width:100%}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, what it means, and a table or a plot."""

    title: str
    text: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    png: bytes = b""


def bars(labels: Sequence[str], values: Sequence[float], errors: Sequence[float], *, unit: str) -> bytes:
    """PNG of one horizontal bar for each label, with its error."""
    if not len(labels) == len(values) == len(errors):
        raise DataError(
            f"{len(labels)} labels, {len(values)} values and {len(errors)} errors; give one of each"
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.5 + 0.35 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(labels)), values, xerr=errors)
    axes.set(yticks=range(len(labels)), yticklabels=labels, xlabel=unit)
    axes.invert_yaxis()
    return _png(figure)


def lines(series: Mapping[str, Sequence[float]], *, across: str, unit: str) -> bytes:
    """PNG of one line for each series, such as the loss of every trial."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.add_subplot()
    for name, values in series.items():
        axes.plot(range(len(values)), values, label=name)
    axes.set(xlabel=across, ylabel=unit)
    if series:
        axes.legend()
    return _png(figure)


def trade_off(
    points: Mapping[str, tuple[float, float, float]], front: Sequence[str], *, cost: str, unit: str
) -> bytes:
    """PNG of what each system costs and reaches.

    Args:
        points: by name: cost, value, and the error of the value.
        front: the names that no other beats in both, the cheapest first; a line joins them.
        cost: unit of the cost; its axis is logarithmic.
    """
    if unknown := [name for name in front if name not in points]:
        raise DataError(f"the front names {unknown}, the points are {sorted(points)}")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, (spent, value, error) in points.items():
        color = "C0" if name in front else "gray"
        axes.errorbar(spent, value, error, marker="o", color=color, capsize=2)
        axes.annotate(name, (spent, value), xytext=(5, 4), textcoords="offset points", fontsize=7)
    axes.plot([points[name][0] for name in front], [points[name][1] for name in front], color="C0")
    axes.set(xlabel=cost, ylabel=unit, xscale="log")
    return _png(figure)


def calibration(
    prob: Floats, done: Bools, *, weight: Floats | None = None, bins: int = 10, logarithmic: bool = False
) -> bytes:
    """PNG of predicted (N,) against observed (N,) shares, in bins of equal mass with their standard errors.

    Args:
        weight: (N,) for how many cases each stands.
        logarithmic: for what is rare; bins in which nothing came true are at the lower edge.
    """
    import numpy as np
    from matplotlib.figure import Figure

    points = reliability(prob, done, weight, bins=bins)
    spread = np.sqrt(points.observed * (1.0 - points.observed) / np.maximum(points.cases, 1.0))
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    ends = np.concatenate([points.predicted, points.observed])
    top, low = float(ends.max(initial=1e-9)), 0.0
    if logarithmic:
        low = float(ends[ends > 0].min(initial=top)) / 2.0
        axes.set(xscale="log", yscale="log")
    axes.plot([low, top], [low, top], color="gray", linestyle=":")
    axes.errorbar(points.predicted, np.maximum(points.observed, low), spread, marker="o")
    axes.set(xlabel="predicted", ylabel="observed")
    return _png(figure)


def _png(figure: object) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=110)  # type: ignore[attr-defined]
    return target.getvalue()


def render(title: str, sections: Sequence[Section]) -> str:
    """The page; every text in it is escaped."""
    body = "\n".join(_section(section) for section in sections)
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}</style><h1>{name}</h1>\n{body}\n</html>\n"
    )


def write_report(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page to `path`, whole or not at all."""
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text(render(title, sections))
    draft.replace(path)


def _section(section: Section) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    if section.rows:
        parts.append(_table(section.head, section.rows))
    if section.png:
        data = base64.b64encode(section.png).decode()
        parts.append(f'<img alt="{html.escape(section.title)}" src="data:image/png;base64,{data}">')
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    for number, row in enumerate(rows):
        if len(row) != len(head):
            raise DataError(f"row {number} has {len(row)} cells, the head has {len(head)}")
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
