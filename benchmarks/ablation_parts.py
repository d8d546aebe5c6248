"""What each source and group of features adds to the combination, over networks that are fitted once.

A part is left out by its columns, and by what it alone recalled. Combinations are fitted by the code of
the product, on answers inside the training log, and judged on the validation and on the test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.ablation_pages import COLUMNS, DRAWN, EXTRA, MINE, OTHERS, SHELF, Pages
from raysys.interest.combination import Combination
from raysys.interest.combine import combine, competitors, held_out
from raysys.interest.examples import Examples
from raysys.interest.features import FEATURES, SOURCES
from raysys.interest.pairs import UNSEEN
from raysys.interest.shelf import FACTS
from raysys.types import Bools, Floats, Ints

CHUNK = 200_000
"""Candidates that are combined at once."""


def of_source(*names: str) -> tuple[str, ...]:
    """The columns of some sources."""
    return tuple(f"{name}{part}" for name in names for part in ("", "_of_best", "_rank"))


OWN = (
    *(name for name in FEATURES if name.startswith("own_")), "item_due", "again", "item_gap", "repeats",
)  # fmt: skip
GROUPS = (
    "leaf_slow", "leaf_share", "brand_in_leaf", "leaf_since", "leaf_due", "parent_share", "top_share",
    "brand_share", "price_fit",
)  # fmt: skip
PARTNERS = ("co_visit", "follow", "item_knn", "user_knn")
CONTENT = ("words", "traits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Which sources and columns the combination knows."""

    less: tuple[str, ...] = ()
    """Sources that are not asked, neither for recall nor for a score."""
    more: tuple[str, ...] = ()
    """Sources of EXTRA."""
    columns: tuple[str, ...] = ()
    """Columns left out besides."""
    shelf: bool = True
    """Whether the popular items are recalled; one's own are, where they may be an answer."""
    part: str | None = None
    """The competitor for the combination that is taken, whoever wins."""
    order: str | None = None
    """A column that orders by itself, without a combination."""

    def used(self) -> Ints:
        """The columns that are left."""
        hidden = {*of_source(*self.less), *of_source(*(set(EXTRA) - set(self.more))), *self.columns}
        return np.array([number for number, name in enumerate(COLUMNS) if name not in hidden])

    def bits(self) -> int:
        """The sources that recall asks, as bits."""
        asked = [*SOURCES, *EXTRA]
        found = {*SOURCES, *self.more} - set(self.less)
        return sum(1 << asked.index(name) for name in found) | self.shelf << SHELF | 1 << MINE


VARIANTS: Mapping[str, Variant] = {
    "full": Variant(),
    "the sum alone": Variant(part="listwise"),
    "trees alone": Variant(part="trees"),
    "LambdaMART alone": Variant(part="ranked"),
    "the sum and trees": Variant(part="listwise + trees"),
    "all three averaged": Variant(part="listwise + trees + ranked"),
    "no second network": Variant(less=("network",), more=("first network",)),
    "no network": Variant(less=("network",)),
    "no words": Variant(less=("words",)),
    "no traits": Variant(less=("traits",)),
    "no words, no traits": Variant(less=CONTENT),
    "no co_visit": Variant(less=("co_visit",)),
    "no follow": Variant(less=("follow",)),
    "no item_knn": Variant(less=("item_knn",)),
    "no user_knn": Variant(less=("user_knn",)),
    "no partners": Variant(less=PARTNERS),
    "no own history": Variant(columns=OWN),
    "no categories, brands, prices": Variant(columns=(*GROUPS, "price", "price_ratio", "share_in_leaf")),
    "no popularity": Variant(columns=FACTS, shelf=False),
    "no places": Variant(columns=tuple(f"{source}_rank" for source in SOURCES)),
    "no shares of the best": Variant(columns=tuple(f"{source}_of_best" for source in SOURCES)),
    "network alone": Variant(order="network"),
    "+ EASE": Variant(more=("ease",)),
    "+ ALS": Variant(more=("als",)),
}  # fmt: skip


def lesson_of(pages: Pages, variant: Variant, seed: int) -> Examples:
    """What the combination learns from if only the sources of a variant recalled."""
    allowed = variant.bits()
    recalled, unseen = (pages.bits & allowed) > 0, pages.bits == 0
    drawn = _some(pages.page, recalled & ~pages.done, seed)
    there = np.array([int(((bits & allowed) > 0).sum()) for bits in pages.recalled])
    stands = np.ones(len(pages.page))
    stands[drawn] = (there / np.maximum(np.bincount(pages.page[drawn], minlength=len(there)), 1))[
        pages.page[drawn]
    ]
    stands[unseen] = ((pages.items - there) / OTHERS)[pages.page[unseen]]
    kept = (recalled & pages.done) | drawn | unseen
    return Examples(
        seen=pages.seen[kept][:, variant.used()],
        done=pages.done[kept][:, None],
        weight=np.where(unseen, UNSEEN, stands)[kept],
        stands=stands[kept],
        person=pages.person[kept],
        page=pages.page[kept],
    )


def _some(page: Ints, able: Bools, seed: int) -> Bools:
    """At most DRAWN of the `able` (N,) of each page."""
    chance = np.where(able, np.random.default_rng(seed).random(len(page)), 2.0)
    order = np.lexsort((chance, page))
    size = np.bincount(page)
    place = np.empty(len(page), np.int64)
    place[order] = np.arange(len(page)) - np.repeat(np.cumsum(size) - size, size)
    return able & (place < DRAWN)


def fitted(pages: Pages, variant: Variant, seed: int) -> Combination | None:
    """The combination of a variant; none where a column orders by itself."""
    if variant.order is not None:
        return None
    lesson = lesson_of(pages, variant, seed)
    if variant.part is None:
        return combine(lesson, ("purchase",), 1.0, seed, "ndcg").used[0]
    outside = np.isin(lesson.person, held_out(lesson.person, seed))
    return competitors(lesson, outside, 0, 1.0, seed, "ndcg")[1][variant.part]


def judged(pages: Pages, variant: Variant, combination: Combination | None) -> Floats:
    """NDCG@10 of everybody asked, by the order of what the sources of the variant recalled."""
    able = (pages.bits & variant.bits()) > 0
    scores = np.full(len(pages.page), -np.inf)
    if combination is None:
        assert variant.order is not None
        scores[able] = pages.seen[able, COLUMNS.index(variant.order)]
    else:
        columns = variant.used()
        for low in range(0, len(scores), CHUNK):
            part = low + np.flatnonzero(able[low : low + CHUNK])
            scores[part] = combination.log_odds(pages.seen[part][:, columns])
    order = np.lexsort((-scores, pages.page))
    size = np.bincount(pages.page)
    start = np.cumsum(size) - size
    place = np.arange(len(order)) - np.repeat(start, size)
    gain = pages.done[order] & able[order] & (place < 10)
    return np.bincount(pages.page[order], gain / np.log2(place + 2.0), minlength=len(size))


def run(
    found: Mapping[str, Pages], variant: Variant, seed: int
) -> tuple[dict[str, Any], Mapping[str, Floats]]:
    """A row of what a variant reached, and everybody's NDCG@10 of validation and test."""
    combination = fitted(found["lesson"], variant, seed)
    gains = {task: judged(found[task], variant, combination) for task in ("validation", "test")}
    return {f"{task} ndcg@10": float(gain.mean()) for task, gain in gains.items()}, gains
