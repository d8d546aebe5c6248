"""A closer look at the engine's first candidates: a cross-encoder reads each of them with the query.

Whether a candidate is read depends on the engine's position alone, as the engine's signal does, never on what
raysys thinks of its neighbors: who else is sent changes nothing. Where the engine has no say, as in protocols
that split lists, nobody is read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from raysys.catalog import Catalog
from raysys.errors import Part, PartError
from raysys.surfaces.experts import CrossEncoder
from raysys.surfaces.pool import Pool, distinct, engine_positions
from raysys.types import Candidates, Floats


@dataclass(frozen=True, slots=True)
class Closer:
    """What a cross-encoder said of some candidates of a pool."""

    cross: CrossEncoder
    said: Mapping[int, float]
    """Relevance in [0, 1] by place in the pool."""

    @classmethod
    def read(cls, cross: CrossEncoder, query: str, texts: Mapping[int, str], missing: set[Part]) -> Self:
        """Read texts by their places; what was read lately alone, if the part is among `missing`."""
        said: dict[int, float] = {}
        for place, text in texts.items():
            found = cross.cached(query, text)
            if found is None and "cross_encoder" not in missing:
                try:
                    found = float(cross.relevance(query, [text])[0])
                except PartError as error:
                    missing.add(error.part)
            if found is not None:
                said[place] = found
        return cls(cross, said)

    def upon(self, relevance: Floats) -> Floats:
        """Relevance (C,) with what was said blended in; where nothing was, it is as it was."""
        found, places = np.array(relevance), np.fromiter(self.said, np.int64)
        close = np.fromiter(self.said.values(), np.float64)
        found[places] = self.cross.blend(found[places], close)
        return found

    def note(self, place: int) -> str:
        """What to say of it to a merchandiser."""
        return f", fits {self.said[place]:.2f} read as a whole" if place in self.said else ""


def closest(pool: Pool, catalog: Catalog, length: int) -> dict[int, str]:
    """Texts of the candidates at the engine's first `length` positions, by their places in the pool.

    A candidate that a filter took leaves its position empty.
    """
    if pool.positions is None:
        return {}
    return _texts_of(pool.candidates, catalog, np.flatnonzero(pool.positions < length).tolist())


def first_texts(candidates: Candidates, catalog: Catalog, length: int) -> Iterable[str]:
    """The same of candidates as they were sent, before any filter."""
    once = distinct(candidates)
    return _texts_of(once, catalog, np.flatnonzero(engine_positions(once) < length).tolist()).values()


def _texts_of(candidates: Candidates, catalog: Catalog, places: Sequence[int]) -> dict[int, str]:
    """What candidates at these places, items and unknown texts, say of themselves, if anything."""
    found = {}
    for place in places:
        row = catalog.index.get(candidates.item_ids[place], -1)
        wording = catalog.wording(row) if row >= 0 else candidates.texts.get(place)
        if wording is not None and wording.text:
            found[place] = wording.text
    return found
