"""The network of the interest model: user vectors times item vectors (SASRec, with content)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raysys.errors import ConfigError
from raysys.events import KINDS, Kind
from raysys.interest.cold import CHUNK, fit_content
from raysys.interest.content import Content
from raysys.interest.item_tower import ItemTower, Widths
from raysys.interest.queries import QUERY, Bags, Vocabulary
from raysys.interest.user_tower import UserTower
from raysys.state.protocol import HISTORY
from raysys.types import Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """How the network is built and fitted; every field may be searched by `tuning.network`."""

    width: int = 64
    """D, of user and item vectors."""
    blocks: int = 1
    heads: int = 2
    history_length: int = HISTORY
    """H, how many of the latest interactions and queries are read; a state keeps no more than that."""
    dropout: float = 0.2
    text: bool = True
    """Whether items that nobody touched are also known by their text."""
    temperature: float | None = None
    """Scores are cosines over this temperature; plain products if None."""
    learning_rate: float = 4e-3
    hidden_rate: float = 0.02
    """Learning rate of Muon on the hidden matrices; 0 leaves them to AdamW like the rest."""
    weight_decay: float = 0.01
    warmup: float = 0.05
    """Share of the run over which the learning rates rise."""
    batch_tokens: int = 1000
    accumulate: int = 1
    """Batches whose gradients are added up for one step."""
    epochs: int = 4
    cpu_seconds: float | None = None
    """Seconds of this process' CPU time that fitting takes, however many epochs they are; no
    other end is looked for then, and a training that is resumed does not end exactly the same."""
    patience: int = 2
    """Epochs without a better validation before fitting stops."""
    label_smoothing: float = 0.0
    day_share: float = 1.0
    """Share of the loss that asks for all items of the next day; the rest asks for the next item."""
    ahead: int = 1
    """Up to how many items ahead is predicted, each with a projection of its own."""
    answers: int = 1
    """The item so far ahead is what the fitted network is asked for: 2 where the log lags by one."""
    debias: float = 0.0
    """Share of the log of an item's count that its score is given in training alone, so that what is
    learned, and served, is what speaks for it beyond being popular (Menon et al. 2021)."""
    loss: Literal["softmax", "gbce"] = "softmax"
    full_softmax: int = 5_000
    """Up to so many items the softmax is over all of them, above it over a sample."""
    negatives: int = 1024
    """Items drawn for a step when the softmax is sampled, and for gBCE."""
    targets: tuple[Kind, ...] = ("view", "click", "cart", "purchase", "dwell", "conversion")
    """Kinds that are predicted; all kinds are read."""
    seed: int = 0

    def __post_init__(self) -> None:
        whole = ("width", "blocks", "heads", "history_length", "batch_tokens", "accumulate", "epochs")
        for name in (*whole, "ahead", "negatives"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be at least 1")
        for name in ("dropout", "label_smoothing", "warmup"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be in [0, 1)")
        for name in ("day_share", "debias"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}, must be in [0, 1]")
        if self.width % self.heads:
            raise ConfigError(f"width is {self.width}, must be a multiple of heads ({self.heads})")
        if self.history_length > HISTORY:
            raise ConfigError(f"history_length is {self.history_length}, a state keeps {HISTORY}")
        if not 0.0 < self.learning_rate < 1.0 or not 0.0 <= self.hidden_rate < 1.0:
            raise ConfigError(
                f"learning_rate is {self.learning_rate}, must be in (0, 1); hidden_rate is"
                f" {self.hidden_rate}, must be in [0, 1)"
            )
        for name in ("temperature", "cpu_seconds"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ConfigError(f"{name} is {value}, must be above 0 or None")
        if self.weight_decay < 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}, must be at least 0")
        if not 1 <= self.answers <= self.ahead:
            raise ConfigError(f"answers is {self.answers}, must be from 1 to ahead ({self.ahead})")
        if not self.targets or set(self.targets) - set(KINDS):
            raise ConfigError(f"targets are {self.targets}, must be some of {KINDS}")


class InterestNetwork(nn.Module):
    """Scores an item for a user by the product of their two vectors.

    The items' vectors are the same as inputs of the history and as outputs (a tied table), and
    a user vector depends on that user's history alone. What content says of items is fitted
    to their identities (`learn_content`), for the items that have none. With a vocabulary it reads
    queries too: each is the mean of its words' vectors, which begin at zero.
    """

    known: Tensor

    def __init__(
        self,
        items: int,
        config: NetworkConfig,
        widths: Widths | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.identity = nn.Embedding(items, config.width)
        nn.init.normal_(self.identity.weight, std=0.05)
        self.register_buffer("known", torch.zeros(items))
        self.tower = ItemTower(config.width, widths).requires_grad_(False)
        kinds = QUERY if vocabulary is None else QUERY + 1
        self.user = UserTower(config.width, config.blocks, config.heads, config.dropout, config.ahead, kinds)
        self.words: nn.Parameter | None = None
        if vocabulary is not None:
            self.words = nn.Parameter(torch.zeros(len(vocabulary), config.width))
        self._content: Content | None = None

    def describe(self, content: Content) -> None:
        """Keep the content (I) of the items; it is no part of what is saved."""
        self._content = content

    def learn_content(self) -> None:
        """Fit the item tower to the vectors of the items that are known."""
        assert self._content is not None, "describe the items first"
        known = np.flatnonzero(self.known.cpu().numpy())
        with torch.no_grad():
            vectors = self.trained_vectors(torch.from_numpy(known).to(self.known.device))
        fit_content(self.tower, self._content, known, vectors.float().cpu().numpy())

    def trained_vectors(self, rows: Tensor) -> Tensor:
        """Vectors (n, D) of items at `rows` (n,) that are known."""
        vectors: Tensor = self.identity(rows)
        return self.scaled(vectors)

    def scaled(self, vectors: Tensor) -> Tensor:
        """Item vectors (n, D) of their identities (n, D)."""
        return vectors if self.config.temperature is None else F.normalize(vectors, dim=1)

    def item_vectors(self) -> Tensor:
        """Vectors (I, D) of all items: by identity where known, else by content."""
        vectors = self.trained_vectors(torch.arange(len(self.known), device=self.known.device))
        unknown = np.flatnonzero(self.known.cpu().numpy() == 0)
        if not len(unknown) or self._content is None:
            return vectors
        vectors = vectors.clone()
        for low in range(0, len(unknown), CHUNK):
            rows = unknown[low : low + CHUNK]
            found = self.tower.vectors(self._content.at(rows))
            vectors[torch.from_numpy(rows).to(vectors.device)] = found
        return vectors

    def last_vectors(self, vectors: Tensor, kinds: Tensor, gaps: Tensor, ahead: int | None = None) -> Tensor:
        """User vectors (B, D) after histories (B, L) of item vectors (B, L, D), all of one length."""
        return self.project(self.user.last(vectors, kinds, gaps), ahead or self.config.answers)

    def project(self, found: Tensor, ahead: int = 1) -> Tensor:
        """User vectors (n, D) of what the user tower found (n, D), for an item so far ahead."""
        vectors: Tensor = self.user.out[ahead - 1](found)
        temperature = self.config.temperature
        return vectors if temperature is None else F.normalize(vectors, dim=1) / temperature


def told(vectors: Tensor, row: Ints, bags: Bags, words: Tensor) -> Tensor:
    """The vectors (B, L, D) of a history's events with those of its queries in their places.

    Args:
        row: (B, L), below 0 for a query.
        bags: words of the queries there, in the order of their places, as rows of `words` (V, D).
    """
    place = torch.from_numpy(np.flatnonzero(row.ravel() < 0)).to(words.device)
    start, word = (torch.from_numpy(part).to(words.device) for part in bags)
    found = F.embedding_bag(word, words, start, mode="mean")
    flat = vectors.reshape(-1, vectors.shape[-1])
    return flat.index_copy(0, place, found.to(flat.dtype)).view_as(vectors)
