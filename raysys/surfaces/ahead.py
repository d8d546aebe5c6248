"""What an encoder has yet to read before a ranking finds it in the cache: a host with threads reads ahead."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysys.catalog import Catalog
from raysys.errors import Part
from raysys.surfaces.closer import first_texts
from raysys.surfaces.experts import CrossEncoder, Encoder
from raysys.types import Candidates


@dataclass(frozen=True, slots=True)
class Unread:
    """Distinct texts that one part of a bundle has yet to read."""

    part: Part
    texts: Sequence[str]
    read_one: Callable[[str], object]

    @classmethod
    def of(
        cls, part: Part, texts: Iterable[str], known: Callable[[str], bool], one: Callable[[str], object]
    ) -> Self:
        return cls(part, [text for text in dict.fromkeys(texts) if not known(text)], one)

    def read(self, go_on: Callable[[], bool]) -> bool:
        """Read them one by one for as long as `go_on`; whether all were read.

        Raises:
            PartError: the part failed.
        """
        for text in self.texts:
            if not go_on():
                return False
            self.read_one(text)
        return True


def unread_texts(encoder: Encoder, candidates: Candidates, catalog: Catalog) -> Unread:
    """Texts of candidates that are no items, and have no vector yet."""
    ids, known = candidates.item_ids, catalog.index
    texts = (wording.text for place, wording in candidates.texts.items() if ids[place] not in known)
    return Unread.of("encoder", texts, lambda t: encoder.cached(t) is not None, lambda t: encoder.encode([t]))


def unread_pairs(
    cross: CrossEncoder, query: str, candidates: Candidates, catalog: Catalog, length: int
) -> Unread:
    """Texts at the engine's first `length` positions that were not read with the query yet."""
    return Unread.of(
        "cross_encoder",
        first_texts(candidates, catalog, length),
        lambda text: cross.cached(query, text) is not None,
        lambda text: cross.relevance(query, [text]),
    )
