"""The catalog: every item in a fixed order, with its attributes and text vectors, and live updates."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from raysys.errors import BundleError, DataError
from raysys.events import ItemUpdate
from raysys.types import Bools, Floats, Ints, Wording

TEXT_WIDTH = 384
"""Width of a text vector."""

ARRAYS = ("price_micros", "margin", "available", "first_ms", "popularity", "text_vectors")
SENT = {"image_vectors": "image_embedding", "audio_vectors": "audio_embedding"}
"""Vectors that the host's own models make, and the field of an item event that brings each."""
COLUMNS = ("item_ids", "titles", "categories", "brands", "attributes")

Encode = Callable[[list[str]], Floats]
"""Texts to unit rows (n, 384)."""


def _nothing() -> Floats:
    return np.zeros((0, 0), np.float32)


def hash_ids(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each id (n,), the same on every machine."""
    digests = b"".join(hashlib.blake2b(i.encode(errors="surrogatepass"), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All items known to a replica. Rows never move: an update changes a copy, new items come last."""

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    categories: tuple[str, ...]
    """A path, `grocery/dairy/milk`; empty if unknown."""
    brands: tuple[str, ...]
    price_micros: Floats
    """(I,) float64, NaN if unknown."""
    margin: Floats
    """(I,) float32 share of the price, NaN if unknown."""
    available: Bools
    first_ms: Ints
    """(I,) when the item was first seen, 0 if unknown."""
    popularity: Floats
    """(I,) float32 decayed count of interactions."""
    text_vectors: Floats
    """(I, 384) float32 unit rows; zero where an item has not been encoded yet."""
    attributes: tuple[Mapping[str, Any], ...]
    image_vectors: Floats = field(default_factory=_nothing)
    """(I, W) float32 as the host sent them, zero where an item has none; W is 0 in a shop without them."""
    audio_vectors: Floats = field(default_factory=_nothing)
    """(I, W') float32, of another width maybe."""
    index: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    hashes: npt.NDArray[np.uint64] = field(
        default_factory=lambda: np.zeros(0, np.uint64), repr=False, compare=False
    )

    def __post_init__(self) -> None:
        size = len(self.item_ids)
        for name in SENT:
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.zeros((size, 0), np.float32))
        for name in (*COLUMNS, *ARRAYS, *SENT):
            if len(getattr(self, name)) != size:
                raise DataError(f"catalog has {size} item_ids but {len(getattr(self, name))} {name}")
        if len(self.index) != size:
            object.__setattr__(self, "index", {item: row for row, item in enumerate(self.item_ids)})
            if len(self.index) != size:
                raise DataError(f"catalog has {size} item_ids, {size - len(self.index)} of them repeated")
        if len(self.hashes) != size:
            object.__setattr__(self, "hashes", hash_ids(self.item_ids))

    def __len__(self) -> int:
        return len(self.item_ids)

    @classmethod
    def empty(cls) -> "Catalog":
        return cls(
            item_ids=(),
            titles=(),
            categories=(),
            brands=(),
            price_micros=np.zeros(0),
            margin=np.zeros(0, np.float32),
            available=np.zeros(0, np.bool_),
            first_ms=np.zeros(0, np.int64),
            popularity=np.zeros(0, np.float32),
            text_vectors=np.zeros((0, TEXT_WIDTH), np.float32),
            attributes=(),
        )

    @classmethod
    def of(cls, updates: Sequence[ItemUpdate], encode: Encode | None = None) -> "Catalog":
        """A catalog of these items; the later of two updates of one item wins field by field."""
        return cls.empty().updated(updates, encode)

    def rows(self, ids: Sequence[str]) -> Ints:
        """Row (C,) of each id, -1 if unknown."""
        found = self.index.get
        return np.fromiter((found(i, -1) for i in ids), dtype=np.int64, count=len(ids))

    def text(self, row: int) -> str:
        """What an item says of itself: title, category and brand."""
        return self.wording(row).text

    def wording(self, row: int) -> Wording:
        """The same, part by part."""
        return Wording(self.titles[row], self.categories[row], self.brands[row])

    def hashes_of(self, ids: Sequence[str], rows: Ints) -> npt.NDArray[np.uint64]:
        """The 64-bit hash (C,) of each id, looked up where its row is known."""
        known = rows >= 0
        if known.all():
            return np.asarray(self.hashes[rows])
        hashes = np.empty(len(rows), np.uint64)
        hashes[known] = self.hashes[rows[known]]
        hashes[~known] = hash_ids(ids[place] for place in np.flatnonzero(~known).tolist())
        return hashes

    def take(self, name: str, rows: Ints, default: float = np.nan) -> Floats:
        """Array `name` at `rows` (C,) as float64, `default` where the row is -1."""
        if not len(self):
            return np.full(len(rows), default)
        return np.where(rows < 0, default, getattr(self, name)[rows].astype(np.float64))

    def field(self, rows: Ints, name: str) -> list[Any]:
        """Value of a field or attribute at each of `rows`, None if unknown; for filters."""
        if name in ("price_micros", "margin"):
            return [None if value != value else value for value in self.take(name, rows).tolist()]
        column = {"item_id": self.item_ids, "title": self.titles, "category": self.categories}.get(name)
        column = self.brands if name == "brand" else column
        if column is not None:
            return [(column[row] or None) if row >= 0 else None for row in rows.tolist()]
        if name == "available":
            return [bool(self.available[row]) if row >= 0 else None for row in rows.tolist()]
        return [self.attributes[row].get(name) if row >= 0 else None for row in rows.tolist()]

    def updated(self, updates: Sequence[ItemUpdate], encode: Encode | None = None) -> "Catalog":
        """A catalog with `updates` applied; fields given replace, fields absent stay.

        An update of an unknown item without a title is passed over: it cannot be shown. Items
        whose text is new get a vector from `encode`, or a zero vector without it. The first image
        or audio vector says how wide those of the catalog are.

        Raises:
            DataError: an image or audio vector has another width than the catalog's.
        """
        changes = _Changes(self)
        for update in updates:
            changes.apply(update)
        return changes.catalog(encode)

    def fitting(self, updates: Sequence[ItemUpdate]) -> list[ItemUpdate]:
        """The updates without image and audio vectors that are not as wide as this catalog's."""
        return [_without(update, self._misfits(update)) for update in updates]

    def _misfits(self, update: ItemUpdate) -> list[str]:
        """Which of the vectors in `update` this catalog cannot hold."""
        sent = {told: (getattr(update, told), getattr(self, name).shape[1]) for name, told in SENT.items()}
        return [told for told, (vector, width) in sent.items() if vector and len(vector) != width]

    def with_vectors(self, vectors: Mapping[int, Floats]) -> "Catalog":
        """A catalog with these text vectors (384,) at these rows."""
        if not vectors:
            return self
        changed = np.array(self.text_vectors)
        changed[list(vectors)] = np.stack(list(vectors.values()))
        return replace(self, text_vectors=changed)

    def save(self, folder: Path) -> None:
        """Write the catalog into `folder`, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        columns = {name: getattr(self, name) for name in COLUMNS}
        (folder / "items.json").write_bytes(msgspec.json.encode(columns))
        for name in ARRAYS:
            np.save(folder / f"{name}.npy", np.asarray(getattr(self, name)), allow_pickle=False)
        for name in SENT:
            if getattr(self, name).size:
                np.save(folder / f"{name}.npy", np.asarray(getattr(self, name)), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> "Catalog":
        """Read a catalog; the arrays stay on disk, memory-mapped."""
        try:
            columns = msgspec.json.decode((folder / "items.json").read_bytes())
            # still mapped, but plain: a memmap's own indexing runs in Python
            arrays = {
                name: np.load(folder / f"{name}.npy", "r", allow_pickle=False).view(np.ndarray)
                for name in (*ARRAYS, *SENT)
                if name in ARRAYS or (folder / f"{name}.npy").exists()
            }
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise BundleError(f"catalog {folder}: {error}; build the bundle again") from error
        values: dict[str, Any] = {**{name: tuple(columns[name]) for name in COLUMNS}, **arrays}
        return cls(**values)


class _Changes:
    """Updates on their way into a catalog: columns copied once, then written in place."""

    def __init__(self, catalog: Catalog) -> None:
        self._old = catalog
        self._columns = {name: list(getattr(catalog, name)) for name in COLUMNS}
        self._arrays = {name: np.array(getattr(catalog, name)) for name in ARRAYS[:-1]}
        self._index = dict(catalog.index)
        self._new: list[tuple[float, float, bool, int, float]] = []
        self._retold: dict[int, None] = {}
        self._sent: dict[str, dict[int, list[float]]] = {name: {} for name in SENT}

    def apply(self, update: ItemUpdate) -> None:
        row = self._index.get(update.item_id)
        if row is None:
            if not update.title:
                return
            row = self._append(update)
        strings = {"titles": update.title, "categories": update.category, "brands": update.brand}
        for name, value in strings.items():
            if value is not None and value != self._columns[name][row]:
                self._columns[name][row] = value
                self._retold[row] = None
        if update.attributes is not None or update.description is not None:
            told = {} if update.description is None else {"description": update.description}
            old = self._columns["attributes"][row]
            self._columns["attributes"][row] = {**old, **(update.attributes or {}), **told}
        numbers = {"price_micros": update.price_micros, "margin": update.margin}
        for name, number in ({**numbers, "available": update.available}).items():
            if number is not None:
                self._write(name, row, number)
        for name, source in SENT.items():
            if (vector := getattr(update, source)) is not None:
                self._sent[name][row] = vector

    def _append(self, update: ItemUpdate) -> int:
        row = self._index[update.item_id] = len(self._columns["item_ids"])
        for name in COLUMNS:
            self._columns[name].append(update.item_id if name == "item_ids" else "")
        self._columns["attributes"][row] = {}
        self._new.append((np.nan, np.nan, True, update.time_ms or 0, 0.0))
        self._retold[row] = None
        return row

    def _write(self, name: str, row: int, value: float) -> None:
        if row < len(self._old):
            self._arrays[name][row] = value
        else:
            place = ARRAYS.index(name)
            entry = self._new[row - len(self._old)]
            self._new[row - len(self._old)] = (*entry[:place], value, *entry[place + 1 :])  # type: ignore[assignment]

    def catalog(self, encode: Encode | None) -> Catalog:
        columns: dict[str, Any] = {name: tuple(values) for name, values in self._columns.items()}
        fresh = list(zip(*self._new, strict=True))
        if self._new:
            self._arrays = {
                name: np.concatenate([old, np.array(fresh[place], dtype=old.dtype)])
                for place, (name, old) in enumerate(self._arrays.items())
            }
        hashes = np.concatenate([self._old.hashes, hash_ids(columns["item_ids"][len(self._old) :])])
        columns |= self._arrays
        changed = replace(
            self._old,
            **columns,
            text_vectors=_lengthened(self._old.text_vectors, len(self._new)),
            image_vectors=self._vectors("image_vectors"),
            audio_vectors=self._vectors("audio_vectors"),
            index=self._index,
            hashes=hashes,
        )
        rows = list(self._retold)
        if not rows or encode is None:
            return changed
        vectors = encode([changed.text(row) for row in rows])
        return changed.with_vectors(dict(zip(rows, vectors, strict=True)))

    def _vectors(self, name: str) -> Floats:
        """The catalog's array `name` (I, W) with the vectors that were sent."""
        told, sent = SENT[name], self._sent[name]
        old: Floats = getattr(self._old, name)
        width = old.shape[1] or next((len(vector) for vector in sent.values() if vector), 0)
        if not sent or not width:
            return _lengthened(old, len(self._new))
        found = np.zeros((len(old) + len(self._new), width), np.float32)
        found[: len(old)] = old if old.shape[1] else 0.0
        for row, vector in sent.items():
            if vector and len(vector) != width:
                raise DataError(
                    f"item {self._columns['item_ids'][row]}: {told} has {len(vector)} numbers, those of the"
                    f" catalog have {width}; send what one model makes of all items",
                    field=told,
                )
            found[row] = vector or 0.0
        return found


def _without(update: ItemUpdate, fields: Sequence[str]) -> ItemUpdate:
    return msgspec.structs.replace(update, **dict.fromkeys(fields)) if fields else update


def _lengthened(vectors: Floats, count: int) -> Floats:
    """`vectors` with `count` zero rows below."""
    if not count:
        return vectors
    return np.concatenate([vectors, np.zeros((count, vectors.shape[1]), vectors.dtype)])
