"""What smaller models reach and cost, as a section of a report and as a table to print."""

from collections.abc import Iterator, Mapping
from typing import Any

from raysys.evaluation.report import Section, trade_off

HEAD = (
    "variant",
    "NDCG@10",
    "to the full one",
    "request µs",
    "ratio",
    "its scoring µs",
    "feed µs",
    "MB",
    "front",
    "verdict",
)
COSTS = {
    "request_us": "CPU µs of a view and 100 probabilities",
    "bytes": "bytes on disk",
}
FRONTS = {"request_us": "time", "size": "bytes"}


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One variant, as of HEAD."""
    return (
        row["variant"],
        f"{row['ndcg@10']:.4f}",
        f"{row['gain']:+.4f} ± {row['gain_se']:.4f}",
        f"{row['request_us']:.0f}",
        f"{row['ratio']:.2f}",
        f"{row['scoring_us']:.0f}",
        f"{row['feed_us']:.0f}",
        f"{row['bytes'] / 1e6:.1f}",
        ", ".join(FRONTS[cost] for cost in row["front"]),
        row["verdict"],
    )


def sections(found: Mapping[str, Any]) -> Iterator[Section]:
    """The table, and a plot of quality against each cost; `found` is what `Compressed.plain` says."""
    budget = found["budget_us"]
    limit = "no budget was set" if not budget else f"the budget is {budget:.0f} µs"
    rows = found["variants"]
    text = (
        f"The full model and smaller ones, judged by the same {found['people']} people, whose answers they"
        f" did not learn from; {limit}, and {found['chosen']} is used. Errors are of paired differences."
    )
    yield Section(title="Smaller models", text=text, head=HEAD, rows=[cells(row) for row in rows])
    for cost, (front, unit) in zip(("request_us", "size"), COSTS.items(), strict=True):
        points = {row["variant"]: (row[front], row["ndcg@10"], row["gain_se"]) for row in rows}
        best = [row["variant"] for row in sorted(rows, key=lambda row: row[front]) if cost in row["front"]]
        png = trade_off(points, best, cost=unit, unit="NDCG@10")
        text = "The line joins those that no other beats in both."
        yield Section(title=f"Quality against {unit}", text=text, png=png)


def table(found: Mapping[str, Any]) -> list[str]:
    """Lines of Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    return lines + [f"| {' | '.join(cells(row))} |" for row in found["variants"]]
