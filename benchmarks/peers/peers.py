"""Peers of the interest model, in an environment of their own: plain files in, rankings out.

`folder` holds train, valid, history and test as Parquet with whole numbers `user, item`, a user's rows
in order. A peer is fitted on train, its settings are chosen on valid, and it ranks for the users of test
what follows their history. ALS and popularity, which rank by what they were fitted on, are fitted again
on the history once their settings are chosen.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset, IdMap, Interactions
from rectools.models import (
    EASEModel,
    ImplicitALSWrapperModel,
    ImplicitItemKNNWrapperModel,
    PopularModel,
    SASRecModel,
)
from rectools.models.nn.transformers.ligr import LiGRLayers
from rectools.models.nn.transformers.sasrec import SASRecTransformerLayers

LENGTH, REFIT = 100, ("als", "popularity")
KNN = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
LAYERS = {"sasrec": SASRecTransformerLayers, "esasrec": LiGRLayers}


def grid(name: str) -> Iterator[tuple[dict[str, Any], Callable[[], Any]]]:
    """Settings that are tried, and how a model of them is made."""
    if name == "popularity":
        yield {}, PopularModel
    elif name == "ease":
        for regularization in (50.0, 200.0, 800.0):
            yield (
                {"regularization": regularization},
                lambda r=regularization: EASEModel(regularization=r, num_threads=1),
            )
    elif name == "item-knn":
        for weights, kind in KNN.items():
            for near in (20, 100, 400):
                yield (
                    {"weights": weights, "near": near},
                    lambda k=kind, n=near: ImplicitItemKNNWrapperModel(k(K=n, num_threads=1)),
                )
    elif name == "als":
        for factors, penalty, alpha in ((64, 0.1, 10.0), (128, 0.1, 10.0), (128, 1.0, 1.0), (128, 0.1, 40.0)):
            settings = {"factors": factors, "regularization": penalty, "alpha": alpha, "iterations": 15}
            yield (
                settings,
                lambda s=settings: ImplicitALSWrapperModel(
                    AlternatingLeastSquares(**s, num_threads=1, random_state=0, use_gpu=False)
                ),
            )


class Budget(Callback):
    """Ends training when its CPU seconds are spent. What it counts is the class's: Lightning copies it."""

    began = spent = 0.0
    seconds = 0.0
    batches = targets = epochs = 0

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, batch: Any, at: int) -> None:
        """Count, and stop when it is time."""
        cls = type(self)
        cls.batches += 1
        cls.targets += int((batch["y"] > 0).sum())
        cls.epochs = trainer.current_epoch
        cls.spent = time.process_time() - cls.began
        trainer.should_stop = cls.spent >= cls.seconds


def trainer() -> Trainer:
    """A trainer on one core that writes nothing and ends with its budget."""
    return Trainer(
        max_epochs=200, min_epochs=0, accelerator="cpu", devices=1, logger=False, callbacks=[Budget()],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def transformer(name: str, long: bool, seed: int) -> tuple[dict[str, Any], SASRecModel]:
    """Settings that won eSASRec's published grid, for long histories and for short ones."""
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "n_blocks": 2 if long else 1, "n_heads": 1, "n_factors": 64, "dropout_rate": 0.1 if long else 0.2,
        "session_max_len": 200 if long else 50, "loss": "sampled_softmax", "n_negatives": 256, "lr": 1e-3,
        "batch_size": 128,
    }  # fmt: skip
    model = SASRecModel(
        **settings, get_trainer_func=trainer, transformer_layers_type=LAYERS[name], recommend_n_threads=1
    )
    return settings, model


def dataset(frame: pd.DataFrame, users: int, items: int) -> Dataset:
    """Interactions whose internal numbers are ours, whatever else is in the files."""
    rows = pd.DataFrame(
        {
            Columns.User: frame["user"], Columns.Item: frame["item"], Columns.Weight: 1.0,
            Columns.Datetime: pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(frame)), unit="s"),
        }
    )  # fmt: skip
    known = (IdMap.from_values(np.arange(users)), IdMap.from_values(np.arange(items)))
    return Dataset(*known, Interactions.from_raw(rows, *known))


def top(model: Any, data: Dataset, users: np.ndarray, new_only: bool) -> np.ndarray:
    """(n, LENGTH) items, best first, -1 for none; with `new_only` without what is in the history."""
    found = model.recommend(users, data, k=LENGTH, filter_viewed=new_only)
    place = pd.Series(np.arange(len(users)), index=users)
    ranked = np.full((len(users), LENGTH), -1)
    ranked[place[found[Columns.User]].to_numpy(), found[Columns.Rank].to_numpy() - 1] = found[Columns.Item]
    return ranked


def ndcg(ranked: np.ndarray, truth: np.ndarray) -> float:
    """Mean NDCG@10 of one true item each; for choosing settings only."""
    hits = ranked[:, :10] == truth[:, None]
    return float((hits / np.log2(np.arange(10) + 2.0)).sum(axis=1).mean())


def run(name: str, parts: dict[str, pd.DataFrame], told: dict[str, Any], seed: int, seconds: float) -> tuple:
    """Rankings of the test users, and a report of settings and costs."""
    train, history = (dataset(parts[part], told["users"], told["items"]) for part in ("train", "history"))
    new_only = told["new_only"]
    users = parts["test"]["user"].unique()
    began = time.process_time()
    if name in LAYERS:
        long = len(parts["train"]) > 50 * parts["train"]["user"].nunique()
        settings, model = transformer(name, long, seed)
        Budget.began, Budget.seconds = began, seconds
        model.fit(train)
        fit = time.process_time() - began
        report = {"batches": Budget.batches, "epochs": Budget.epochs, "events": Budget.targets}
        report |= {"fit_cpu_seconds": fit, "search_cpu_seconds": fit}
        return top(model, history, users, new_only), report | {"settings": settings}
    valid = parts["valid"].groupby("user", sort=False)["item"].first()
    best: tuple[float, dict[str, Any], Any, float] | None = None
    for settings, make in grid(name):
        start = time.process_time()
        model = make().fit(train)
        fit = time.process_time() - start
        found = ndcg(top(model, train, valid.index.to_numpy(), new_only), valid.to_numpy())
        print(f"{name} {settings}: validation NDCG@10 {found:.4f} in {fit:.0f} CPU s", flush=True)
        if best is None or found > best[0]:
            best = (found, settings, model, fit)
    assert best is not None
    found, settings, model, fit = best
    if name in REFIT:
        model = {str(s): m for s, m in grid(name)}[str(settings)]().fit(history)
    report = {"settings": settings, "validation": found, "events": len(parts["train"])}
    report |= {"fit_cpu_seconds": fit, "search_cpu_seconds": time.process_time() - began}
    return top(model, history, users, new_only), report


def main() -> None:
    """Run one peer and write `NAME-SEED.npy` and `NAME-SEED.json` beside the data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("peer", choices=["popularity", "ease", "item-knn", "als", *LAYERS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu-seconds", type=float, default=900.0, help="of training a transformer")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        part: pd.read_parquet(options.folder / f"{part}.parquet")
        for part in ("train", "valid", "history", "test")
    }
    told = json.loads((options.folder / "told.json").read_text())
    ranked, report = run(options.peer, parts, told, options.seed, options.cpu_seconds)
    name = f"{options.peer}-{options.seed}"
    np.save(options.folder / f"{name}.npy", ranked)
    (options.folder / f"{name}.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
