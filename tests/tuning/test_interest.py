"""The command finds a good model for any log of events, and reports every system on the same test."""

import json
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from raysys.errors import ConfigError, DataError
from raysys.evaluation.next_item import NextItemMetrics
from raysys.interest.encoder import UserEncoder
from raysys.interest.interactions import Interactions
from raysys.interest.network import NetworkConfig
from raysys.interest.source import NetworkSource
from raysys.types import DAY_MS, Floats
from tuning.fit import fit_side_by_side
from tuning.interest import main
from tuning.study import chosen_of

ITEMS, USERS, LENGTH = 40, 150, 9
START = 19_000
SETTINGS = """
[next_item]
trials = 2
fewest = 2
networks = 2
[next_item.space]
dropout = [0.1, 0.2]
"""
NAMES = {"popularity", "own frequency", "item-kNN", "user-kNN", "co-visitation"}
FIELDS = {f"{name}{part}" for name in ("ndcg@10", "hr@10", "mrr") for part in ("", "_se")}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return walks(tmp_path_factory.mktemp("log"), USERS, LENGTH)


def walks(folder: Path, users: int, length: int) -> Path:
    """Everybody walks the shelf, three items on after a red one and one on after any other."""
    rows = []
    for user in range(users):
        place = user % ITEMS
        for step in range(length):
            time_ms = (START + step) * DAY_MS + user
            rows.append(("interaction", f"u{user}", f"i{place}", "purchase", time_ms))
            place = (place + (3 if place % 5 == 0 else 1)) % ITEMS
    columns = ["type", "user_id", "item_id", "kind", "time_ms"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(folder / "events.parquet")
    items = [{"type": "item", "item_id": f"i{n}", "title": f"thing {n}"} for n in range(ITEMS)]
    (folder / "items.jsonl").write_text("\n".join(json.dumps(item) for item in items))
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


def run(files: Path, out: Path, *more: str) -> dict[str, Any]:
    given = ["--events", str(files / "events.parquet"), "--items", str(files / "items.jsonl")]
    main([*given, "--settings", str(files / "settings.toml"), "--out", str(out), *more])
    found: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return found


def test_what_follows_for_certain_is_found(files: Path, tmp_path: Path, ray_here: None) -> None:
    found = run(files, tmp_path / "out", "--minutes", "0.1")
    assert set(found["test"]) == FIELDS
    assert set(found["baselines"]) == NAMES
    assert all(set(value) == FIELDS for value in found["baselines"].values())
    assert found["test"]["ndcg@10"] > 0.9 > 0.5 > found["baselines"]["popularity"]["ndcg@10"]
    assert found["asked"] == {"validation": USERS // 5, "test": USERS}
    assert found["settings"]["network"]["dropout"] in (0.1, 0.2, 0.5)
    assert found["seconds"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The network" in page
    assert page.count("data:image/png") == 3


def test_a_strict_run_learns_nothing_from_the_validation(files: Path, tmp_path: Path) -> None:
    found = run(files, tmp_path / "out", "--strict", "--no-network")
    assert found["asked"]["validation"] == USERS
    assert found["settings"]["strict"]


def test_what_the_validation_did_is_known_when_the_test_is_asked_unless_strict(
    files: Path, tmp_path: Path
) -> None:
    """Half of the people end an item later: what they did last but one is what the others are asked for."""
    log = pl.read_parquet(files / "events.parquet").filter(pl.col("time_ms") < (START + 5) * DAY_MS)
    last = [
        ("interaction", f"u{user}", f"fresh {n}", "purchase", (START + 6 + n + user % 2) * DAY_MS + user)
        for user in range(USERS)
        for n in range(2 + user % 2)
    ]
    pl.concat([log, pl.DataFrame(last, schema=log.schema, orient="row")]).write_parquet(
        tmp_path / "e.parquet"
    )
    found = {}
    for more in ((), ("--strict",)):
        out = tmp_path / "-".join(("out", *more))
        main(["--events", str(tmp_path / "e.parquet"), "--no-network", "--out", str(out), *more])
        found[bool(more)] = json.loads((out / "metrics.json").read_text())["baselines"]["co-visitation"]
    assert found[False]["ndcg@10"] > found[True]["ndcg@10"]


@pytest.mark.parametrize(
    ("length", "more", "known"),
    [(LENGTH, (), LENGTH - 1), (LENGTH, ("--strict",), LENGTH - 2), (25, (), None)],
)
def test_networks_are_fitted_again_on_all_that_is_known_if_much_was_held_back_from_them(
    length: int,
    more: tuple[str, ...],
    known: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ray_here: None,
) -> None:
    """The validation's answer is a ninth of a short history, and little of a long one."""
    people, logs = 30, []

    def watched(jobs: Sequence[tuple[Interactions, NetworkConfig, Path]], *rest: Any) -> list[Path]:
        logs.extend(log for log, _, _ in jobs)
        return fit_side_by_side(jobs, *rest)

    monkeypatch.setattr("tuning.study_networks.fit_side_by_side", watched)
    out = tmp_path / "out"
    found = run(walks(tmp_path, people, length), out, "--minutes", "0.1", "--no-keep-seen", *more)
    assert found["training"]["again"] is (known is not None)
    assert {len(log) for log in logs} == (set() if known is None else {people * known})
    searched, fitted = out / "search" / "network", out / "again" / "0"
    assert serves(out / "interest", searched if known is None else fitted)
    assert serves(out / "early", fitted if more else searched)


def serves(model: Path, network: Path) -> bool:
    """Whether a saved model's first network is that one."""
    encoder = UserEncoder.load(network)
    vectors = NetworkSource.load(model / "network").vectors
    return np.array_equal(vectors[encoder.known], encoder.identity[encoder.known])


def test_a_split_by_time_asks_for_all_that_came_after(files: Path, tmp_path: Path) -> None:
    moment = (START + LENGTH - 2) * DAY_MS
    found = run(files, tmp_path / "out", "--split", f"time:{moment}", "--no-network")
    assert found["asked"]["test"] == USERS
    assert found["test"]["hr@10"] > 0.9


def test_an_item_nobody_saw_is_asked_for_and_counts_as_missed(files: Path, tmp_path: Path) -> None:
    row = {"user_id": ["u0"], "item_id": ["i39"], "time_ms": [(START + 30) * DAY_MS]}
    pl.DataFrame(row).write_parquet(tmp_path / "ask.parquet")
    found = run(files, tmp_path / "out", "--ask", str(tmp_path / "ask.parquet"), "--no-network")
    assert found["asked"]["test"] == 1


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Arguments that name a log of some people, who all take the same items in a row."""

    def made(people: int, items: int, length: int) -> list[str]:
        path = tmp_path_factory.mktemp("few") / "events.parquet"
        rows = [(f"u{u}", f"i{(u + n) % items}", "view", u + n) for u in range(people) for n in range(length)]
        columns = ["user_id", "item_id", "kind", "time_ms"]
        pl.DataFrame(rows, schema=columns, orient="row").write_parquet(path)
        return ["--events", str(path), "--no-network", "--minutes", "0.1"]

    return made


@pytest.mark.parametrize(("people", "items", "length"), [(2, 30, 6), (7, 30, 3), (20, 1, 5), (20, 2, 5)])
def test_however_little_there_is_every_system_has_numbers(
    people: int, items: int, length: int, few: Callable[..., list[str]], tmp_path: Path
) -> None:
    main([*few(people, items, length), "--out", str(tmp_path)])
    found = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert set(found["baselines"]) == NAMES
    for values in (found["test"], *found["baselines"].values(), *found["validation"].values()):
        assert set(values) == FIELDS
        assert all(0.0 <= value <= 1.0 for value in values.values())


@pytest.mark.parametrize(
    ("people", "length", "more", "error", "message"),
    [
        (1, 6, (), DataError, "there is 1 to learn from"),
        (20, 2, (), DataError, "none of 20 users has 3 interactions"),
        (20, 3, ("--strict",), DataError, "nobody has 2 interactions in the training log"),
        (20, 6, ("--split", "time:900"), DataError, "the log spans 0 to 24 ms; split it at a moment inside"),
        (20, 6, ("--minutes", "0"), ConfigError, "minutes is 0.0, must be above 0"),
        (20, 6, ("--minutes", "nan"), ConfigError, "minutes is nan, must be above 0"),
        (20, 6, ("--seed", "-1"), ConfigError, "seed is -1, must not be negative"),
        (20, 6, ("--unseen", "2"), ConfigError, "unseen is 2; expected with --ask"),
    ],
)
def test_what_cannot_be_studied_is_refused_with_the_reason(
    people: int,
    length: int,
    more: tuple[str, ...],
    error: type[Exception],
    message: str,
    few: Callable[..., list[str]],
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        main([*few(people, 30, length), *more, "--out", str(tmp_path)])


@pytest.mark.parametrize(
    ("items", "more", "left_out"), [(3, (), False), (30, (), True), (3, ("--no-keep-seen",), True)]
)
def test_whether_people_take_things_again_is_seen_in_the_log_unless_said(
    items: int, more: tuple[str, ...], left_out: bool, few: Callable[..., list[str]], tmp_path: Path
) -> None:
    main([*few(20, items, 8), *more, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["settings"]["new_only"] is left_out
    assert (found["test"]["hr@10"] == 0.0) == bool(more), "everybody's last item is one of their own"


def test_without_time_for_a_network_all_the_rest_is_there(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starved(*log: object, **how: object) -> None:
        raise DataError("none of 2 trials was judged")

    monkeypatch.setattr("tuning.study_networks.search_network", starved)
    found = run(files, tmp_path / "out")
    assert found["training"] == {"failed": "none of 2 trials was judged"}
    assert set(found["baselines"]) == NAMES
    assert found["test"]["ndcg@10"] > 0.9


@pytest.mark.parametrize(("lift", "chosen"), [(0.05, "raysys"), (0.3, "co-visitation")])
def test_a_simple_system_is_taken_if_it_is_clearly_better_not_by_chance(lift: float, chosen: str) -> None:
    """Of 12 people a few decide; the model knows what the simple ones know."""
    gains = np.random.default_rng(0).random(12) * 0.5

    def metrics(ndcg: Floats) -> NextItemMetrics:
        return NextItemMetrics(ndcg=ndcg, hit=np.ceil(ndcg), reciprocal=ndcg)

    noise = np.random.default_rng(1).normal(0.0, 0.2, 12)
    noise -= noise.mean()
    found = {
        "raysys": metrics(gains),
        "popularity": metrics(gains / 2),
        "co-visitation": metrics(gains + lift + noise),
    }
    assert chosen_of(found) == chosen


def test_a_study_that_was_killed_after_its_search_does_not_search_again(
    files: Path, tmp_path: Path, ray_here: None
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tuning.interest", "--events", str(files / "events.parquet")]
    command += ["--items", str(files / "items.jsonl"), "--settings", str(files / "settings.toml")]
    command += ["--minutes", "0.1", "--out", str(out)]
    with (tmp_path / "output.txt").open("wb") as output:
        killed = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        for _ in range(4800):
            if (out / "search" / "trials.json").exists() or killed.poll() is not None:
                break
            time.sleep(0.05)
    finally:
        killed.kill()
        killed.wait()
    assert not (out / "metrics.json").exists(), (tmp_path / "output.txt").read_text()[-3000:]
    reports = sorted((out / "search" / "trials").glob("*/result.json"))
    before = [path.read_bytes() for path in reports]
    assert len(before) == 2
    found = run(files, out, "--minutes", "0.1")
    assert [path.read_bytes() for path in reports] == before
    assert len(list((out / "search" / "trials").glob("*/result.json"))) == 2
    assert found["training"]["again"]
    assert found["test"]["ndcg@10"] > 0.9


def test_a_folder_is_that_of_one_study(few: Callable[..., list[str]], tmp_path: Path) -> None:
    main([*(first := few(9, 30, 5)), "--out", str(tmp_path)])
    found = (tmp_path / "metrics.json").read_text()
    with pytest.raises(ConfigError, match=r"of other data or settings.* name another folder"):
        main([*few(9, 30, 6), "--out", str(tmp_path)])
    assert (tmp_path / "metrics.json").read_text() == found
    main([*first, "--out", str(tmp_path)])
    again = json.loads((tmp_path / "metrics.json").read_text())
    assert again["test"] == json.loads(found)["test"]


def test_other_words_for_the_items_make_another_study(files: Path, tmp_path: Path) -> None:
    run(files, tmp_path / "out", "--no-network", "--minutes", "0.1")
    (tmp_path / "items.jsonl").write_text((files / "items.jsonl").read_text().replace("thing", "ding"))
    for name in ("events.parquet", "settings.toml"):
        shutil.copy(files / name, tmp_path / name)
    with pytest.raises(ConfigError, match="of other data or settings"):
        run(tmp_path, tmp_path / "out", "--no-network", "--minutes", "0.1")


def test_a_folder_of_that_name_which_is_no_model_is_not_replaced(
    few: Callable[..., list[str]], tmp_path: Path
) -> None:
    (tmp_path / "interest").mkdir()
    (tmp_path / "interest" / "precious.txt").touch()
    with pytest.raises(ConfigError, match="interest is no interest model, and one would take its place"):
        main([*few(9, 30, 5), "--out", str(tmp_path)])
    assert (tmp_path / "interest" / "precious.txt").exists()


def test_what_the_disk_refuses_is_said_in_one_line(
    few: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "out").touch()
    monkeypatch.setattr("sys.argv", ["interest", *few(9, 30, 5), "--out", str(tmp_path / "out")])
    with pytest.warns(RuntimeWarning, match="found in sys.modules"), pytest.raises(SystemExit, match="2"):
        runpy.run_module("tuning.interest", run_name="__main__")
    error = f"[Errno 17] File exists: '{tmp_path / 'out'}'"
    assert capsys.readouterr().err == f"interest: {error}; once that is mended, the same command goes on\n"


def test_an_unknown_split_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 'leave-one-out'"):
        run(files, tmp_path / "out", "--split", "random")


def test_a_missing_file_is_named(files: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing.parquet"):
        main(["--events", str(tmp_path / "nothing.parquet"), "--out", str(tmp_path)])


def test_a_budget_chooses_among_smaller_models_and_the_chosen_one_is_kept(
    files: Path, tmp_path: Path
) -> None:
    found = run(files, tmp_path / "out", "--no-network", "--budget-us", "1e9")
    compression = found["compression"]
    by_name = {row["variant"]: row for row in compression["variants"]}
    assert by_name[compression["chosen"]]["ndcg@10"] == max(row["ndcg@10"] for row in by_name.values())
    assert by_name["full"]["ratio"] == 1.0
    assert "1 network" not in by_name
    assert "Smaller models" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(ConfigError, match="no variant fits into budget_us = 1"):
        run(files, tmp_path / "none", "--no-network", "--budget-us", "1")
