"""What would this person do with this item? Calibrated probabilities with NumPy and ONNX Runtime."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from raysys.catalog import Catalog
from raysys.errors import BundleError, DataError
from raysys.interest.combination import Combination, load_combination
from raysys.interest.features import FEATURES, Partners, UserView, features, own_due, user_view
from raysys.interest.habits import Habits
from raysys.interest.partners import Following, Neighbors, Rows
from raysys.interest.rating import RatingHead
from raysys.interest.recall import SIZES, RecallSizes, recall
from raysys.interest.shelf import FACTS, LEAF, Sales, Shelf
from raysys.interest.source import NetworkSource
from raysys.interest.untaken import Untaken, untaken
from raysys.interest.words import Likeness
from raysys.state.protocol import State
from raysys.types import Floats, Ints

HEAD, NETWORK = "interest.json", "network"


@dataclass(frozen=True, slots=True, kw_only=True)
class InterestScorer:
    """Habits, partners, network and popularity, combined for each kind.

    A candidate's probabilities depend on the person and on that candidate alone.
    """

    kinds: tuple[str, ...]
    primary: str
    """The kind that `interest` ranks by, one of `kinds`."""
    partners: Partners
    sales: Sales
    combinations: tuple[Combination, ...]
    """(E,) for items that are offered."""
    answers: tuple[Combination, ...]
    """(E,) for items that answer a question: a person who asks for tea will have one of the teas. Where
    nobody was asked about any, they are `combinations` itself, which is then kept once."""
    untaken: Untaken | None = None
    """For items that nobody had taken; without it they are combined like all others."""
    network: NetworkSource | None = None
    network_heard: bool = True
    """Whether the combinations look at the network's score; else it only recalls."""
    sizes: RecallSizes = SIZES
    new_only: bool = False
    """Whether nobody takes a thing twice here, so that what is one's own is not proposed."""
    rating: RatingHead | None = None
    """For logs with ratings."""
    shelf: Shelf | None = None
    """Of the catalog last given to `with_items`; it is not saved."""

    @property
    def size(self) -> int:
        """How many items the partners know."""
        return len(self.partners)

    def with_items(self, catalog: Catalog, retold: Ints | None = None) -> "InterestScorer":
        """A scorer for the items of `catalog`; new ones are known by their groups and their content.

        Args:
            retold: rows (n,) of items that say something else of themselves now.
        """
        network = None if self.network is None else self.network.with_items(catalog, retold)
        likeness = tuple(part.with_items(catalog) for part in self.partners.likeness)
        partners = replace(self.partners, likeness=likeness)
        return replace(self, shelf=Shelf.of(catalog, self.sales), partners=partners, network=network)

    def view(self, state: State | None, catalog: Catalog, now_ms: int) -> UserView:
        """The state over the catalog's items; costs a few sparse products, so keep it."""
        ready = self.shelf is not None and len(self.shelf) == len(catalog)
        model = self if ready else self.with_items(catalog)
        return model.view_of(Habits.of(state, catalog), now_ms)

    def view_of(self, habits: Habits, now_ms: int) -> UserView:
        """The same from habits, which fitting and evaluation have in bulk."""
        if self.shelf is None:
            raise DataError("this scorer has no items yet; call with_items(catalog) first")
        network, heard = self.network, self.network_heard
        return user_view(habits, self.shelf, self.partners, network, now_ms, network_heard=heard)

    def probs(self, view: UserView, rows: Ints, now_ms: int, *, asked: bool = False) -> Floats:
        """Probabilities (C, E) float32 of each kind; NaN where the row is -1.

        Args:
            asked: whether the person asks for such items right now, in words.

        Raises:
            PartError: the trees or the network failed.
        """
        log_odds = np.clip(self.log_odds(view, rows, now_ms, asked=asked), -50.0, 50.0)
        return np.asarray(1.0 / (1.0 + np.exp(-log_odds)), np.float32)

    def log_odds(self, view: UserView, rows: Ints, now_ms: int, *, asked: bool = False) -> Floats:
        """The log odds (C, E) of those probabilities."""
        found = np.full((len(rows), len(self.kinds)), np.nan)
        known = rows >= 0
        if known.any():
            found[known] = self._combined(view, rows[known], now_ms, asked)
        return found

    def _combined(self, view: UserView, rows: Ints, now_ms: int, asked: bool) -> Floats:
        """Log odds (C, E) of rows (C,), none of them -1."""
        seen, parts = features(view, rows, now_ms), [self.answers if asked else self.combinations]
        new = np.zeros(len(rows), np.bool_) if self.untaken is None else untaken(view, rows)
        if not new.any():
            return np.stack([combination.log_odds(seen) for combination in parts[0]], axis=1)
        assert self.untaken is not None
        parts.append(self.untaken.answers if asked else self.untaken.combinations)
        found = np.empty((len(rows), len(self.kinds)))
        for combinations, mine in zip(parts, (~new, new), strict=True):
            for number, combination in enumerate(combinations):
                found[mine, number] = combination.log_odds(seen[mine])
        return found

    def repeat(self, view: UserView, rows: Ints, now_ms: int) -> Floats:
        """How due (C,) an item is again: 1 when as long ago as is usual for this person, 0 if never."""
        found = np.zeros(len(rows))
        known = rows >= 0
        found[known] = own_due(view, rows[known], now_ms)
        return found

    def stars(self, view: UserView, rows: Ints) -> Floats:
        """Stars (C,) that this person would give; NaN where the row is -1, and all of it without ratings."""
        if self.rating is None:
            return np.full(len(rows), np.nan)
        return self.rating.stars(view.rated, view.stars, rows)

    def uncertainty(self, view: UserView, rows: Ints) -> Floats:
        """How little (C,) in [0, 1] is known of item and person: it falls with what was counted."""
        sold = view.shelf.facts[np.maximum(rows, 0), FACTS.index("popularity")]
        counted = np.expm1(sold) + np.expm1(view.user[0])
        return np.asarray(1.0 / np.sqrt(1.0 + np.where(rows >= 0, counted, 0.0)))

    def retrieve(self, view: UserView, length: int, now_ms: int) -> Ints:
        """Rows that this person is likeliest to want, best first."""
        rows = recall(view, self.sizes, new_only=self.new_only)
        score = self.probs(view, rows, now_ms)[:, self.kinds.index(self.primary)]
        return np.asarray(rows[np.argsort(-score, kind="stable")[:length]])

    def similar(self, row: int, length: int) -> Ints:
        """Rows chosen by the same people as `row`, best first; alike by content if nobody took it yet."""
        if row < self.size:
            scores = self.partners.item_knn.weighted(np.array([row]), np.ones(1), self.size)
            best = np.argsort(-scores, kind="stable")[:length]
            best = best[scores[best] > 0]
            if len(best):
                return np.asarray(best)
        if self.network is not None and row < len(self.network.vectors):
            return self.network.nearest(row, length)
        shelf = self.shelf
        if shelf is None or row >= len(shelf):
            return self.trending(length)
        alike = np.flatnonzero(shelf.codes[LEAF] == shelf.codes[LEAF, row])
        alike = alike[np.argsort(-shelf.facts[alike, FACTS.index("recent")], kind="stable")]
        return np.asarray(alike[alike != row][:length])

    def trending(self, length: int) -> Ints:
        """The most popular rows of late, best first."""
        return np.asarray(np.argsort(-self.sales.recent, kind="stable")[:length])

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must not exist yet."""
        folder.mkdir()
        head: dict[str, Any] = {"kinds": self.kinds, "primary": self.primary, "features": FEATURES}
        head["sizes"] = {name: getattr(self.sizes, name) for name in self.sizes.__slots__}
        head["network_heard"], head["new_only"] = self.network_heard, self.new_only
        head["following"] = asdict(self.partners.following)
        head["answers"] = self.answers is not self.combinations
        head["untaken"] = 0 if self.untaken is None else self.untaken.sets
        head["likeness"] = [likeness.bag for likeness in self.partners.likeness]
        (folder / HEAD).write_bytes(msgspec.json.encode(head))
        self.partners.co_visit.save(folder, "co_visit")
        self.partners.item_knn.save(folder, "item_knn")
        self.partners.neighbors.save(folder)
        for likeness in self.partners.likeness:
            likeness.save(folder)
        self.sales.save(folder)
        for kind, combination in zip(self.kinds, self.combinations, strict=True):
            combination.save(folder, kind)
        if self.answers is not self.combinations:
            for kind, combination in zip(self.kinds, self.answers, strict=True):
                combination.save(folder, f"{kind}.answer")
        if self.untaken is not None:
            self.untaken.save(folder, self.kinds)
        if self.network is not None:
            self.network.save(folder / NETWORK)
        if self.rating is not None:
            self.rating.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        head = msgspec.json.decode((folder / HEAD).read_bytes())
        if tuple(head["features"]) != FEATURES:
            raise BundleError(
                f"{folder}: fitted on the features {head['features']}, this version computes"
                f" {list(FEATURES)}; fit the interest model again"
            )
        if "untaken" not in head:
            raise BundleError(f"{folder}: says nothing of items that are new; fit the interest model again")
        partners = Partners(
            co_visit=Rows.load(folder, "co_visit"),
            following=Following(**head["following"]),
            item_knn=Rows.load(folder, "item_knn"),
            neighbors=Neighbors.load(folder),
            likeness=tuple(Likeness.load(folder, bag) for bag in head["likeness"]),
        )
        network = NetworkSource.load(folder / NETWORK) if (folder / NETWORK).is_dir() else None
        combinations = tuple(load_combination(folder, kind) for kind in head["kinds"])
        answers, new = combinations, None
        if head["answers"]:
            answers = tuple(load_combination(folder, f"{kind}.answer") for kind in head["kinds"])
        if head["untaken"]:
            new = Untaken.load(folder, head["kinds"], head["untaken"])
        return cls(
            kinds=tuple(head["kinds"]),
            primary=head["primary"],
            partners=partners,
            sales=Sales.load(folder),
            combinations=combinations,
            answers=answers,
            untaken=new,
            network=network,
            network_heard=head["network_heard"],
            sizes=RecallSizes(**head["sizes"]),
            new_only=head["new_only"],
            rating=RatingHead.load(folder),
        )
