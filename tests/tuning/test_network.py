"""The search for the network's settings: it finds, goes on where it was killed, and repeats nothing."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
from ray import tune

from raysys.config import read_settings
from raysys.dataset.build import Dataset
from raysys.dataset.prepare import prepare
from raysys.dataset.read import of_events
from raysys.errors import ConfigError, DataError
from raysys.events import Interaction, ItemUpdate
from raysys.interest.encoder import UserEncoder
from raysys.interest.network import NetworkConfig
from raysys.types import DAY_MS
from tuning.fit import fit_and_export
from tuning.log import read_log
from tuning.network import SearchSettings, tune_network
from tuning.trials import Search, claim, domain, run_search, with_first

ROOT = Path(__file__).parents[2]
ITEMS, USERS, DAYS = 12, 20, 30
START = 19_000 * DAY_MS
SETTINGS = """
[interest]
trials = 3
horizon_days = 5.0
cpus = 1

[interest.network]
width = 16
blocks = 1
epochs = 6
batch_tokens = 64
patience = 6
learning_rate = 0.01

[interest.space]
learning_rate = { low = 1e-3, high = 3e-2, log = true }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody buys the next two of twelve items every day, in a circle."""
    events: list[Interaction | ItemUpdate] = [
        ItemUpdate(item_id=f"i{n}", title=f"thing {n}", category=f"a/{n % 3}") for n in range(ITEMS)
    ]
    for day in range(DAYS):
        for user in range(USERS):
            for one in range(2):
                item_id = f"i{(2 * (day + user) + one) % ITEMS}"
                time_ms = START + day * DAY_MS + 1000 * one
                deed = Interaction(kind="purchase", item_id=item_id, user_id=f"u{user}", time_ms=time_ms)
                events.append(deed)
    path = tmp_path_factory.mktemp("data") / "dataset"
    prepare([of_events(events)], path)
    (path / "settings.toml").write_text(SETTINGS)
    return path


def start(folder: Path, out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tuning.network", "--data", str(folder)]
    command += ["--out", os.path.relpath(out, ROOT)]  # as people name folders
    command += ["--settings", str(folder / "settings.toml")]
    with (out.parent / "output.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)


def reports(out: Path) -> dict[str, list[dict[str, float]]]:
    """What each trial has reported, by the folder of the trial."""
    return {
        path.parent.name: [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        for path in sorted((out / "trials").glob("*/result.json"))
    }


def finished(out: Path) -> list[str]:
    return [name for name, lines in reports(out).items() if lines and lines[-1]["training_iteration"] == 6]


def test_a_search_that_was_killed_goes_on_and_repeats_no_finished_trial(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = start(folder, out)
    try:
        for _ in range(2400):
            if finished(out) or killed.poll() is not None:
                break
            time.sleep(0.05)
        assert killed.poll() is None, (tmp_path / "output.txt").read_text()[-3000:]
    finally:
        if killed.poll() is None:
            os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
    before, done = reports(out), finished(out)
    assert done
    assert not (out / "trials.json").exists()
    again = start(folder, out)
    assert again.wait(timeout=300) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    after = reports(out)
    assert len(after) == 3
    for name in done:
        assert after[name] == before[name]  # the very same reports, with their times and processes
    table = json.loads((out / "trials.json").read_text())
    assert [len(one["settings"]) for one in table["trials"]] == [1, 1, 1]
    for one in table["trials"]:
        epochs = one["curves"]["epoch"]
        assert epochs == list(range(1, len(epochs) + 1))
    best = table["trials"][table["best"]]
    assert max(best["curves"]["ndcg"]) == max(max(one["curves"]["ndcg"]) for one in table["trials"])
    assert list((out / "trials").glob("*/events.out.tfevents.*"))  # what TensorBoard reads
    _finds_what_comes_next(folder, out)
    _is_not_searched_again(folder, out)


def _finds_what_comes_next(folder: Path, out: Path) -> None:
    """The exported network of the best trial, asked the day after the log."""
    events, catalog = read_log(folder, None)
    encoder = UserEncoder.load(out / "network")
    vectors = encoder.item_vectors(catalog)
    right = 0
    for user in range(USERS):
        mine = events.where(events.user == user)
        now_ms = int(mine.time_ms[-1]) + DAY_MS
        scores = vectors @ encoder.user_vector(mine.row, mine.kind, mine.time_ms, vectors, now_ms)
        right += int(np.argmax(scores) in (mine.row[-2:] + 2) % ITEMS)
    assert right > 0.8 * USERS


def _is_not_searched_again(folder: Path, out: Path) -> None:
    before = reports(out)
    events, catalog = read_log(folder, None)
    tuned = tune_network(events, catalog, out, settings=SearchSettings.read(folder / "settings.toml"))
    assert reports(out) == before
    best = max(tuned.trials, key=lambda one: max(one["curves"]["ndcg"]))
    assert tuned.config.learning_rate == best["settings"]["learning_rate"]
    assert tuned.ndcg == max(best["curves"]["ndcg"]) == best["curves"]["ndcg"][tuned.config.epochs - 1]


def test_the_whole_log_is_fitted_and_written_for_a_replica(folder: Path, tmp_path: Path) -> None:
    events, catalog = read_log(folder, None)
    config = NetworkConfig(width=8, blocks=1, epochs=1)
    encoder = UserEncoder.load(fit_and_export(events, catalog, config, tmp_path / "network"))
    assert encoder.item_vectors(catalog).shape == (ITEMS, 8)
    assert encoder.size == ITEMS


def test_a_folder_that_holds_another_search_is_refused(tmp_path: Path) -> None:
    claim(tmp_path, [b"one", np.arange(3)])
    claim(tmp_path, [b"one", np.arange(3)])
    with pytest.raises(ConfigError, match="other data or settings"):
        claim(tmp_path, [b"one", np.arange(4)])


def test_a_log_shorter_than_the_horizon_is_refused(folder: Path, tmp_path: Path) -> None:
    events, catalog = read_log(folder, None)
    with pytest.raises(DataError, match="0 interactions before the last"):
        tune_network(events, catalog, tmp_path / "out", settings=SearchSettings(horizon_days=99))
    with pytest.raises(DataError, match="0 interactions before the last"):
        tune_network(events, catalog, tmp_path / "out", until_ms=0)


def test_the_settings_of_the_repository_are_fields_of_the_network() -> None:
    settings = SearchSettings.read()
    base = read_settings(NetworkConfig, settings.network)
    for name, choice in settings.space.items():
        domain(name, choice)
        values = choice if isinstance(choice, tuple | list) else (choice["low"], choice["high"])
        for value in values:
            assert replace(base, **{name: value})


@pytest.mark.parametrize("choice", [3, {"low": 1}, [], {"low": 1, "high": 2, "step": 1}])
def test_a_space_that_is_no_space_is_refused(choice: object) -> None:
    with pytest.raises(ConfigError, match="space of dropout"):
        domain("dropout", choice)


def test_a_space_is_widened_to_hold_the_start() -> None:
    assert with_first([1, 2], 2) == [1, 2]
    assert with_first([1, 2], 3) == [1, 2, 3]
    assert with_first({"low": 0.1, "high": 0.4}, 0.5) == {"low": 0.1, "high": 0.5}
    assert with_first({"low": 0.1, "high": 0.4, "log": True}, 0.2)["low"] == 0.1


def test_a_space_of_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="space names"):
        SearchSettings(space={"wings": [1, 2]})


def test_a_dataset_becomes_columns_in_order_of_time_of_items_in_the_catalog(
    tmp_path: Path,
) -> None:
    events = [
        ItemUpdate(item_id="a", title="thing a"),
        Interaction(kind="click", item_id="a", user_id="u", time_ms=START + 2),
        Interaction(kind="purchase", item_id="a", user_id="v", time_ms=START),
        Interaction(kind="click", item_id="unheard of", user_id="v", time_ms=START),
    ]
    prepare([of_events(events)], tmp_path)
    assert len(Dataset.load(tmp_path).interactions) == 3
    log, catalog = read_log(tmp_path, None)
    assert log.time_ms.tolist() == [START, START + 2]
    assert log.row.tolist() == [0, 0]
    assert sorted(log.user.tolist()) == [0, 1]
    assert len(catalog) == 1


def steady(sample: dict[str, float]) -> None:
    """A trial that reports its own setting, six times."""
    for _ in range(6):
        with tempfile.TemporaryDirectory() as folder:
            tune.report({"value": sample["x"]}, checkpoint=tune.Checkpoint.from_directory(folder))


@pytest.mark.usefixtures("ray_here")
def test_no_trial_is_stopped_early_where_all_of_them_are_wanted(tmp_path: Path) -> None:
    """A network that is averaged with the best one has to have had its time, though it is much worse."""
    search = Search(
        metric="value",
        space={"x": {"low": 0.0, "high": 1.0}},
        first={"x": 0.9},
        also={"x": 0.1},
        trials=2,
        minutes=10.0,
        epochs=6,
        kept=2,
    )
    trials = run_search(steady, search, tmp_path / "search", resources={"cpu": 1.0})
    assert [len(one.curves["value"]) for one in trials] == [6, 6]


@pytest.mark.usefixtures("ray_here")
def test_a_search_that_was_killed_before_it_had_a_state_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "tuner.pkl").touch()
    search = Search(metric="value", space={"x": [0.5]}, first={"x": 0.5}, trials=1, minutes=10.0, epochs=6)
    (trial,) = run_search(steady, search, tmp_path / "search", resources={"cpu": 1.0})
    assert trial.curves["value"] == [0.5] * 6


@pytest.mark.usefixtures("ray_here")
def test_trials_run_on_the_cluster_that_the_environment_names() -> None:
    address = ray.get_runtime_context().gcs_address
    code = "import ray; from tuning.trials import start_ray; start_ray(1);"
    code += "print(ray.get_runtime_context().gcs_address, ray.cluster_resources()['CPU'])"
    told = {**os.environ, "RAY_ADDRESS": address}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=told, check=True, stdout=subprocess.PIPE
    )
    assert found.stdout.decode().split()[-2:] == [address, str(ray.cluster_resources()["CPU"])]
