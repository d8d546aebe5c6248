"""A dataset folder as the arrays that the experts learn from."""

from pathlib import Path

import numpy as np

from raysys.catalog import Catalog
from raysys.dataset.build import Dataset
from raysys.events import KINDS
from raysys.interest.interactions import Interactions
from raysys.text.encoder import TextEncoder


def read_log(folder: Path, encoder: Path | None) -> tuple[Interactions, Catalog]:
    """Interactions and catalog of a dataset folder; text vectors only with an encoder's folder."""
    data = Dataset.load(folder)
    texts = None if encoder is None else TextEncoder.load(encoder)
    catalog = Catalog.of(data.items, None if texts is None else texts.encode)
    frame = data.interactions.sort("time_ms", maintain_order=True)
    codes = {user: code for code, user in enumerate(frame["user"].unique(maintain_order=True).to_list())}
    log = Interactions(
        user=np.array([codes[user] for user in frame["user"].to_list()], np.int64),
        row=catalog.rows(frame["item"].to_list()),
        kind=np.array([KINDS.index(kind) for kind in frame["kind"].to_list()], np.int64),
        time_ms=frame["time_ms"].to_numpy().astype(np.int64),
    )
    return log.where((log.row >= 0) & frame["user"].is_not_null().to_numpy()), catalog
