"""What changes between two requests: items, prices, ads, and the people who ask."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raysys.ads.inventory import Inventory
from raysys.catalog import Catalog
from raysys.errors import Part, PartError, StoreError
from raysys.events import AdUpdate, ItemUpdate
from raysys.state.protocol import State, StateStore
from raysys.surfaces.asker import Asker, Experts, Person, person_of
from raysys.surfaces.experts import Encoder
from raysys.types import Key, Query

PEOPLE = 4096
"""How many people's views are kept."""
BURST = 16
"""New texts up to this many are encoded within the request that meets them, more behind it."""
_HOUR_MS = 3_600_000

log = logging.getLogger(__name__)


class Live:
    """The experts of one bundle, kept up to date with a store; safe to share between threads."""

    def __init__(self, experts: Experts, encoder: Encoder | None, store: StateStore) -> None:
        interest = None if experts.interest is None else experts.interest.with_items(experts.catalog)
        self._experts, self._encoder, self._store = replace(experts, interest=interest), encoder, store
        self._told: Mapping[str, AdUpdate] = {}
        self._ads = Inventory.of(())
        self._version = 0
        self._changing, self._lock = threading.Lock(), threading.Lock()
        """Of the experts, and of the people: nobody who only looks waits for a store that hangs."""
        self._people: OrderedDict[tuple[Key | None, int, int, int, bool], Person] = OrderedDict()

    def asker(self, query: Query, degraded: Sequence[Part]) -> Asker:
        """Everything that `query` is answered with, as of now."""
        missing = set(degraded)
        experts = self.experts(missing)
        state = self.state(query.key, missing)
        person = self.person(experts, query.key, state, query.time_ms, missing)
        return Asker(experts, state, person, missing)

    def experts(self, missing: set[Part]) -> Experts:
        """The experts with every acknowledged item event applied; one cheap read when none is new."""
        try:
            if "state" not in missing and self._store.items_version() != self._version:
                self._catch_up()
        except StoreError:
            missing.add("state")
        return self._experts

    @property
    def catalog(self) -> Catalog:
        """The items as of the last call of `experts`."""
        return self._experts.catalog

    def ads(self) -> Inventory:
        """All ads, as of the last call of `experts`."""
        return self._ads

    def state(self, key: Key | None, missing: set[Part]) -> State | None:
        """The live state of `key`; None, and "state" is missing, if the store fails."""
        if "state" in missing or key is None:
            return None
        try:
            return self._store.live(key)
        except StoreError:
            missing.add("state")
            return None

    def person(
        self, experts: Experts, key: Key | None, state: State | None, now_ms: int, missing: set[Part]
    ) -> Person:
        """Who is asking; computed once for each state of the person and of the items."""
        interested = not missing & {"interest", "deadline"}
        version = 0 if state is None else state.version
        name = (None if state is None else key, version, experts.serial, now_ms // _HOUR_MS, interested)
        with self._lock:
            if (person := self._people.get(name)) is not None:
                self._people.move_to_end(name)
                return person
        try:
            person = person_of(experts.interest if interested else None, experts.catalog, state, now_ms)
        except PartError as error:
            missing.add(error.part)
            return person_of(None, experts.catalog, state, now_ms)
        with self._lock:
            self._people[name] = person
            while len(self._people) > PEOPLE:
                self._people.popitem(last=False)
        return person

    def _catch_up(self) -> None:
        """Apply what is new in the store to catalog and interest model at once."""
        with self._changing:
            version = self._store.items_version()
            if version == self._version:
                return
            updates = self._fitting(self._store.items_since(self._version))
            told = sum(_tells(update) for update in updates)
            if updates:
                self._swap(updates, encode=told <= BURST)
            if (ads := self._store.ads()) != self._told:
                self._ads, self._told = Inventory.of(ads.values()), ads
            self._version = version
        if told > BURST:
            threading.Thread(target=self._encode_late, args=(updates,), daemon=True).start()

    def _swap(self, updates: Sequence[ItemUpdate], *, encode: bool) -> None:
        experts = self._experts
        encoder = self._encoder.encode if encode and self._encoder is not None else None
        try:
            catalog = experts.catalog.updated(updates, encoder)
        except PartError:  # the encoder failed: items first, their vectors another time
            catalog = experts.catalog.updated(updates)
        self._install(catalog, [u.item_id for u in updates if _tells(u) or _shows(u)])

    def _fitting(self, updates: Sequence[ItemUpdate]) -> Sequence[ItemUpdate]:
        """The updates without vectors of images and sounds that nobody here could read."""
        fitting = self._experts.catalog.fitting(updates)
        if odd := [old.item_id for old, new in zip(updates, fitting, strict=True) if old is not new]:
            log.warning("%d items, as %s, sent vectors of a width that this bundle lacks", len(odd), odd[0])
        return fitting

    def _install(self, catalog: Catalog, retold: Sequence[str]) -> None:
        """Swap in a catalog; the interest model learns of it only if some of its items were told anew."""
        old = self._experts
        interest = old.interest
        if retold and interest is not None:
            interest = interest.with_items(catalog, catalog.rows(retold))
        self._experts = replace(old, catalog=catalog, interest=interest, serial=old.serial + 1)
        with self._lock:
            self._people.clear()

    def _encode_late(self, updates: Sequence[ItemUpdate]) -> None:
        """Give many new texts their vectors without holding up a request, then swap once."""
        if self._encoder is None:
            return
        catalog = self._experts.catalog
        told = [u.item_id for u in updates if _tells(u)]
        rows = [row for row in catalog.rows(told).tolist() if row >= 0]
        vectors = dict(zip(rows, self._encoder.encode([catalog.text(row) for row in rows]), strict=True))
        with self._changing:
            self._install(self._experts.catalog.with_vectors(vectors), told)


def _tells(update: ItemUpdate) -> bool:
    """Whether the update may change the item's text."""
    return not (update.title is None and update.category is None and update.brand is None)


def _shows(update: ItemUpdate) -> bool:
    """Whether the update may change what else a content tower reads, but for prices, which change daily."""
    return any(
        told is not None for told in (update.attributes, update.image_embedding, update.audio_embedding)
    )
