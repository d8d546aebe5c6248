"""A dataset folder as the arrays that the experts learn from."""

from pathlib import Path

from raysys.catalog import Catalog
from raysys.dataset.build import Dataset
from raysys.interest.interactions import Interactions
from raysys.text.static import load_encoder


def read_log(folder: Path, encoder: Path | None) -> tuple[Interactions, Catalog]:
    """Interactions and catalog of a dataset folder; text vectors only with an encoder's folder."""
    data = Dataset.load(folder)
    texts = None if encoder is None else load_encoder(encoder)
    catalog = Catalog.of(data.items, None if texts is None else texts.encode)
    return Interactions.of(data, catalog), catalog
