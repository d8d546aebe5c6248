"""What a study of the interest model found, as one HTML page with its plots."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysys.evaluation.report import Section, bars, lines, write_report
from tuning import compress_report

METRICS = ("ndcg@10", "hr@10", "mrr")


def tell(report: Mapping[str, Any], trials: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the page of a report as `tuning.interest` makes it, with the trials of its network search."""
    sections = [_systems(report, "test"), _systems(report, "validation"), _combination(report)]
    sections += compress_report.sections(report["compression"]) if "compression" in report else []
    write_report(path, "The next item", [*sections, *([_trials(trials)] if trials else [])])


def _systems(report: Mapping[str, Any], part: str) -> Section:
    if part == "test":
        found = {"raysys": report["model"], **report["baselines"]}
        text = f"Full ranking of the catalog for {report['asked']['test']} people; asked once, at the end."
    else:
        found = report["validation"]
        text = (
            f"The same for {report['asked']['validation']} people whose answers the combination did not learn"
            f" from; it chose {report['chosen']}."
        )
    return Section(
        title=f"Every system on the {part}",
        text=text,
        head=("system", *METRICS),
        rows=[
            (name, *(f"{values[metric]:.4f} ± {values[f'{metric}_se']:.4f}" for metric in METRICS))
            for name, values in found.items()
        ],
        png=bars(
            list(found),
            [values["ndcg@10"] for values in found.values()],
            [1.96 * values["ndcg@10_se"] for values in found.values()],
            unit="NDCG@10, with 95 % intervals",
        ),
    )


def _combination(report: Mapping[str, Any]) -> Section:
    contests = [
        (contest["kind"], name, f"{ndcg:.4f}", f"{contest['log_loss'][name]:.6f}", name == contest["winner"])
        for contest in report["combination"]
        for name, ndcg in contest["ndcg"].items()
    ]
    return Section(
        title="The last step of the interest model",
        text="Competitors on people held out, within the items that they were asked about.",
        head=("kind", "competitor", "NDCG@10", "log loss", "taken"),
        rows=contests,
    )


def _trials(trials: Sequence[Mapping[str, Any]]) -> Section:
    curves = {f"trial {number}": trial["curves"].get("ndcg", []) for number, trial in enumerate(trials)}
    return Section(
        title="The network's trials",
        text="NDCG@10 of each network alone on the validation, by report; the best ones are averaged.",
        head=("trial", "last", "settings"),
        rows=[
            (name, f"{curve[-1]:.4f}" if curve else "", json.dumps(trial["settings"]))
            for (name, curve), trial in zip(curves.items(), trials, strict=True)
        ],
        png=lines(curves, across="report", unit="NDCG@10"),
    )
