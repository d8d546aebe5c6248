"""What was served, as it was served: ranking records in segment files.

A segment is a sequence of frames: 4 bytes length, 4 bytes CRC-32 (both little-endian), then
the record in MessagePack. A frame that a crash cut short is never read; it is counted.
"""

import logging
import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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
    """All candidates (C,)."""
    signals: Floats
    """(C, S) float16, standardized."""
    order: Ints
    """(K,) candidates in the order shown."""
    propensities: Floats
    """(K,) float64."""
    forced: Any
    """(K,) bool: placed by a rule."""
    degraded: tuple[Part, ...] = ()


_ARRAYS = {"signals": np.float16, "order": np.int32, "propensities": np.float64, "forced": np.bool_}
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
        values[name] = np.frombuffer(values[name], dtype=kind)
    values["item_ids"], values["degraded"] = tuple(values["item_ids"]), tuple(values["degraded"])
    values["signals"] = values["signals"].reshape(len(values["item_ids"]), -1)
    return RankingRecord(**values)


class RecordWriter:
    """Writes ranking records in batches, off the request path, to segments of its own.

    `write` never waits: while the disk cannot keep up, records are dropped and counted in `lost`.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._segment_bytes = folder, segment_bytes
        self._queue: queue.Queue[RankingRecord | None] = queue.Queue(WAITING)
        self.written = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="raysys-records", daemon=True)
        self._thread.start()

    def write(self, record: RankingRecord) -> None:
        """Hand over a record; returns at once."""
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self.lost += 1

    def flush(self) -> None:
        """Wait until everything handed over so far is in a file."""
        self._queue.join()

    def close(self) -> None:
        """Write what waits, and close the segment."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while True:
            path = self._folder / f"{time.time_ns()}-{os.getpid()}-{number}.open"
            number += 1
            with path.open("wb") as segment:
                ended = self._fill(segment)
            path.rename(path.with_suffix(".records")) if path.stat().st_size else path.unlink()
            if ended:
                return

    def _fill(self, segment: Any) -> bool:
        """Write records until the segment is full; whether the writer was closed."""
        while segment.tell() < self._segment_bytes:
            record = self._queue.get()
            try:
                if record is None:
                    return True
                segment.write(pack(record))
                self.written += 1
                if self._queue.empty():
                    segment.flush()
            except OSError as error:
                self.lost += 1
                log.error("a ranking record could not be written: %s", error)
            finally:
                if self._queue.unfinished_tasks == 1:
                    segment.flush()
                self._queue.task_done()
        return False


class RecordReader:
    """Reads all records of a folder, oldest segment first; `lost` counts frames cut short or damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lost = 0

    def __iter__(self) -> Iterator[RankingRecord]:
        self.lost = 0
        for path in sorted(self._folder.glob("*.records")) + sorted(self._folder.glob("*.open")):
            data = path.read_bytes()
            start = 0
            while start < len(data):
                body = self._body(data, start)
                if body is None:
                    self.lost += 1
                    break
                start += _FRAME.size + len(body)
                yield _unpack(body)

    def _body(self, data: bytes, start: int) -> bytes | None:
        if start + _FRAME.size > len(data):
            return None
        length, checksum = _FRAME.unpack_from(data, start)
        body = data[start + _FRAME.size : start + _FRAME.size + length]
        return body if len(body) == length and zlib.crc32(body) == checksum else None


def read_records(folder: Path) -> Iterator[RankingRecord]:
    """All complete records under `folder`."""
    return iter(RecordReader(folder))
