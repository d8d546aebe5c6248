"""Smaller forms of a fitted interest model, which answer the same requests in less time and fewer bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from raysys.errors import ConfigError
from raysys.interest.distill import Size, distilled
from raysys.interest.habits import Habits
from raysys.interest.narrow import narrow_rows
from raysys.interest.scorer import InterestScorer


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a smaller model is made of; what is not said is as in the full one."""

    trees: Size | None = None
    """Of the last step, distilled from the full one's."""
    networks: int | None = None
    """How many of those averaged are kept, the best first."""
    narrow: bool = False
    """Whether item vectors are stored in eight bits, weights and what goes with what in 16."""

    def __post_init__(self) -> None:
        if self.networks is not None and self.networks < 1:
            raise ConfigError(f"networks is {self.networks}, must be at least 1, or None for all")

    def __str__(self) -> str:
        said = [
            f"{self.trees.rounds} trees of {self.trees.leaves} leaves" if self.trees else "",
            f"{self.networks} network{'s' * (self.networks > 1)}" if self.networks else "",
            "narrow numbers" if self.narrow else "",
        ]
        return ", ".join(filter(None, said)) or "full"

    def reduced(self, scorer: InterestScorer) -> InterestScorer:
        """The scorer with smaller parts, and the last step that it has."""
        network = scorer.network
        if network is not None and self.networks is not None:
            network = replace(network, beside=network.beside[: self.networks - 1])
        if not self.narrow:
            return replace(scorer, network=network)
        partners, neighbors = scorer.partners, scorer.partners.neighbors
        slim = replace(
            partners,
            co_visit=narrow_rows(partners.co_visit),
            item_knn=narrow_rows(partners.item_knn),
            neighbors=replace(
                neighbors, chosen=narrow_rows(neighbors.chosen), takers=narrow_rows(neighbors.takers)
            ),
        )
        return replace(scorer, partners=slim, network=None if network is None else network.narrow())

    def of(self, full: InterestScorer, people: Iterable[tuple[Habits, int]], seed: int = 0) -> InterestScorer:
        """The full scorer in this form.

        Args:
            people: with the moment of asking; whom a smaller last step imitates the full one for.

        Raises:
            DataError: there are no people, and the last step is to be smaller.
        """
        smaller = self.reduced(full)
        return smaller if self.trees is None else distilled(full, smaller, people, self.trees, seed)
