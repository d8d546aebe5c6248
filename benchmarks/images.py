"""Whether pictures help items that nobody took yet: a simulated shop whose goods are Fashion-MNIST pictures.

The pictures are real, the shoppers are not. What the shop assumes: a shopper likes some of the ten
classes (shares from a Dirichlet distribution) and in each a certain look, that of one picture which the
shop does not have; of a class, goods are taken in proportion to how popular they are (log-normal) times
exp(-d²/t²), where d is the distance of pixels to the liked picture. People thus see what a linear model of
pixels can see: the table says what the tower makes of pictures that matter, not how much pictures matter.
An image vector is the projection of the pixels on the principal directions of other pictures; no
pretrained network is involved. Titles are numbers and say nothing.
"""

import argparse
import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.cold import Cold, cold_split
from raysys.catalog import Catalog
from raysys.errors import DataError
from raysys.evaluation.metrics import mean_error
from raysys.evaluation.next_item import judge_by_library
from raysys.events import KINDS, ItemUpdate
from raysys.interest.bulk import user_vectors
from raysys.interest.content import Content
from raysys.interest.defaults import network_config
from raysys.interest.interactions import Interactions
from raysys.interest.item_tower import ItemTower, Widths
from raysys.interest.network import InterestNetwork
from raysys.interest.train import fit_network
from raysys.types import DAY_MS, Bools, Floats, Ints

