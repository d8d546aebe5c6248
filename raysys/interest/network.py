"""The network of the interest model: user vectors times item vectors (SASRec, with content)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raysys.errors import ConfigError
from raysys.events import KINDS, Kind
from raysys.interest.content import Content
from raysys.interest.item_tower import PARTS, ItemTower
from raysys.interest.user_tower import UserTower
from raysys.state.protocol import HISTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """How the network is built and fitted; every field may be searched by `tuning.interest`."""

    width: int = 64
    """D, of user and item vectors."""
    blocks: int = 2
    heads: int = 2
    history_length: int = HISTORY
    """H, how many of the latest interactions are read; a state keeps no more than that."""
    dropout: float = 0.2
    text: bool = True
    modality_dropout: float = 0.1
    """How often a part of an item, its identity among them, is hidden in training."""
    learning_rate: float = 4e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises."""
    batch_tokens: int = 4096
    epochs: int = 4
    patience: int = 2
    """Epochs without a better validation before fitting stops."""
    label_smoothing: float = 0.0
    day_share: float = 1.0
    """Share of the loss that asks for all items of the next day; the rest asks for the next item."""
    full_softmax: int = 20_000
    """Up to so many items the softmax is over all of them, above it over a sample."""
    negatives: int = 2048
    """Items drawn for a step when the softmax is sampled."""
    targets: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "dwell", "conversion")
    """Kinds that are predicted; all kinds are read."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "heads", "history_length", "batch_tokens", "epochs", "negatives"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("dropout", "modality_dropout", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be in [0, 1)")
        for name in ("warmup", "day_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, must be a multiple of heads ({self.heads})")
        if self.history_length > HISTORY:
            raise ConfigError(f"history_length is {self.history_length}, a state keeps {HISTORY}")
        if not 0.0 < self.learning_rate < 1.0 or self.weight_decay < 0:
            raise ConfigError(
                f"learning_rate is {self.learning_rate}, must be in (0, 1); weight_decay is"
                f" {self.weight_decay}, must be at least 0"
            )
        if not self.targets or set(self.targets) - set(KINDS):
            raise ConfigError(f"targets are {self.targets}, must be some of {KINDS}")


class InterestNetwork(nn.Module):
    """Scores an item for a user by the product of their two vectors.

    The items' vectors are the same as inputs of the history and as outputs (a tied table), and
    a user vector depends on that user's history alone.
    """

    known: Tensor

    def __init__(self, items: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.identity = nn.Embedding(items, config.width)
        nn.init.normal_(self.identity.weight, std=0.05)
        self.register_buffer("known", torch.zeros(items))
        self.tower = ItemTower(config.width)
        self.user = UserTower(config.width, config.blocks, config.heads, config.dropout)

    def describe(self, content: Content) -> None:
        """Keep the content (I) of the items for `item_vectors`; it is no part of what is saved."""
        columns = {
            "text": torch.from_numpy(content.text) @ self.tower.basis.cpu(),
            "category": torch.from_numpy(content.category),
            "brand": torch.from_numpy(content.brand),
            "log_price": torch.from_numpy(content.log_price),
        }
        for name, column in columns.items():
            self.register_buffer(name, column.to(self.known.device), persistent=False)

    def item_vectors(self, rows: Tensor | None = None) -> Tensor:
        """Vectors (n, D) of the items at `rows` (n,), of all without them.

        In training each part of each item is hidden now and then, so that the tower learns to
        do without it.
        """
        pick = slice(None) if rows is None else rows
        known = self.known[pick]
        hidden = None
        if self.training and self.config.modality_dropout:
            drawn = torch.rand(len(known), len(PARTS), device=known.device)
            hidden = (drawn >= self.config.modality_dropout).to(known.dtype)
        text, category, brand, log_price = (column[pick] for column in self._columns())
        identity = self.identity.weight if rows is None else self.identity(rows)
        return self.tower.fuse(text, category, brand, log_price, identity, known, hidden)

    def _columns(self) -> list[Tensor]:
        return [self.get_buffer(name) for name in ("text", "category", "brand", "log_price")]

    def user_vectors(self, vectors: Tensor, row: Tensor, kind: Tensor, gap: Tensor, place: Tensor) -> Tensor:
        """Vectors (P, D) as of the flat places (P,) of windows (B, L) of rows into `vectors` (n, D)."""
        found: Tensor = self.user(F.embedding(row, vectors), kind, gap, place)
        return found
