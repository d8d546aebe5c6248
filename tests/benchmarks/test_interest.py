"""The sets keep the order of their files, and the table says what was measured and nothing else."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import interest, sets
from raysys.errors import DataError
from tuning.events import read_events, split_log
from tuning.questions import read_asked


def packed(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four users of 3 to 4 films; of the first one everything before the test item is told."""
    folder = tmp_path / "data" / "movielens_1m_gsasrec"
    packed(folder / "train_input.txt.gz", "1 2 3\n4 5 6 7\n2 5 1\n7 6 5\n")
    packed(folder / "val_input.txt.gz", "1 2 3 4\n")
    (folder / "val_output.txt").write_text("5\n")
    (folder / "test_output.txt").write_text("6\n1\n7\n2\n")
    films = "".join(f"{n}\t{n}\tFilm {n}\t199{n}\tDrama Crime\n" for n in range(1, 8))
    (folder / "items.tsv").write_text("item_id\tmovielens_id\ttitle\tyear\tgenres\n" + films)
    amazon = tmp_path / "data" / "amazon_s3rec"
    packed(amazon / "Beauty.sequences.txt.gz", "1 3 1 2 4\n2 2 1 3\n")
    items = "".join(f"{n}\tB{n}\tsoap {n}\t7 {n}\n" for n in range(1, 5))
    packed(amazon / "Beauty.items.tsv.gz", "item_id\tasin\tshort_text\tattribute_ids\n" + items)
    return tmp_path / "data"


def test_a_file_without_times_keeps_each_users_order(data: Path, tmp_path: Path) -> None:
    files = sets.bench_set("beauty", data=data, out=tmp_path / "out")
    log = read_events([files.events], [files.items])
    assert log.catalog.titles[2] == "soap 3"
    assert log.catalog.attributes[2] == {"tags": ["7", "3"]}
    histories = [log.events.row[places].tolist() for _, places in log.events.by_user()]
    assert histories == [[2, 0, 1, 3], [1, 0, 2]]
    test = split_log(log.events, "leave-one-out").test
    assert [rows.tolist() for rows in test.truth] == [[3], [2]]


def test_what_is_known_of_the_exact_users_is_history_and_not_training(data: Path, tmp_path: Path) -> None:
    files = sets.bench_set("movielens-exact", data=data, out=tmp_path / "out")
    log = read_events([files.events], [files.items])
    assert files.ask is not None
    asked = read_asked(files.ask, log)
    assert len(log.events) == 13
    (user,) = asked.user.tolist()
    history = asked.before.row[asked.before.user == user]
    assert [log.catalog.item_ids[row] for row in history] == ["1", "2", "3", "4", "5"]
    assert [log.catalog.item_ids[row] for row in asked.truth[0]] == ["6"]


def test_everybody_is_asked_with_one_item_missing(data: Path, tmp_path: Path) -> None:
    files = sets.bench_set("movielens-skip", data=data, out=tmp_path / "out")
    log = read_events([files.events], [files.items])
    assert (files.unseen, files.arguments()[-2:]) == (1, ["--unseen", "1"])
    assert files.ask is not None
    assert len(read_asked(files.ask, log)) == 4


def test_the_inner_protocol_holds_two_items_out_of_the_others(data: Path, tmp_path: Path) -> None:
    found = {}
    for ask in ("exact", "skip"):
        files = sets.bench_set(f"movielens_int-{ask}", data=data, out=tmp_path / "out")
        log = read_events([files.events], [files.items])
        assert files.ask is not None
        asked = read_asked(files.ask, log)
        found[ask] = [log.catalog.item_ids[rows[0]] for rows in asked.truth]
    assert len(log.events) == 13 - 2 * 3
    assert found == {"exact": ["6", "5", "6"], "skip": ["7", "1", "5"]}


def test_a_set_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="there is no set 'bueaty'; there are beauty, sports"):
        sets.bench_set("bueaty")


def test_the_best_leave_out_what_is_ones_own_and_say_where_they_end() -> None:
    top = interest.best(np.array([0.1, 0.9, 0.5]), np.array([1]))
    assert top[:3].tolist() == [2, 0, -1]
    assert len(top) == interest.LENGTH


def test_a_table_has_means_over_seeds_and_marks_what_others_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interest, "RESULTS", tmp_path)
    (tmp_path / "beauty").mkdir()
    for seed, ndcg in ((0, 0.05), (1, 0.07)):
        row = {
            "system": "esasrec", "seed": seed, "ndcg@10": ndcg, "ndcg@10_se": 0.001, "hr@10": 0.1,
            "hr@10_se": 0.003, "mrr": 0.04, "mrr_se": 0.002, "fit_cpu_seconds": 10.0,
            "search_cpu_seconds": 20.0, "events": 1_000,
        }  # fmt: skip
        (tmp_path / "beauty" / f"esasrec-{seed}.json").write_text(json.dumps(row))
    lines = interest.table("beauty")
    assert (
        "| esasrec | 0.1000 ± 0.0030 | 0.0600 ± 0.0010 | 0.0141 (2) | 0.0400 ± 0.0020 | 10 | 20 | 100 |"
        in lines
    )
    assert lines.index("| *published by others* | | | | | | | |") == len(lines) - 3


def test_peers_get_the_split_that_the_command_makes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sets.bench_set("beauty", data=data, out=tmp_path / "out")
    monkeypatch.setattr(interest, "bench_set", lambda _: files)
    monkeypatch.setattr(interest, "OUT", tmp_path / "out")
    interest.plain("beauty", 1.0)
    told = {
        part: pl.read_parquet(tmp_path / "out" / "plain" / "beauty" / f"{part}.parquet")
        .sort("user", maintain_order=True)
        .rows()
        for part in ("train", "valid", "history", "test")
    }
    assert told["train"] == [(0, 2), (0, 0), (1, 1)]
    assert told["valid"] == [(0, 1), (1, 0)]
    assert sorted(told["history"]) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert told["test"] == [(0, 3), (1, 2)]


def test_where_people_buy_again_nobody_leaves_out_what_they_had(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = replace(sets.bench_set("beauty", data=data, out=tmp_path / "out"), keep_seen=True)
    assert files.arguments()[-1] == "--keep-seen"
    monkeypatch.setattr(interest, "bench_set", lambda _: files)
    monkeypatch.setattr(interest, "OUT", tmp_path / "out")
    interest.plain("beauty", 1.0)
    told = json.loads((tmp_path / "out" / "plain" / "beauty" / "told.json").read_text())
    assert told == {"users": 2, "items": 4, "new_only": False}
