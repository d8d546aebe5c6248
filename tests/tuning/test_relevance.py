"""The command makes a bundle with a relevance model that judgements or clicks have taught."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.events import ItemUpdate
from raysys.policy.scorer import Policy
from raysys.signals import SIGNALS, SignalConstants
from raysys.types import Wording
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
    scores = made.relevance.of_texts("couch", None, [Wording("a sofa"), Wording("a lamp")], None)
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


WORDS = [f"word{n}" for n in range(40)]
"""Words of queries; no title has any of them."""


@pytest.fixture
def rooms(tmp_path: Path) -> Path:
    """A bundle of sixty items in four categories, whose titles tell nothing."""
    items = [
        ItemUpdate(item_id=f"i{n}", title=f"thing {n}", category=f"room{n % 4}", brand="one")
        for n in range(60)
    ]
    policy = Policy.constant(SIGNALS, np.ones(len(SIGNALS)), 0.1)
    Bundle(catalog=Catalog.of(items), policy=policy).save(tmp_path / "old")
    return tmp_path / "old"


def events(path: Path, seed: int = 0) -> Path:
    """Searches of a word each; whoever asks for word n wants the items of room n modulo 4."""
    rng = np.random.default_rng(seed)
    lines: list[dict[str, object]] = []
    for number in range(800):
        word = number % len(WORDS)
        shown = rng.choice(60, 8, replace=False).tolist()
        query = {"query_id": f"q{number}", "user_id": f"u{number % 50}", "time_ms": 10_000 * number}
        ids = [f"i{item}" for item in shown]
        lines.append(
            {"type": "impression", "surface": "search", "query": WORDS[word], "item_ids": ids, **query}
        )
        for place, item in enumerate(shown):
            liked = (0.9 if item % 4 == word % 4 else 0.05) / (1 + place / 4)
            if rng.random() < liked:
                lines.append({"type": "interaction", "kind": "click", "item_id": f"i{item}", **query})
    lines.append({"type": "forget", "user_id": "u0"})
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def test_a_log_alone_makes_a_bundle_that_knows_what_queries_are_after(rooms: Path, tmp_path: Path) -> None:
    log = events(tmp_path / "log.jsonl")
    main(["--log", str(log), "--bundle", str(rooms), "--out", str(tmp_path / "new")])
    made = Bundle.load(tmp_path / "new")
    assert made.manifest["relevance"]["showings"] == (800 - 800 // 50) * 8
    relevance, catalog = made.relevance, made.catalog
    assert relevance is not None
    for asked, room in (("word5", 1), ("word7 word3", 3)):
        scores = relevance.scores(asked, None, np.arange(4), catalog)
        assert np.argmax(scores) == room
        assert relevance.understood(asked).categories[0][0] == f"room{room}"
    assert "times more likely" in relevance.notes("word5", None, np.array([1]), catalog)[0]
    center, scale = (getattr(made.signals, name)[SIGNALS.index("relevance")] for name in ("center", "scale"))
    default = SignalConstants.default()
    assert (center, scale) != (default.center[1], default.scale[1])
    assert 0.0 < scale < 0.5
    assert np.array_equal(np.delete(made.signals.scale, 1), np.delete(default.scale, 1))


def test_judged_items_are_judged_with_all_their_fields(rooms: Path, tmp_path: Path) -> None:
    log, rng = events(tmp_path / "log.jsonl"), np.random.default_rng(1)
    rows: list[list[object]] = [
        [f"room{n % 4} {word}", f"i{item}", "", 3 if item % 4 == n % 4 else 1]
        for n, word in enumerate(WORDS)
        for item in rng.choice(60, 12, replace=False).tolist()
    ]
    rows += [["room1 word1", "gone", "", 3], ["room1 word1", "gone too", "a mere text", 1]]
    file = table(tmp_path / "judged.csv", ["query", "item_id", "text", "grade"], rows)
    first, second = tmp_path / "new", tmp_path / "newer"
    main([str(file), "--log", str(log), "--bundle", str(rooms), "--out", str(first)])
    made = Bundle.load(first)
    assert made.manifest["relevance"]["judgements"] == len(rows) - 1
    assert made.relevance is not None
    scores = made.relevance.scores("room2", None, np.arange(4), made.catalog)
    assert np.argmax(scores) == 2
    main([str(file), "--bundle", str(first), "--out", str(second)])
    kept = Bundle.load(second).relevance
    assert kept is not None
    assert kept.understood("word5") == made.relevance.understood("word5")


def test_a_log_without_searches_is_refused(rooms: Path, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(DataError, match="no impression of known items with a query"):
        main(["--log", str(tmp_path / "log.jsonl"), "--bundle", str(rooms), "--out", str(tmp_path / "new")])
