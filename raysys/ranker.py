"""The request path: predict, value, order. Read this first."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raysys.ads.explore import Explorer
from raysys.ads.ledger import Ledger
from raysys.bundle import Bundle
from raysys.errors import Part
from raysys.explain import reasons_of
from raysys.log import RankingRecord, RecordWriter, on_record
from raysys.policy.draw import COLDEST, Draw
from raysys.rules import Ruling, apply_rules
from raysys.state.open import open_store
from raysys.state.protocol import StateStore
from raysys.surfaces.ads import (
    Contest,
    Decision,
    Placement,
    as_draw,
    explore_from,
    fill,
    reserve_from,
    with_ad_value,
)
from raysys.surfaces.ahead import Unread, unread_pairs, unread_texts
from raysys.surfaces.asker import Asker, Experts
from raysys.surfaces.feed import as_candidates, feed_rows, similar_rows, trending_rows
from raysys.surfaces.judge import AD_VALUE, Judge
from raysys.surfaces.live import Live
from raysys.surfaces.offers import Offers, affordable, offers_of
from raysys.surfaces.order import (
    Valuation,
    order,
    page,
    pointwise,
    weighed,
)
from raysys.surfaces.pool import distinct
from raysys.surfaces.settings import rules_of
from raysys.types import Candidates, Floats, ItemId, Query, Ranking, Reason


class Ranker:
    """Orders candidates for whoever asks, with one bundle and the live state; safe between threads.

    What fails or comes too late is left out and named in `degraded`; what it raises is a bug.
    """

    def __init__(
        self,
        bundle: Bundle,
        store: StateStore,
        recorder: RecordWriter | None = None,
        seed: int = 0,
        *,
        watch: Callable[[str, float], None] = lambda stage, seconds: None,
    ) -> None:
        self.bundle, self._recorder, self._seed, self._watch = bundle, recorder, seed, watch
        selling = bundle.settings.ads
        self._ledger = Ledger.of(store, selling.hold_minutes, selling.conversion_minutes)
        self._explorer = Explorer(store, selling.explore_percent)
        experts = Experts(catalog=bundle.catalog, interest=bundle.interest, relevance=bundle.relevance)
        self._live = Live(experts, bundle.encoder, store)
        self._policy_id = bundle.policy.id
        self._judge = Judge(bundle, seed)

    @classmethod
    def load(cls, path: Path | str, store: StateStore | None = None) -> "Ranker":
        """A ranker of the bundle at `path`; without a store it starts with nobody known."""
        return cls(Bundle.load(Path(path)), open_store("memory:") if store is None else store)

    def meet(self, query: Query, degraded: Sequence[Part] = (), *, promotes: bool = False) -> Asker:
        """Who asks, as of now: all that a ranking reads from the store, and so may have to wait for.

        Args:
            promotes: whether campaigns matter too, as they do in a personal feed.
        """
        asker = self._live.asker(query, degraded)
        return replace(asker, worth=self._offers(query, asker).worth()) if promotes else asker

    def rank(
        self,
        query: Query,
        candidates: Candidates,
        query_vector: Floats | None = None,
        degraded: Sequence[Part] = (),
        asker: Asker | None = None,
    ) -> Ranking:
        """Order what the host found: the page of `query.length` from `query.offset`.

        Args:
            query_vector: (384,) of the query's text, if the caller has it.
            degraded: parts that the caller has to do without; "deadline" means the engine's order.
            asker: from `meet`, where the caller has waited for the store already.
        """
        asker = self._met(query, degraded, asker)
        return self._answer(query, distinct(candidates), asker, query_vector, engine=True)

    def _answer(
        self,
        query: Query,
        candidates: Candidates,
        asker: Asker,
        vector: Floats | None,
        *,
        engine: bool,
        worth: Mapping[ItemId, float] | None = None,
    ) -> Ranking:
        started = time.perf_counter()
        pool = self._judge.pool(query, candidates, asker, engine=engine)
        choice, value = self._judge.value(query, asker)
        raw, standard = self._judge.predict(query, pool, asker, vector, worth)
        standard = on_record(standard)
        predicted = time.perf_counter()
        ordered = order(query, pool, standard, value, self.bundle.settings, self._seed, asker.experts.catalog)
        shown = ordered.draw.order[query.offset :]
        notes = self._judge.notes(query, pool, asker, vector, shown) if query.explain else {}
        ranking = Ranking(
            query_id=query.id,
            items=page(query, pool, ordered, raw, standard, value.weights, notes),
            profile=choice.profile,
            profile_prob=choice.prob,
            explored=value.temperature >= COLDEST,
            bundle_id=self.bundle.id,
            policy_id=self._policy_id,
            state_version=asker.state_version,
            degraded=asker.degraded,
            total=len(pool.rows),
            understood=self._judge.understood(query, asker) if query.explain else None,
        )
        self._watch("predict", predicted - started)
        self._watch("order", time.perf_counter() - predicted)
        self._record(query, pool.candidates.item_ids, standard, value, ordered.draw, ordered.ruling, ranking)
        return ranking

    def _met(self, query: Query, degraded: Sequence[Part], asker: Asker | None) -> Asker:
        """`asker`, or whoever asks as of now, without the parts in `degraded`."""
        if asker is None:
            return self._live.asker(query, degraded)
        asker.missing.update(degraded)
        return asker

    def feed(self, query: Query, degraded: Sequence[Part] = (), asker: Asker | None = None) -> Ranking:
        """A personal feed: what the person may like, buys again, everybody likes, and campaigns."""
        asker = self._met(query, degraded, asker)
        worth = self._offers(query, asker).worth() if asker.worth is None else asker.worth
        surface = self.bundle.settings.of(query.surface)
        rows = feed_rows(asker.experts, asker.person, asker.state, query, surface, worth)
        candidates = as_candidates(asker.experts, rows)
        return self._answer(query, candidates, asker, None, engine=False, worth=worth)

    def similar(self, query: Query, degraded: Sequence[Part] = (), asker: Asker | None = None) -> Ranking:
        """Items like `query.context.item_id`; their likeness stands in for the engine's order."""
        asker = self._met(query, degraded, asker)
        row = int(asker.experts.catalog.rows([query.context.item_id or ""])[0])
        rows = similar_rows(asker.experts, row, self.bundle.settings.of(query.surface).retrieve)
        return self._answer(query, as_candidates(asker.experts, rows), asker, None, engine=True)

    def trending(self, query: Query, degraded: Sequence[Part] = (), asker: Asker | None = None) -> Ranking:
        """What everybody likes, of `query.context.category` if given, in that order as the engine's."""
        asker = self._met(query, degraded, asker)
        length = self.bundle.settings.of(query.surface).retrieve
        rows = trending_rows(asker.experts, query.context.category, length)
        return self._answer(query, as_candidates(asker.experts, rows), asker, None, engine=True)

    def decide(
        self, query: Query, placements: Sequence[Placement], degraded: Sequence[Part] = ()
    ) -> Decision:
        """Fill a page's ad placements, best utility first; nothing is drawn, prices are critical bids."""
        started = time.perf_counter()
        asker = self._live.asker(query, degraded)
        offers = self._offers(query, asker)
        met = time.perf_counter()
        pool = self._judge.pool(query, offers.candidates(), asker, engine=False)
        offers = offers.at(pool.places)
        choice, value = self._judge.value(query, asker)
        weights = with_ad_value(value.weights)
        raw, standard = self._judge.predict(query, pool, asker, None, offers.value_micros)
        predicted = time.perf_counter()
        ruling = apply_rules(rules_of(self.bundle.settings, query)[1], pool.fields, ())
        contest = Contest(
            offers=offers,
            utility=weighed(standard, weights) + ruling.utility(len(pool.rows)),
            weight=float(weights[AD_VALUE]),
            constants=self.bundle.signals,
            reserve_micros=self.bundle.settings.of(query.surface).reserve_micros,
        )

        def reasons(offer: int) -> tuple[Reason, ...]:
            if not query.explain:
                return ()
            return reasons_of(raw[offer], standard[offer], weights, ruling.reasons(offer))

        reserve = reserve_from(self._ledger, query, asker.missing)
        explore = explore_from(self._explorer, query, asker.missing)
        placed = fill(placements, contest, query.id, reserve, explore, reasons)
        self._watch("state", met - started)
        self._watch("predict", predicted - met)
        self._watch("order", time.perf_counter() - predicted)
        decision = Decision(
            query_id=query.id,
            placements=placed,
            profile=choice.profile,
            profile_prob=choice.prob,
            bundle_id=self.bundle.id,
            policy_id=self._policy_id,
            state_version=asker.state_version,
            degraded=asker.degraded,
        )
        names = tuple(ad.ad_id for ad in offers.ads)
        sorted_ = replace(value, temperature=0.0)
        self._record(query, names, standard, sorted_, as_draw(placed, names), ruling, decision)
        return decision

    def withdraw(self, decision: Decision) -> None:
        """Give back all that was set aside for a decision that nobody will be shown."""
        for placement in decision.placements:
            self._ledger.release(decision.query_id, [ad.ad_id for ad in placement.items])

    def _offers(self, query: Query, asker: Asker) -> Offers:
        """Ads that may be shown to whoever asks, with what they are worth."""
        inventory = self._live.ads()
        rows = inventory.eligible(query, asker.state)
        rows = affordable(self._ledger, inventory, rows, query, asker.missing)
        return offers_of(inventory, rows, self.bundle.response, asker, query.time_ms)

    def score(
        self,
        query: Query,
        candidates: Candidates,
        query_vector: Floats | None = None,
        degraded: Sequence[Part] = (),
        asker: Asker | None = None,
    ) -> Floats:
        """Sigmoid of the utility (C,) of every candidate by itself, 0.0 for a filtered one.

        For engines that split lists and merge them by score: nothing is drawn, the engine has
        no say, the profile is always the incumbent, and neighbors do not change a score.
        """
        asker = self._met(query, degraded, asker)
        pool = self._judge.pool(query, candidates, asker, engine=False)
        _, standard = self._judge.predict(query, pool, asker, query_vector)
        utility = weighed(standard, pointwise(self.bundle.policy.weights[0]))
        _, rules = rules_of(self.bundle.settings, query)
        utility += apply_rules(rules, pool.fields, ()).utility(len(pool.rows))
        scores = np.zeros(len(candidates))
        scores[pool.places] = 1.0 / (1.0 + np.exp(-np.clip(utility, -500.0, 500.0)))
        return scores

    @property
    def text_width(self) -> int:
        """D of the vectors of texts."""
        return int(self.bundle.catalog.text_vectors.shape[1])

    def encode(self, text: str) -> Floats | None:
        """The vector (384,) of a text, None if the bundle has no encoder; takes milliseconds unless cached.

        Raises:
            PartError: the encoder failed.
        """
        encoder = self.bundle.encoder
        return None if encoder is None else np.asarray(encoder.encode([text])[0])

    def unread(self, query: Query, candidates: Candidates, *, closely: bool = False) -> list[Unread]:
        """What of the candidates encoders have yet to read, so that a ranking need not wait for it.

        Args:
            closely: whether the first of them are for the cross-encoder, if the bundle has one.
        """
        parts, catalog, found = self.bundle, self._live.catalog, []
        if not query.text.strip():
            return []
        if parts.encoder is not None:
            found.append(unread_texts(parts.encoder, candidates, catalog))
        if closely and parts.cross_encoder is not None:
            length = parts.settings.of(query.surface).read_closely
            found.append(unread_pairs(parts.cross_encoder, query.text, candidates, catalog, length))
        return [work for work in found if work.texts]

    def cached_vector(self, text: str) -> Floats | None:
        """The vector (384,) of a text that was encoded lately, at once; else None."""
        encoder = self.bundle.encoder
        return None if encoder is None else encoder.cached(text)

    def _record(
        self,
        query: Query,
        item_ids: tuple[str, ...],
        signals: Floats,
        value: Valuation,
        draw: Draw,
        ruling: Ruling,
        answer: Ranking | Decision,
    ) -> None:
        """Hand what was served to the recorder, which writes it off the request path."""
        if self._recorder is None:
            return
        self._recorder.write(
            RankingRecord(
                query_id=query.id,
                time_ms=query.time_ms,
                surface=query.surface,
                channel=query.channel,
                # without a state there is nobody: unknown, anonymous, or without consent
                key=query.key if answer.state_version else None,
                state_version=answer.state_version,
                bundle_id=answer.bundle_id,
                policy_id=answer.policy_id,
                profile=answer.profile,
                profile_prob=answer.profile_prob,
                temperature=value.temperature,
                item_ids=item_ids,
                signals=signals.astype(np.float16),
                order=draw.order,
                propensities=draw.propensities,
                forced=draw.forced,
                degraded=answer.degraded,
                offset=query.offset,
                dial=query.weight,
                context=value.context,
                terms=ruling.utility(len(item_ids)) if ruling.terms else np.zeros(0),
                pins=tuple(ruling.pins.items()),
                caps=tuple((cap.max, cap.within, tuple(cap.groups.tolist())) for cap in ruling.caps),
            )
        )
