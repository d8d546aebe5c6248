"""What was served, as it was served: ranking records in segment files.

A segment is a sequence of frames: 4 bytes length, 4 bytes CRC-32 (both little-endian), then
the record in MessagePack. A frame that a crash cut short is never read; it is counted.
A segment ends in `.open` while it is written and in `.records` afterwards.
"""

import logging
import os
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from raysys.errors import Part
from raysys.types import Channel, Floats, Ints, Surface

_FRAME = struct.Struct("<II")
SEGMENT_BYTES = 64 << 20
"""A segment is closed and renamed once it is this large."""
WAITING = 10_000
"""Records that may wait for the disk; more are dropped and counted, never blocking a request."""
BATCH = 256
"""Records in one write."""
PAUSE_S = 0.05
"""How long a record may wait for its batch."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRecord:
    """All that replay, off-policy evaluation and the next training run need of one ranking."""

    query_id: str
    time_ms: int
    surface: Surface
    channel: Channel
    key: str | None
    state_version: int
    bundle_id: str
    policy_id: str
    profile: int
    profile_prob: float
    temperature: float
    item_ids: tuple[str, ...]
    """All candidates (C,), in the engine's order: of equal utilities the first goes first."""
    signals: Floats
    """(C, S) float16, standardized, exactly as they were weighed."""
    order: Ints
    """(K,) candidates from the first position on, whichever page was asked for."""
    propensities: Floats
    """(K,) float64."""
    forced: Any
    """(K,) bool: placed by a rule."""
    degraded: tuple[Part, ...] = ()
    offset: int = 0
    """Where the page that was asked for begins in `order`."""
    dial: float | None = None
    """The host's `weight`, None where the policy decided."""
    context: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    """(F,) float32 that the policy chose by; (0,) where it was not asked."""
    terms: Floats = field(default_factory=lambda: np.zeros(0))
    """(C,) float64 that rules added to the utility; (0,) where none did."""
    pins: tuple[tuple[int, int], ...] = ()
    """Position and candidate of each pin."""
    caps: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
    """Of each cap: its `max`, its `within`, and the group (C,) of each candidate, -1 in none."""


def on_record(signals: Floats) -> Floats:
    """Signals (C, S) as a record keeps them, float32: what is weighed must be what can be read again."""
    return np.ascontiguousarray(signals, np.float16).astype(np.float32)


_ARRAYS = {
    "signals": np.float16,
    "order": np.int32,
    "propensities": np.float64,
    "forced": np.bool_,
    "context": np.float32,
    "terms": np.float64,
}
_NAMES = tuple(RankingRecord.__slots__)


def pack(record: RankingRecord) -> bytes:
    """A record as one frame."""
    values = {name: getattr(record, name) for name in _NAMES}
    for name, kind in _ARRAYS.items():
        values[name] = np.ascontiguousarray(values[name], dtype=kind).tobytes()
    body = msgspec.msgpack.encode(values)
    return _FRAME.pack(len(body), zlib.crc32(body)) + body