FOLDER = Path("/usr/share/datasets/fashion-mnist")
PACKAGE = "dataset-fashion-mnist"
ITEMS, SHOPPERS, TAKEN = 3_000, 2_000, 20
"""Pictures in the shop, people, and how many pictures each takes."""
CLASSES = ("top", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
LIKED = 0.15
"""Concentration of the Dirichlet distribution: a shopper likes a class or two."""
NEAR = 0.5
"""t: how near a look must be to be liked, in units of the median distance within a class."""
DIRECTIONS = 32
"""Of the image vectors."""
EPOCHS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures as rows of pixels (n, 784) in [0, 1], and their classes (n,)."""

    pixels: Floats
    label: Ints

    @classmethod
    def read(cls, folder: Path, part: str) -> "Pictures":
        """The pictures of `train` or `t10k`.

        Raises:
            DataError: the files are not here; says which package has them.
        """
        raw = []
        for name, header in (("images-idx3", 16), ("labels-idx1", 8)):
            path = folder / f"{part}-{name}-ubyte.gz"
            if not path.exists():
                raise DataError(f"{path} is not here; install the Debian package {PACKAGE}")
            content = gzip.decompress(path.read_bytes())
            raw.append(np.frombuffer(content, np.uint8, offset=header))
            count = struct.unpack(">i", content[4:8])[0]
        return cls(pixels=raw[0].reshape(count, -1) / np.float32(255.0), label=raw[1].astype(np.int64))

    def of(self, rows: Ints) -> "Pictures":
        return Pictures(pixels=self.pixels[rows], label=self.label[rows])


def image_vectors(shown: Floats, others: Floats) -> Floats:
    """Projection (n, DIRECTIONS) of pictures (n, 784) on the principal directions of `others`."""
    mean = others.mean(0)
    _, directions = np.linalg.eigh(np.cov(others.T))
    return np.asarray((shown - mean) @ directions[:, ::-1][:, :DIRECTIONS], np.float32)


def shopping(goods: Pictures, liked: Pictures, rng: np.random.Generator) -> Interactions:
    """What SHOPPERS take, a picture a day, none twice; `liked` are the looks that they may have in mind."""
    popular = rng.normal(size=len(goods.label))
    rows = [_taken(goods, liked, popular, rng) for _ in range(SHOPPERS)]
    user = np.repeat(np.arange(SHOPPERS), TAKEN)
    day = np.tile(np.arange(TAKEN), SHOPPERS)
    order = np.argsort(day, kind="stable")
    return Interactions(
        user=user[order],
        row=np.concatenate(rows)[order],
        kind=np.full(len(user), KINDS.index("purchase")),
        time_ms=day[order] * DAY_MS,
    )


def _taken(goods: Pictures, liked: Pictures, popular: Floats, rng: np.random.Generator) -> Ints:
    share = rng.dirichlet(np.full(len(CLASSES), LIKED))
    wanted = np.full(len(popular), -np.inf)
    for label in np.flatnonzero(share > 1e-3).tolist():
        inside = np.flatnonzero(goods.label == label)
        look = liked.pixels[rng.choice(np.flatnonzero(liked.label == label))]
        apart = ((goods.pixels[inside] - look) ** 2).sum(1)
        wish = popular[inside] - apart / (NEAR**2 * np.median(apart))
        wanted[inside] = np.log(share[label]) + wish - np.log(np.exp(wish).sum())
    # taking the best of noisy wishes is a draw without replacement (Gumbel); its order is then mixed
    noisy = wanted + rng.gumbel(size=len(wanted))
    return np.asarray(rng.permutation(np.argsort(-noisy)[:TAKEN]))


def shop(goods: Pictures, images: Floats, *, shown: Bools, named: bool) -> Catalog:
    """The catalog: images of the items `shown` (I,), and their classes as categories if `named`."""
    return Catalog.of(
        [
            ItemUpdate(
                item_id=str(row),
                title=str(row),
                category=CLASSES[goods.label[row]] if named else None,
                image_embedding=images[row].tolist() if shown[row] else None,
            )
            for row in range(len(images))
        ]
    )


def told(model: InterestNetwork, catalog: Catalog) -> Floats:
    """Vectors (I, D) of all items by a network whose content tower is fitted to this catalog."""
    content = Content.of(catalog)
    model.tower = ItemTower(model.config.width, Widths.of(content)).requires_grad_(False)
    model.tower.learn_scales(content, text=False)
    model.describe(content)
    model.learn_content()
    return np.asarray(model.item_vectors().detach().numpy())


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """People whose next item is new, and what is asked of whoever ranks the new ones for them."""

    cold: Cold
    users: Floats
    """(n, D)"""
    chance: Floats
    """(I,) a little noise, for items that cannot be told apart."""

    def line(self, name: str, items: Floats, only: Bools | None = None) -> str:
        """A row of the table for item vectors (I, D); of the people whose next item is one of `only` (I,)."""
        new = np.flatnonzero(self.cold.items)
        asked = np.array([rows[0] for rows in self.cold.fresh.truth])
        keep = np.ones(len(asked), np.bool_) if only is None else only[asked]
        scores = self.users[keep] @ items[new].T + self.chance[new]
        top = new[np.argsort(-scores, axis=1, kind="stable")][:, :100]
        judged = judge_by_library(top, [row[None] for row in asked[keep]])
        (ndcg, ndcg_se), (hit, hit_se) = mean_error(judged.ndcg), mean_error(judged.hit)
        return f"| {name} | {ndcg:.4f} ± {ndcg_se:.4f} | {hit:.4f} ± {hit_se:.4f} | {keep.sum()} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate the shop, fit one network, and print what cold items gain by their pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"files of the package {PACKAGE}")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    test, others = Pictures.read(options.folder, "t10k"), Pictures.read(options.folder, "train")
    rows = rng.permutation(len(test.label))
    goods, liked = test.of(rows[:ITEMS]), test.of(rows[ITEMS:])
    images = image_vectors(goods.pixels, others.pixels[:5_000])
    cold = cold_split(shopping(goods, liked, rng), ITEMS, options.seed)
    train = cold.fresh.before
    everything, nothing = np.ones(ITEMS, np.bool_), np.zeros(ITEMS, np.bool_)
    half = rng.random(ITEMS) < 0.5
    config = network_config(train, ITEMS, np.inf, seed=options.seed)
    config = replace(config, day_share=0.0, cpu_seconds=None, epochs=EPOCHS)
    training = fit_network(train, shop(goods, images, shown=nothing, named=False), config, device="cpu")
    list(training)
    judge = Judge(
        cold=cold,
        users=user_vectors(training.model, train, cold.fresh.user, cold.fresh.now_ms),
        chance=1e-9 * rng.random(ITEMS),
    )
    print(f"{int(cold.items.sum())} new items of {ITEMS}, {len(train)} interactions to learn from\n")
    print("| the tower reads | NDCG@10 | HR@10 | people |\n|---|---|---|---|")
    print(judge.line("nothing", np.zeros((ITEMS, config.width), np.float32)))
    for named, label in ((False, ""), (True, "classes")):
        if named:
            bare = told(training.model, shop(goods, images, shown=nothing, named=True))
            print(judge.line(label, bare))
        joint = f"{label} and " if named else ""
        whole = told(training.model, shop(goods, images, shown=everything, named=named))
        print(judge.line(f"{joint}images", whole))
        part = told(training.model, shop(goods, images, shown=half, named=named))
        for which, only in (("", None), (": items with one", half), (": items without", ~half)):
            print(judge.line(f"{joint}images of half of the items{which}", part, only), flush=True)


if __name__ == "__main__":
    main()
