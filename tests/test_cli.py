"""Every command of `raysys` answers in words, and an error is no traceback."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.bundle import Bundle
from raysys.cli import main
from raysys.events import Impression, Interaction, encode_event
from raysys.log import RecordWriter, read_records
from raysys.policy.scorer import Policy
from raysys.ranker import Ranker
from raysys.releases import current, previous, publish
from raysys.signals import SIGNALS
from raysys.state.memory import MemoryStore
from raysys.state.open import open_store
from raysys.types import Candidates, QueryId, key_of
from tests import fakes
from tests.test_log import record


def test_check_names_the_line_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"type":"interaction","kind":"click","item_id":"a","user_id":"u","time_ms":1700000000000}\n{"type":1}\n'
    )
    assert main(["check", str(path), "--quarantine", str(tmp_path / "bad.jsonl")]) == 1
    assert "x.jsonl:2:" in capsys.readouterr().out
    assert (tmp_path / "bad.jsonl").exists()


def test_check_is_content_with_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("kind,item_id,user_id,time_ms\nclick,a,u,1700000000000\n")
    assert main(["check", str(path)]) == 0


def test_an_absent_file_is_an_error_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere.csv"]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_forget_leaves_nothing_of_the_user(tmp_path: Path) -> None:
    uri = f"sqlite:{tmp_path / 'state.db'}"
    store = open_store(uri)
    store.append([Interaction(kind="click", item_id="a", user_id="ann", time_ms=1)], 2)
    assert store.live(key_of("ann", None))
    store.close()
    assert main(["forget", "ann", "--state", uri]) == 0
    store = open_store(uri)
    assert store.live(key_of("ann", None)) is None
    store.close()


def test_forget_takes_the_name_out_of_ranking_records(tmp_path: Path) -> None:
    uri, records = f"sqlite:{tmp_path / 'state.db'}", tmp_path / "records"
    writer = RecordWriter(records)
    writer.write(replace(record(1), key="u:ann"))
    writer.write(replace(record(2), key="u:bob"))
    writer.close()
    assert main(["forget", "ann", "--state", uri, "--records", str(records)]) == 0
    assert [kept.key for kept in read_records(records)] == [None, "u:bob"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two released bundles, and what the second one served."""
    folder = tmp_path_factory.mktemp("shop")
    for number in (1.0, 0.5):
        weights = np.array([{"engine": number}.get(name, 0.0) for name in SIGNALS])
        policy = Policy.constant(SIGNALS, weights, 0.5)
        parts = {"interest": None, "relevance": None, "encoder": None, "response": None}
        publish(fakes.bundle(policy=policy, **parts), folder / "bundles")
    writer, rng, events = RecordWriter(folder / "records"), np.random.default_rng(0), []
    ranker = Ranker(Bundle.load(released(folder)), MemoryStore(), writer)
    for number in range(400):
        asked = fakes.ask(id=QueryId(f"q{number}"), user_id=f"u{number}", length=3)
        sent = Candidates.of([f"i{n}" for n in rng.permutation(12)[:5]])
        found = [item.item_id for item in ranker.rank(asked, sent).items]
        told = {"query_id": asked.id, "user_id": asked.user_id, "time_ms": fakes.NOW_MS}
        events.append(Impression(surface="search", item_ids=found, **told))
        if rng.random() < 0.3:
            events.append(Interaction(kind="click", item_id=found[0], **told))
    writer.close()
    (folder / "events.jsonl").write_bytes(b"".join(encode_event(event) + b"\n" for event in events))
    return folder


def released(shop: Path) -> Path:
    path = current(shop / "bundles")
    assert path is not None
    return path


def logged(shop: Path) -> list[str]:
    return [str(shop / "records"), "--bundle", str(released(shop))]


def test_replay_is_content_with_what_the_bundle_served(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *logged(shop)]) == 0
    assert "400 of 400 rankings are equal to the last bit, 400 in their order" in capsys.readouterr().out


def test_replay_names_what_differs_and_what_it_left_out(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *logged(shop), "--seed", "1"]) == 1
    told = capsys.readouterr().out
    assert "logged i" in told
    assert "more" in told
    (older,) = previous(shop / "bundles")
    assert main(["replay", str(shop / "records"), "--bundle", str(shop / "bundles" / older)]) == 1
    assert "not replayed: 400 (bundle " in capsys.readouterr().out


def test_whatif_tells_what_would_move_and_what_it_would_be_worth(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = ["--events", str(shop / "events.jsonl"), "--reward", "click=1"]
    assert main(["whatif", *logged(shop), "--set", "engine=0.4", "--set", "freshness=0.1", *events]) == 0
    told = capsys.readouterr().out
    for words in (
        "rankings              400",
        "share of attention by brand",
        "  acme",
        "difference            ",
    ):
        assert words in told
    assert "refused" not in told
    assert "effective n" in told


def test_whatif_refuses_to_value_what_the_log_cannot_tell(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["whatif", *logged(shop), "--dial", "0", "--events", str(shop / "events.jsonl")]) == 0
    assert "difference            refused: no support for this target" in capsys.readouterr().out


def test_whatif_with_the_same_weights_changes_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whatif", *logged(shop), "--set", "engine=0.5"]) == 0
    told = capsys.readouterr().out
    assert "changed               0 in" in told
    assert "mean overlap@10       1.000" in told


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "nothing would change"),
        (["--set", "intrest=1"], "there is no signal 'intrest'; the signals are engine"),
        (["--dial", "1.5"], "dial is 1.5, expected a number from 0 to 1"),
    ],
)
def test_a_wish_that_makes_no_sense_is_named(
    shop: Path, more: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["whatif", *logged(shop), *more]) == 2
    assert reason in capsys.readouterr().err


def test_records_that_are_nowhere_are_an_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(shop / "nowhere"), "--bundle", str(released(shop))]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_rollback_prints_both_bundles(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundles = tmp_path / "bundles"
    shutil.copytree(shop / "bundles", bundles)
    old, (new,) = released(shop).name, previous(bundles)
    assert main(["rollback", str(bundles)]) == 0
    assert capsys.readouterr().out == f"was: {old}\nis:  {new}\n"
    assert main(["rollback", str(bundles)]) == 2
    assert "no earlier one" in capsys.readouterr().err