def _unpack(body: bytes) -> RankingRecord:
    values = msgspec.msgpack.decode(body)
    for name, kind in _ARRAYS.items():
        if name in values:
            values[name] = np.frombuffer(values[name], dtype=kind)
    values["item_ids"], values["degraded"] = tuple(values["item_ids"]), tuple(values["degraded"])
    values["pins"] = tuple((position, candidate) for position, candidate in values.get("pins", ()))
    values["caps"] = tuple((most, within, tuple(groups)) for most, within, groups in values.get("caps", ()))
    signals, candidates = values["signals"], len(values["item_ids"])
    values["signals"] = signals.reshape(candidates, len(signals) // max(candidates, 1))
    return RankingRecord(**values)


class RecordWriter:
    """Writes ranking records in batches, off the request path, to segments of its own.

    `write` neither waits nor wakes anybody: while the disk cannot keep up, records are dropped and
    counted in `lost`.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_bytes = folder, segment_bytes
        self._waiting: deque[RankingRecord | threading.Event] = deque()
        """Records, and whoever waits for all before them to be written."""
        self._wake, self._closed = threading.Event(), False
        self._path, self._size = self._new_path(), 0
        self.written = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="raysys-records", daemon=True)
        self._thread.start()

    def write(self, record: RankingRecord) -> None:
        """Hand over a record; returns at once."""
        if len(self._waiting) < WAITING:
            self._waiting.append(record)
        else:
            self.lost += 1

    def flush(self) -> None:
        """Wait until everything handed over so far is in a file."""
        done = threading.Event()
        self._waiting.append(done)
        self._wake.set()
        done.wait()

    def close(self) -> None:
        """Write what waits, and close the segment."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        """Look every PAUSE_S for what waits; to be woken by each record would cost its request more."""
        closed = False
        while not closed:
            self._wake.wait(PAUSE_S)
            self._wake.clear()
            closed = self._closed
            while self._waiting:
                self._write_batch()
        self._close_segment()

    def _write_batch(self) -> None:
        """A disk that fails costs records, never the writer."""
        batch: list[RankingRecord] = []
        told: list[threading.Event] = []
        while self._waiting and len(batch) < BATCH:
            entry = self._waiting.popleft()
            if isinstance(entry, threading.Event):
                told.append(entry)
            else:
                batch.append(entry)
        try:
            self._size += _append(self._path, map(pack, batch)) if batch else 0
            self.written += len(batch)
        except OSError as error:
            self.lost += len(batch)
            log.error("%d ranking records could not be written: %s", len(batch), error)
            self._size = self._segment_bytes  # nothing may follow a frame that was cut short
        if self._size >= self._segment_bytes:
            self._close_segment()
        for event in told:
            event.set()

    def _close_segment(self) -> None:
        _finish(self._path)
        self._path, self._size = self._new_path(), 0

    def _new_path(self) -> Path:
        return self._folder / f"{time.time_ns()}-{os.getpid()}.open"


def _append(path: Path, frames: Iterable[bytes]) -> int:
    with path.open("ab") as segment:
        return segment.write(b"".join(frames))


def _finish(path: Path) -> None:
    try:
        path.rename(path.with_suffix(".records"))
    except FileNotFoundError:
        pass  # nothing was ever written
    except OSError as error:
        log.error("segment %s stays open: %s", path.name, error)


class RecordReader:
    """Reads all records of a folder, oldest segment first; `lost` counts frames cut short or damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lost = 0

    def __iter__(self) -> Iterator[RankingRecord]:
        self.lost = 0
        for path in sorted(path for path in self._folder.iterdir() if path.suffix in (".open", ".records")):
            for body in _frames(path):
                if body is None:
                    self.lost += 1
                else:
                    yield _unpack(body)


def _frames(path: Path) -> Iterator[bytes | None]:
    """The frames of a segment, None for one that is damaged or cut short."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # its writer has just finished it
        data = path.with_suffix(".records").read_bytes()
    start = 0
    while start < len(data):
        header = data[start : start + _FRAME.size]
        if len(header) < _FRAME.size:
            yield None
            return
        length, checksum = _FRAME.unpack(header)
        body = data[start + _FRAME.size : start + _FRAME.size + length]
        yield body if len(body) == length and zlib.crc32(body) == checksum else None
        start += _FRAME.size + length


def read_records(folder: Path) -> Iterator[RankingRecord]:
    """All complete records under `folder`."""
    return iter(RecordReader(folder))


def forget_records(folder: Path, keys: Collection[str]) -> int:
    """Take these keys out of every finished segment; the number of records that named them.

    A segment still being written keeps its keys until it is finished: call again then.
    """
    count = 0
    for path in sorted(folder.glob("*.records")):
        records = [_unpack(body) for body in _frames(path) if body is not None]
        named = sum(record.key in keys for record in records)
        if named:
            veiled = [replace(record, key=None) if record.key in keys else record for record in records]
            fresh = path.with_suffix(".new")
            fresh.write_bytes(b"".join(map(pack, veiled)))
            fresh.replace(path)
            count += named
    return count
