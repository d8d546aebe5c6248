"""A synthetic world: people with known tastes who click, buy, tire and leave.

It is deterministic, so that tests have known answers and load tests have traffic. It is
never presented as a result: what is learned in it says nothing of real people.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from raysys.events import AdUpdate, Event, Impression, Interaction, ItemUpdate
from raysys.types import DAY_MS, MICROS, Floats, Ints

CATEGORIES = ("tea", "coffee", "bread", "cheese", "fruit", "soap", "paper", "wine")
ADJECTIVES = ("green", "dark", "mild", "fresh", "fine", "rich", "pure", "plain", "small", "grand")
BRANDS = ("Anchor", "Birch", "Cedar", "Dune", "Elm")
START_MS = 1_700_000_000_000
PAGE = 10
EXAMINED = 1.0 / np.log2(2.0 + np.arange(PAGE))
"""(K,) the chance that a person looks at a position: an assumption of this world."""
CLICKED, BOUGHT = 0.6, 0.3
"""Of a look at an item of the favorite category; of a click there."""
TIRED = 0.5
"""What each click of a session leaves of the wish for the next."""


@dataclass(frozen=True, kw_only=True)
class World:
    """`users` people and `items` items; a person's taste is one category in eight, and one brand."""

    seed: int = 0
    users: int = 200
    items: int = 400
    _prices: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prices = np.random.default_rng([self.seed, 1]).lognormal(1.5, 0.5, self.items)
        object.__setattr__(self, "_prices", np.round(prices, 2))

    def user_id(self, user: int) -> str:
        return f"user{user:05d}"

    def item_id(self, item: int) -> str:
        return f"item{item:05d}"

    def category(self, item: int) -> str:
        return CATEGORIES[item % len(CATEGORIES)]

    def taste(self, user: int) -> tuple[str, str]:
        """The category and the brand that a person likes."""
        return CATEGORIES[user % len(CATEGORIES)], BRANDS[user // len(CATEGORIES) % len(BRANDS)]

    def likes(self, user: int, items: Ints) -> Floats:
        """How much (C,) in [0, 1] a person likes items: 1 for category and brand, less for either."""
        category = items % len(CATEGORIES) == user % len(CATEGORIES)
        brand = self._brands(items) == user // len(CATEGORIES) % len(BRANDS)
        return np.asarray(0.02 + 0.58 * category + 0.4 * category * brand)

    def _brands(self, items: Ints) -> Ints:
        return np.asarray(items // len(CATEGORIES) % len(BRANDS))

    def catalog(self) -> list[ItemUpdate]:
        """All items, as a shop would send them."""
        return [self._item(item) for item in range(self.items)]

    def _item(self, item: int) -> ItemUpdate:
        name = self.category(item)
        return ItemUpdate(
            item_id=self.item_id(item),
            title=f"{ADJECTIVES[item // 8 % len(ADJECTIVES)]} {name} no {item}",
            category=f"shop/{name}",
            brand=BRANDS[int(self._brands(np.array(item)))],
            price_micros=int(self._prices[item] * MICROS),
            margin=0.1 + 0.05 * (item % 7),
            available=True,
            time_ms=START_MS,
        )

    def ads(self) -> list[AdUpdate]:
        """One campaign per category, for an item of it."""
        return [
            AdUpdate(
                ad_id=f"ad-{name}",
                campaign_id=f"campaign-{name}",
                advertiser_id=f"advertiser-{place % 3}",
                bid_micros=(2 + place % 4) * MICROS // 10,
                bid_for="click",
                item_id=self.item_id(place),
                title=f"Try our {name}",
                budget_micros=100 * MICROS,
                cap=3,
                time_ms=START_MS,
            )
            for place, name in enumerate(CATEGORIES)
        ]

    def react(self, user: int, items: Ints, rng: np.random.Generator) -> Iterator[tuple[int, str]]:
        """What a person does with a page (K,): (position, kind) of each deed, in order.

        Every click tires; once nothing is wanted any more the person leaves.
        """
        wish = 1.0
        likes = self.likes(user, items)
        for position, chance in enumerate(EXAMINED[: len(items)] * likes):
            if rng.random() < chance * wish * CLICKED:
                yield position, "click"
                if rng.random() < BOUGHT:
                    yield position, "purchase"
                wish *= TIRED
                if wish < 0.2:
                    return

    def events(self, days: int, *, first_day: int = 0) -> Iterator[Event]:
        """A log: every day a third of the people see one page of random items each."""
        for day in range(first_day, first_day + days):
            rng = np.random.default_rng([self.seed, 2, day])
            for order, user in enumerate(rng.permutation(self.users)[: self.users // 3].tolist()):
                page = rng.choice(self.items, PAGE, replace=False)
                time_ms = START_MS + day * DAY_MS + order * 60_000
                yield from self.visit(user, page, f"q{day}-{user}", time_ms, rng)

    def visit(
        self, user: int, page: Ints, query_id: str, time_ms: int, rng: np.random.Generator
    ) -> Iterator[Event]:
        """The impression of a page of the feed, and what the person does with it."""
        ids = [self.item_id(item) for item in page.tolist()]
        yield Impression(
            query_id=query_id, surface="feed", item_ids=ids, time_ms=time_ms, user_id=self.user_id(user)
        )
        for step, (position, kind) in enumerate(self.react(user, page, rng), start=1):
            yield Interaction(
                kind="click" if kind == "click" else "purchase",
                item_id=ids[position],
                query_id=query_id,
                user_id=self.user_id(user),
                time_ms=time_ms + step * 1_000,
            )

    def items_of(self, item_ids: Sequence[str]) -> Ints:
        """The numbers of items by their ids."""
        return np.array([int(item_id.removeprefix("item")) for item_id in item_ids], np.int64)
