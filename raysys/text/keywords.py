"""How often a query is asked: head, torso, tail, or never seen before."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeAlias, get_args

import msgspec

from raysys.text.analysis import Analyzer

QueryClass: TypeAlias = Literal["none", "head", "torso", "tail", "unseen"]
QUERY_CLASSES: tuple[QueryClass, ...] = get_args(QueryClass)

HEAD_SHARE = 0.5
TORSO_SHARE = 0.8
"""The most frequent queries that make up half of the traffic are the head, up to 80 % the torso."""


_READ = Analyzer()


def query_key(text: str) -> str:
    """What two queries must share to be the same: their tokens in order."""
    return " ".join(_READ.tokens(text))


@dataclass(frozen=True, slots=True)
class QueryClasses:
    """Which class each query of the log belongs to."""

    known: Mapping[str, QueryClass] = field(default_factory=dict)

    @classmethod
    def learn(cls, queries: Iterable[str]) -> Self:
        """Classes from the queries of a log, one entry per time it was asked."""
        counts = Counter(key for key in map(query_key, queries) if key)
        total, before, known = counts.total(), 0, dict[str, QueryClass]()
        for key, count in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])):
            share = before / total
            known[key] = "head" if share < HEAD_SHARE else "torso" if share < TORSO_SHARE else "tail"
            before += count
        return cls(known)

    def query_class(self, text: str) -> QueryClass:
        """The class of a query; `none` without words."""
        key = query_key(text)
        return self.known.get(key, "unseen") if key else "none"

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        (folder / "classes.json").write_bytes(msgspec.json.encode(self.known))

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(msgspec.json.decode((folder / "classes.json").read_bytes(), type=dict[str, QueryClass]))
