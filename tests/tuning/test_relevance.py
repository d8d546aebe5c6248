"""The command makes a bundle with a relevance model that judgements or clicks have taught."""

import csv
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.events import ItemUpdate
from raysys.policy.scorer import Policy
from raysys.signals import SIGNALS
from tuning.relevance import main

THINGS = [f"thing{n}" for n in range(30)]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    catalog = Catalog.of([ItemUpdate(item_id=thing, title=f"{thing} red sofa") for thing in THINGS])
    policy = Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.1)
    Bundle(catalog=catalog, policy=policy).save(tmp_path / "old")
    return tmp_path / "old"


def table(path: Path, head: list[str], rows: list[list[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_judgements_make_a_bundle(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[list[object]] = [
        [f"{one} couch", f"{other} red sofa", 3 if one == other else 1]
        for one in THINGS for other in THINGS[:6]
    ]  # fmt: skip
    (tmp_path / "same.txt").write_text("# furniture\nsofa, couch\n")
    file = table(tmp_path / "judged.csv", ["query", "text", "grade"], rows)
    main(
        [
            str(file),
            "--bundle",
            str(bundle),
            "--out",
            str(tmp_path / "new"),
            "--synonyms",
            str(tmp_path / "same.txt"),
        ]
    )
    made = Bundle.load(tmp_path / "new")
    assert "NDCG@5 on queries held out" in capsys.readouterr().out
    assert made.manifest["relevance"]["judgements"] == len(rows)
    assert made.relevance is not None
    scores = made.relevance.of_texts("couch", None, ["a sofa", "a lamp"], None)
    assert scores[0] > scores[1]


def test_clicks_make_a_bundle(bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows: list[list[object]] = []
    for thing in THINGS:
        for _ in range(60):
            position = int(rng.integers(2))
            other = thing if rng.random() < 0.5 else str(rng.choice(THINGS))
            liked = (0.8 if other == thing else 0.1) * (1.0 if position == 0 else 0.5)
            rows.append([thing, f"{other} red sofa", position, int(rng.random() < liked)])
    file = table(tmp_path / "clicks.csv", ["query", "text", "position", "clicked"], rows)
    main([str(file), "--bundle", str(bundle), "--out", str(tmp_path / "new")])
    assert Bundle.load(tmp_path / "new").manifest["relevance"]["judgements"] > len(THINGS)
