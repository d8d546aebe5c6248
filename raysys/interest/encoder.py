"""The exported network in a replica: item vectors and user vectors with ONNX Runtime, one thread."""

from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from raysys.catalog import Catalog
from raysys.errors import BundleError, PartError
from raysys.interest.content import Content
from raysys.interest.narrow import load_vectors, narrow_weights
from raysys.interest.queries import NO_QUERIES, Queries, Vocabulary, with_queries
from raysys.interest.sequences import gap_buckets
from raysys.types import Bools, Floats, Ints

USER, ITEM = "user_encoder.onnx", "item_tower.onnx"
IDENTITY, KNOWN, CONFIG = "identity.npy", "known.npy", "network.json"
TOKEN, WORDS = "token.npy", "words.npy"
"""Hashes and vectors of the words of queries; a network that reads no queries has none."""
READ = ("text", "category", "brand", "traits", "words", "log_price")
"""Columns of `Content` that item towers read; older ones read fewer."""
SEEN = ("image", "audio")
"""Those that a tower reads where the shop had them."""
ITEMS = 1024
"""Items that the tower reads at once."""


class UserEncoder:
    """User vectors from histories and item vectors from a catalog; a score is their product.

    Rows of the catalog that the network was fitted on have an identity; rows beyond them, and
    those nobody had touched, are known by their content.
    """

    def __init__(
        self,
        user: bytes,
        item: bytes,
        identity: Floats,
        known: Bools,
        config: dict[str, Any],
        words: tuple[Vocabulary, Floats] | None = None,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._user, self._item = (
            onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            for model in (user, item)
        )
        self._files = (user, item)
        read = {told.name: told.shape for told in self._item.get_inputs()}
        self._columns = tuple(name for name in READ if name in read)
        self._seen = {name: int(read[name][1]) for name in SEEN if name in read}
        self._identity, self._known, self._config = identity, known, config
        self.words = words
        """Of queries, with their vectors (V, D); None if it reads no queries."""
        self.width: int = int(config["width"])
        """D."""
        self.history_length: int = int(config["history_length"])
        """H, the latest interactions and queries that are read."""

    @property
    def size(self) -> int:
        """How many items the network was fitted on."""
        return len(self._known)

    @property
    def identity(self) -> Floats:
        """(I, D) float32 vectors of the items that it was trained on; of others it is not to be read."""
        return self._identity[: self.size]

    @property
    def known(self) -> Bools:
        """(I,) which they are."""
        return self._known

    def item_vectors(self, catalog: Catalog, first: int = 0) -> Floats:
        """Vectors (I - first, D) float32 of the catalog's rows from `first` on.

        The first `size` rows must be the items of the catalog that the network was fitted on.
        """
        content = Content.of(catalog, first)
        known = np.zeros(len(content), np.float32)
        identity = np.zeros((len(content), self.width), np.float32)
        old = max(min(self.size - first, len(content)), 0)
        known[:old] = self._known[first : first + old]
        identity[:old] = self._identity[first : first + old]
        return self._told(content, identity, known)

    def content_vectors(self, catalog: Catalog, rows: Ints) -> Floats:
        """Vectors (n, D) float32 that the catalog's items at `rows` (n,) have by their content alone.

        Raises:
            PartError: as `item_vectors`.
        """
        nothing = np.zeros((len(rows), self.width), np.float32)
        return self._told(Content.of_rows(catalog, rows), nothing, np.zeros(len(rows), np.float32))

    def _told(self, content: Content, identity: Floats, known: Floats) -> Floats:
        """Vectors (n, D) by identity (n, D) where known (n,), else by content."""
        columns = {name: getattr(content, name) for name in self._columns}
        columns |= {name: content.seen(name, width) for name, width in self._seen.items()}
        columns |= {"identity": identity, "known": known}
        found = np.zeros((len(content), self.width), np.float32)
        for low in range(0, len(content), ITEMS):
            part = slice(low, low + ITEMS)
            found[part] = _run(self._item, {name: column[part] for name, column in columns.items()})
        return found

    def user_vector(
        self,
        rows: Ints,
        kinds: Ints,
        times_ms: Ints,
        item_vectors: Floats,
        now_ms: int,
        queries: Queries = NO_QUERIES,
    ) -> Floats:
        """Vector (D,) float32 of a user; zero for somebody without a history.

        Args:
            rows: (n,) catalog rows of the history, oldest first; -1, an unknown item, is passed over.
            kinds: (n,) index into events.KINDS.
            times_ms: (n,).
            item_vectors: (I, D) from `item_vectors`.
            now_ms: the moment of asking.
            queries: of this user alone; those without a word that it knows are passed over.

        Raises:
            PartError: the network failed.
        """
        rows, kinds, times_ms = (np.asarray(column, np.int64) for column in (rows, kinds, times_ms))
        asked = None
        if self.words is not None and len(queries):
            places, asked = self.words[0].read(queries)
            at, asked_ms = queries.after[places], queries.time_ms[places]
            rows, kinds, times_ms = with_queries(rows, kinds, times_ms, at, asked_ms)
        kept = np.flatnonzero(rows != -1)[-self.history_length :]
        if not len(kept):
            return np.zeros(self.width, np.float32)
        rows = rows[kept]
        vectors = item_vectors[np.maximum(rows, 0)]
        if asked is not None and self.words is not None:
            vectors[rows < 0] = asked.inside(rows).means(self.words[1])
        given = {
            "vectors": vectors[None],
            "kinds": kinds[kept][None],
            "gaps": gap_buckets(times_ms[kept], now_ms)[None],
        }
        return np.asarray(_run(self._user, given)[0])

    def narrow(self) -> Self:
        """The same encoder with weights of 16 bits."""
        user, item = (narrow_weights(graph) for graph in self._files)
        words = None if self.words is None else (self.words[0], self.words[1].astype(np.float16))
        return type(self)(user, item, self._identity, self._known, self._config, words)

    def save(self, folder: Path, *, identities: bool = True) -> None:
        """Write into `folder`, which must not exist yet.

        Args:
            identities: without them the folder must get the vectors of a whole catalog, which tell them.
        """
        folder.mkdir(parents=True)
        for name, content in zip((USER, ITEM), self._files, strict=True):
            (folder / name).write_bytes(content)
        if identities:
            np.save(folder / IDENTITY, self._identity, allow_pickle=False)
        np.save(folder / KNOWN, self._known, allow_pickle=False)
        if self.words is not None:
            np.save(folder / TOKEN, self.words[0].token, allow_pickle=False)
            np.save(folder / WORDS, self.words[1], allow_pickle=False)
        (folder / CONFIG).write_bytes(msgspec.json.format(msgspec.json.encode(self._config)))

    @classmethod
    def load(cls, folder: Path, vectors: Floats | None = None) -> Self:
        """Read what `export_network` or `save` wrote; the identities stay on disk, memory-mapped.

        Args:
            vectors: of the whole catalog, from the same folder, where they were read before.
        """
        try:
            if vectors is not None:
                identity = vectors
            elif (folder / IDENTITY).exists():
                identity = np.load(folder / IDENTITY, "r", allow_pickle=False)
            else:
                identity, _ = load_vectors(folder)
            return cls(
                (folder / USER).read_bytes(),
                (folder / ITEM).read_bytes(),
                identity,
                np.load(folder / KNOWN, "r", allow_pickle=False),
                msgspec.json.decode((folder / CONFIG).read_bytes()),
                _words(folder),
            )
        except (OSError, ValueError, msgspec.DecodeError) as error:
            raise BundleError(f"network {folder}: {error}; export it again") from error


def _words(folder: Path) -> tuple[Vocabulary, Floats] | None:
    """Plain arrays over what stays on disk: a memmap's own indexing runs in Python."""
    if not (folder / TOKEN).exists():
        return None
    token, words = (np.load(folder / name, "r", allow_pickle=False) for name in (TOKEN, WORDS))
    return Vocabulary(token.view(np.ndarray)), words.view(np.ndarray)


def _run(session: Any, given: dict[str, Any]) -> Floats:
    try:
        return np.asarray(session.run(None, given)[0], np.float32)
    except Exception as error:  # ONNX Runtime has no public base class of its errors
        raise PartError("interest", f"the interest network failed: {error}") from error
