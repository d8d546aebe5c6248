"""A network that begins with what an older one has learned: of the same shop, or of another one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch

from raysys.catalog import Catalog
from raysys.errors import BundleError, ConfigError
from raysys.interest.content import Content
from raysys.interest.encoder import CONFIG, ITEM, USER, UserEncoder
from raysys.interest.item_tower import ItemTower, Widths
from raysys.interest.network import InterestNetwork, NetworkConfig
from raysys.interest.queries import Vocabulary
from raysys.types import Bools, Floats, Ints

SPACE = ("width", "heads", "temperature")
"""Fields that two networks share if one can go on from the other."""
EXPORTED = "model.user."
"""What the exporter puts before the names of the user tower's weights."""
KIND = "kind.weight"
"""The user tower's vectors of kinds."""
FIRST = "out.0."
"""The only projection of the user tower that is exported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Older:
    """An exported network, as one to begin from."""

    config: NetworkConfig
    item_ids: tuple[str, ...]
    """(J,) its items, in the order of its rows."""
    user: Mapping[str, Floats]
    """The user tower's weights by name."""
    tower: ItemTower
    identity: Floats
    """(J, D) float32."""
    known: Bools
    """(J,) which of them it was trained on."""
    words: tuple[Vocabulary, Floats] | None = None
    """Of queries, with their vectors (V, D)."""

    @classmethod
    def load(cls, folder: Path, item_ids: Sequence[str]) -> "Older":
        """Read what `export_network` wrote.

        Args:
            item_ids: of the catalog that it was fitted on, or of one that has grown since.

        Raises:
            BundleError: the folder holds no network, or one that was exported without names.
        """
        encoder = UserEncoder.load(folder)
        if len(item_ids) < encoder.size:
            raise BundleError(
                f"network {folder} was fitted on {encoder.size} items and {len(item_ids)} ids were given;"
                " give those of its own catalog"
            )
        config = msgspec.convert(msgspec.json.decode((folder / CONFIG).read_bytes()), NetworkConfig)
        exported = _weights(folder / USER)
        user = {
            name.removeprefix(EXPORTED): value
            for name, value in exported.items()
            if name.startswith(EXPORTED)
        }
        needed = {name for name in InterestNetwork(1, config).user.state_dict() if _is_exported(name)}
        inside = _weights(folder / ITEM)
        sizes = {name: len(inside.get(f"{name}_basis", ())) for name in Widths._fields}
        tower = ItemTower(config.width, Widths(**sizes))
        # what a tower was exported before there was, it does not read: that stays zero
        told = {name for name in tower.state_dict() if name.split(".")[0] not in ("traits", "words")}
        if absent := sorted((needed - set(user)) | (told - set(inside))):
            raise BundleError(f"network {folder} has no weights named {absent[0]}; export it again")
        weights = {name: torch.from_numpy(inside[name]) for name in tower.state_dict() if name in inside}
        tower.load_state_dict(weights, strict=False)
        return cls(
            config=config,
            item_ids=tuple(item_ids[: encoder.size]),
            user=user,
            tower=tower.requires_grad_(False),
            identity=encoder.identity,
            known=encoder.known,
            words=encoder.words,
        )

    def fits(self, config: NetworkConfig) -> bool:
        """Whether a network of this config can go on from this one."""
        return all(getattr(config, name) == getattr(self.config, name) for name in SPACE)

    def vectors(self, content: Content, *, text_only: bool) -> Floats:
        """Vectors (n, D) of items by their content; by their text alone in a shop with other categories."""
        if text_only:
            content = content.text_alone()
        found: Floats = self.tower.vectors(content).numpy()
        return found


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the items of a network began."""

    kept: int
    """With the identity that they had."""
    told: int
    """Without one, in the place that content or company gives them in the older network's space."""


