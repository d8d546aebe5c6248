"""What was served can be read again; what was cut short is counted, never read."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raysys.log import RankingRecord, RecordReader, RecordWriter, forget_records, read_records

KILLED = """
import os, signal, sys
from pathlib import Path
from raysys.log import RecordWriter
from tests.test_log import record
writer = RecordWriter(Path(sys.argv[1]))
for number in range(20):
    writer.write(record(number))
writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def record(number: int) -> RankingRecord:
    return RankingRecord(
        query_id=f"q{number}",
        time_ms=number,
        surface="search",
        channel="app",
        key="u:ann",
        state_version=7,
        bundle_id="b",
        policy_id="p",
        profile=1,
        profile_prob=0.25,
        temperature=0.5,
        item_ids=("a", "b", "c"),
        signals=np.arange(6, dtype=np.float16).reshape(3, 2),
        order=np.array([2, 0]),
        propensities=np.array([0.3, 1 / 3]),
        forced=np.array([False, True]),
        degraded=("encoder",),
    )


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.write(record(1))
    writer.close()
    (read,) = read_records(tmp_path)
    assert (read.query_id, read.degraded, read.item_ids) == ("q1", ("encoder",), ("a", "b", "c"))
    np.testing.assert_array_equal(read.signals, record(1).signals)
    np.testing.assert_array_equal(read.propensities, record(1).propensities)
    assert read.order.tolist() == [2, 0]
    assert read.forced.tolist() == [False, True]


def test_what_rules_and_the_policy_did_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = replace(
        record(1),
        offset=1,
        dial=0.7,
        context=np.array([0.1, 1.0], np.float32),
        terms=np.array([0.5, 0.0, -2.0]),
        pins=((0, 2),),
        caps=((1, 3, (0, -1, 0)),),
    )
    writer = RecordWriter(tmp_path)
    writer.write(told)
    writer.close()
    (read,) = read_records(tmp_path)
    assert (read.offset, read.dial, read.pins, read.caps) == (1, 0.7, ((0, 2),), ((1, 3, (0, -1, 0)),))
    np.testing.assert_array_equal(read.context, told.context)
    np.testing.assert_array_equal(read.terms, told.terms)


def test_records_are_readable_while_the_writer_is_open(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for number in range(100):
        writer.write(record(number))
    writer.flush()
    assert [r.query_id for r in read_records(tmp_path)] == [f"q{n}" for n in range(100)]
    writer.close()


def test_full_segments_are_closed_and_nothing_is_lost_between_them(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path, segment_bytes=1_000)
    for number in range(50):
        writer.write(record(number))
        writer.flush()
    writer.close()
    assert len(list(tmp_path.glob("*.records"))) > 5
    assert [r.query_id for r in read_records(tmp_path)] == [f"q{n}" for n in range(50)]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_tail_is_counted_and_not_read(tmp_path: Path, damage: str) -> None:
    writer = RecordWriter(tmp_path)
    for number in range(3):
        writer.write(record(number))
    writer.close()
    (path,) = tmp_path.glob("*.records")
    data = path.read_bytes()
    path.write_bytes(data[:-5] if damage == "cut" else data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    reader = RecordReader(tmp_path)
    assert [r.query_id for r in reader] == ["q0", "q1"]
    assert reader.lost == 1


def test_a_damaged_frame_costs_no_other(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    for number in range(5):
        writer.write(record(number))
    writer.close()
    (path,) = tmp_path.glob("*.records")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    reader = RecordReader(tmp_path)
    assert [r.query_id for r in reader] == ["q0", "q1", "q3", "q4"]
    assert reader.lost == 1


def test_a_killed_writer_leaves_what_it_had_flushed(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(read_records(tmp_path))) == 20


def test_a_full_disk_costs_records_but_neither_the_writer_nor_a_request(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    writer = RecordWriter(folder)
    folder.rename(tmp_path / "away")
    writer.write(record(0))
    writer.flush()
    assert writer.lost == 1
    folder.mkdir()
    writer.write(record(1))
    writer.close()
    assert [r.query_id for r in read_records(folder)] == ["q1"]


def test_a_forgotten_key_is_taken_out_and_the_ranking_stays(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path)
    writer.write(record(1))
    writer.write(replace(record(2), key="u:bob"))
    writer.close()
    assert forget_records(tmp_path, {"u:ann"}) == 1
    assert [(r.query_id, r.key) for r in read_records(tmp_path)] == [("q1", None), ("q2", "u:bob")]
    assert not list(tmp_path.glob("*.new"))


def test_an_empty_ranking_is_a_record_too(tmp_path: Path) -> None:
    none = replace(
        record(1),
        item_ids=(),
        signals=np.zeros((0, 2), np.float16),
        order=np.zeros(0, np.int64),
        propensities=np.zeros(0),
        forced=np.zeros(0, bool),
    )
    writer = RecordWriter(tmp_path)
    writer.write(none)
    writer.close()
    (read,) = read_records(tmp_path)
    assert read.item_ids == ()
