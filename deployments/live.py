"""The bundle that a replica serves, and how the next one takes its place."""

import logging
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from deployments.metrics import Metrics
from raysys.bundle import Bundle
from raysys.errors import RaysysError
from raysys.log import RecordWriter
from raysys.ranker import Ranker
from raysys.state.protocol import StateStore
from raysys.types import Candidates, Query, QueryId

log = logging.getLogger(__name__)
LAST_GOOD = "last_good"


class LiveBundle:
    """One reference to a `Ranker`, swapped whole once the next bundle is verified and warm.

    A refused bundle leaves the old one serving, and is named in `refused`.
    """

    def __init__(self, store: StateStore, recorder: RecordWriter | None, notes: Path | None = None) -> None:
        self._store, self._recorder, self._notes = store, recorder, notes
        self._lock = threading.Lock()
        self._wanted: Path | None = None
        self.ranker: Ranker | None = None
        self.path: Path | None = None
        self.refused: dict[str, str] = {}
        self.meters = Metrics()
        if recorder is not None:
            for name in ("written", "lost"):
                read = partial(number, recorder, name)
                self.meters.watch(f"raysys_records_{name}", f"Ranking records {name}.", read)

    def release(self, path: Path) -> threading.Thread:
        """Load `path` in a thread and swap; returns at once and never raises."""
        thread = threading.Thread(target=self.load, args=(path,), name="raysys-release", daemon=True)
        thread.start()
        return thread

    def load(self, path: Path) -> bool:
        """Load, warm and swap now; whether `path` serves."""
        self._wanted = path
        with self._lock:
            if self.path == path:
                return True
            try:
                ranker = Ranker(Bundle.load(path), self._store, self._recorder, watch=self.meters.stage)
                warm(ranker)
            except Exception as error:  # whatever is wrong with a bundle, the old one must serve on
                self.refused[str(path)] = f"{type(error).__name__}: {error}"
                log.error("bundle %s refused: %s", path, error, exc_info=not isinstance(error, RaysysError))
                return False
            if self._wanted == path:
                self.ranker, self.path = ranker, path
                self.refused.pop(str(path), None)
                self._note(path)
                log.info("bundle %s serves", ranker.bundle.id)
            return True

    def load_first(self, path: Path) -> None:
        """At a replica's start: the wanted bundle, else the last one that was good."""
        if self.load(path) or self._notes is None or not (note := self._notes / LAST_GOOD).exists():
            return
        self.load(Path(note.read_text()))

    def _note(self, path: Path) -> None:
        if self._notes is not None:
            draft = self._notes / f".{LAST_GOOD}.{threading.get_native_id()}"
            try:
                draft.write_text(str(path))
                draft.rename(self._notes / LAST_GOOD)
            except OSError as error:  # the note only helps a later start
                log.error("the last good bundle could not be noted: %s", error)


def number(owner: object, name: str) -> float:
    """A count that `owner` keeps, for the page of metrics."""
    return float(getattr(owner, name))


def warm(ranker: Ranker) -> None:
    """A question of each kind, so that no user pays for first touches and no broken bundle serves."""
    search = Query(id=QueryId("warm"), surface="search", time_ms=0, length=10, text="warm up", explain=True)
    candidates = Candidates.of(ranker.bundle.catalog.item_ids[:50])
    ranker.score(search, candidates)
    ranker.rank(search, candidates)
    ranker.feed(replace(search, surface="feed", text=""))