def begin(model: InterestNetwork, older: Older, catalog: Catalog, *, transfer: bool = False) -> Begun:
    """Let a network that is not fitted yet go on from an older one.

    The user tower is copied, and items and words that both know keep their vectors. Items that are new begin
    where they would by themselves, by whom they are bought with, turned into the older space: by the
    rotation that takes the items of both nearest to where they are in it (orthogonal Procrustes,
    Schönemann 1966). With `transfer`, of another shop, no item is the same: all begin so, and what
    is turned to is what the older network makes of the items' texts.

    Args:
        model: of a new `Training`, whose items begin by themselves.
        catalog: that of `model`.

    Raises:
        ConfigError: the two networks differ in width, heads or temperature.
    """
    for name in SPACE:
        mine, old = getattr(model.config, name), getattr(older.config, name)
        if mine != old:
            raise ConfigError(f"{name} is {mine}, the older network has {old}; set the same to go on from it")
    _copy_tower(model, older)
    seen = model.known.cpu().numpy() > 0
    rows, theirs = _shared(older, catalog, nothing=transfer)
    anchors: Ints
    own = model.identity.weight.detach().cpu().numpy()
    if transfer:
        anchors = np.flatnonzero(seen & np.asarray(catalog.text_vectors).any(1))
        goal = older.vectors(Content.of(catalog).at(anchors), text_only=True)
    else:
        both = seen[rows]
        anchors, goal = rows[both], older.identity[theirs[both]]
    start = turned(own, anchors, np.asarray(goal, np.float64))
    start[rows] = older.identity[theirs]
    with torch.no_grad():
        model.identity.weight.copy_(torch.from_numpy(start.astype(np.float32)))
        model.known[torch.from_numpy(rows).to(model.known.device)] = 1.0
    return Begun(kept=len(rows), told=int(seen.sum()) - int(seen[rows].sum()))


def turned(vectors: Floats, anchors: Ints, goal: Floats) -> Floats:
    """Vectors (I, D), rotated such that those of `anchors` (n,) lie as near `goal` (n, D) as can be.

    They are scaled to the mean length of the goal. Without anchors they stay as they are.
    """
    here = np.asarray(vectors[anchors], np.float64)
    if not len(anchors) or not here.any() or not goal.any():
        return np.array(vectors, np.float64)
    left, _, right = np.linalg.svd(here.T @ goal)
    scale = float(np.linalg.norm(goal) / np.linalg.norm(here))
    return np.asarray(scale * (vectors @ (left @ right)))


def _shared(older: Older, catalog: Catalog, *, nothing: bool) -> tuple[Ints, Ints]:
    """Rows of the items that the older network was trained on, here and there; none where ids say nothing."""
    theirs = np.flatnonzero(older.known & (not nothing))
    rows = catalog.rows([older.item_ids[row] for row in theirs.tolist()])
    return rows[rows >= 0], theirs[rows >= 0]


def _copy_tower(model: InterestNetwork, older: Older) -> None:
    """Copy the weights that both user towers have, and the words; what one alone has begins anew."""
    with torch.no_grad():
        for name, value in model.user.state_dict().items():
            if name not in older.user:
                continue
            theirs = torch.from_numpy(older.user[name])
            if name == KIND:  # the last one is that of queries, where they are read
                theirs = theirs[: len(value)]
                value = value[: len(theirs)]
            if theirs.shape == value.shape:
                value.copy_(theirs)
        if model.words is not None and model.vocabulary is not None and older.words is not None:
            vocabulary, vectors = older.words
            row = vocabulary.rows(model.vocabulary.token)
            both = np.flatnonzero(row >= 0)
            model.words[torch.from_numpy(both)] = torch.from_numpy(np.float32(vectors[row[both]])).to(
                model.words
            )


def _is_exported(name: str) -> bool:
    return not name.startswith("out.") or name.startswith(FIRST)


def _weights(path: Path) -> dict[str, Floats]:
    """The arrays in an ONNX file, by name."""
    import onnx

    return {
        array.name: np.array(onnx.numpy_helper.to_array(array))
        for array in onnx.load(str(path)).graph.initializer
    }
