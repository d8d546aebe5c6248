"""The judge: what a bundle makes of candidates, before anything is drawn."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from raysys.catalog import hash_ids
from raysys.errors import Part, PartError
from raysys.policy.context import context_vector
from raysys.policy.draw import query_noise
from raysys.signals import SIGNALS, SignalConstants
from raysys.surfaces.asker import Asker
from raysys.surfaces.closer import Closer, closest
from raysys.surfaces.experts import Chooser, Chosen, Classes, CrossEncoder, Encoder
from raysys.surfaces.order import NO_CONTEXT, Incumbent, Valuation, engine_only, valuation
from raysys.surfaces.pool import Pool, pool_of
from raysys.surfaces.predict import plain_signals, predict, unknown
from raysys.surfaces.settings import Settings
from raysys.text.keywords import QueryClass
from raysys.types import MICROS, Candidates, Floats, Ints, ItemId, Query, Understood

AD_VALUE = SIGNALS.index("ad_value")


class Parts(Protocol):
    """What a judge needs of a bundle."""

    @property
    def settings(self) -> Settings: ...
    @property
    def signals(self) -> SignalConstants: ...
    @property
    def policy(self) -> Chooser: ...
    @property
    def classes(self) -> Classes | None: ...
    @property
    def encoder(self) -> Encoder | None: ...
    @property
    def cross_encoder(self) -> CrossEncoder | None: ...


class Judge:
    """Filters, predicts and values; it keeps nothing of a query."""

    def __init__(self, parts: Parts, seed: int) -> None:
        self._parts, self._seed = parts, seed
        self._profiles = hash_ids(f"profile:{number}" for number in range(len(parts.policy.weights)))

    def pool(self, query: Query, candidates: Candidates, asker: Asker, *, engine: bool) -> Pool:
        """The candidates that may be shown; `engine` says whether their order has a meaning."""
        catalog, settings = asker.experts.catalog, self._parts.settings
        return pool_of(query, candidates, catalog, settings, asker.hidden, engine=engine)

    def predict(
        self,
        query: Query,
        pool: Pool,
        asker: Asker,
        vector: Floats | None,
        worth: Mapping[ItemId, float] | Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """Signals (C, S) as they are and standardized; `worth` is what advertisers pay, in micros."""
        if "deadline" in asker.missing:
            raw = plain_signals(len(pool.rows), pool.positions)
        else:
            vector = self._vector(query, vector, asker.missing)
            told = {} if vector is None else self._told(pool, asker.missing)
            raw = predict(asker, query, pool, vector, told, self._closer(query, pool, asker))
        if isinstance(worth, Mapping):
            worth = (
                np.array([worth.get(item, np.nan) for item in pool.candidates.item_ids]) if worth else None
            )
        if worth is not None:
            raw[:, AD_VALUE] = np.log1p(worth / MICROS)
        return raw, self._parts.signals.standardize(raw)

    def notes(
        self, query: Query, pool: Pool, asker: Asker, vector: Floats | None, places: Ints
    ) -> dict[int, dict[str, str]]:
        """What experts add to the words of their signals, for the candidates at `places`."""
        relevance, rows = asker.experts.relevance, pool.rows[places]
        if relevance is None or not query.text.strip() or {"relevance", "deadline"} & asker.missing:
            return {}
        vector = self._vector(query, vector, asker.missing)
        known = places[rows >= 0]
        told = relevance.notes(query.text, vector, pool.rows[known], asker.experts.catalog)
        found = dict(zip(known.tolist(), told, strict=True))
        meant = self._told(pool, asker.missing)
        for place in set(unknown(pool)) & set(places.tolist()):
            with_text = [pool.candidates.texts[place]]
            meaning = meant[place][np.newaxis] if place in meant else None
            found[place] = relevance.notes_of_texts(query.text, vector, with_text, meaning)[0]
        closer = self._closer(query, pool, asker)
        return {
            place: {"relevance": note + ("" if closer is None else closer.note(place))}
            for place, note in found.items()
        }

    def understood(self, query: Query, asker: Asker) -> Understood | None:
        """How the words of a query are read."""
        relevance = asker.experts.relevance
        if relevance is None or not query.text.strip() or {"relevance", "deadline"} & asker.missing:
            return None
        return replace(relevance.understood(query.text), query_class=self._query_class(query.text))

    def value(self, query: Query, asker: Asker) -> tuple[Chosen, Valuation]:
        """The profile for this context, and what it and the dial make of signals."""
        late, context = "deadline" in asker.missing, NO_CONTEXT
        try:
            if not late and "policy" not in asker.missing:
                context = context_vector(query, asker.state, self._query_class(query.text))
            return self.by_context(query, context, late=late)
        except PartError as error:
            asker.missing.add(error.part)
            return self.by_context(query, NO_CONTEXT)

    def by_context(self, query: Query, context: Floats, *, late: bool = False) -> tuple[Chosen, Valuation]:
        """`value` from the context (F,) alone; where it is (0,), the incumbent decides.

        Args:
            late: past the deadline it is the engine's order.
        """
        policy = self._parts.policy
        choice: Chosen = Incumbent(policy.weights[0])
        if late:
            return choice, engine_only(len(SIGNALS))
        if len(context):
            noise = query_noise(self._seed, query.id, self._profiles)
            choice = policy.choose(context, query.surface, noise)
        value = valuation(query, choice, policy.temperature, self._parts.settings)
        return choice, replace(value, context=context)

    def _query_class(self, text: str) -> QueryClass:
        return "none" if self._parts.classes is None else self._parts.classes.query_class(text)

    def _told(self, pool: Pool, missing: set[Part]) -> dict[int, Floats]:
        """Vectors of the texts of unknown items by place: cached, or made now unless ruled out."""
        encoder, texts = self._parts.encoder, pool.candidates.texts
        found: dict[int, Floats] = {}
        if encoder is None:
            return found
        for place in unknown(pool):
            text = texts[place].text
            if (vector := encoder.cached(text)) is None and "encoder" not in missing:
                try:
                    vector = np.asarray(encoder.encode([text])[0])
                except PartError as error:
                    missing.add(error.part)
            if vector is not None:
                found[place] = vector
        return found

    def _closer(self, query: Query, pool: Pool, asker: Asker) -> Closer | None:
        """What the cross-encoder says of the first candidates: cached, or read now unless ruled out."""
        cross = self._parts.cross_encoder
        if cross is None or not query.text.strip():
            return None
        length = self._parts.settings.of(query.surface).read_closely
        texts = closest(pool, asker.experts.catalog, length)
        return Closer.read(cross, query.text, texts, asker.missing)

    def _vector(self, query: Query, vector: Floats | None, missing: set[Part]) -> Floats | None:
        """The query's vector: given, cached, or made now unless the caller rules that out."""
        encoder = self._parts.encoder
        if vector is not None or encoder is None or not query.text.strip():
            return vector
        if "encoder" in missing:
            return encoder.cached(query.text)
        try:
            return np.asarray(encoder.encode([query.text])[0])
        except PartError as error:
            missing.add(error.part)
            return None
