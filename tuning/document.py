"""The network of the document that raysys began with: a row of the user x item matrix in, the row out.

Hidden layers, tanh, squared error; what it puts out for an item is its score. It is trained here as it
was described, and nothing was tuned for or against it.
"""

from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import nn
from tqdm import tqdm

from raysys.interest.features import UserView
from raysys.interest.interactions import Interactions, decay
from raysys.types import Floats
from tuning.quality import Alternative

HIDDEN = (256, 64, 256)
EPOCHS, BATCH = 20, 64


class DocumentNetwork:
    """Fitted to the matrix (U, I) of standardized weights."""

    def __init__(self, matrix: csr_array, *, seed: int = 0) -> None:
        torch.manual_seed(seed)
        users, items = matrix.shape
        self._matrix = matrix.astype(np.float32)
        largest = np.maximum(self._matrix.max(axis=1).toarray(), 1e-9).reshape(-1)
        self._scale = (1.0 / largest).astype(np.float32)
        widths = (items, *HIDDEN, items)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            layers += [nn.Linear(wide, narrow), nn.Tanh()]
        self._net = nn.Sequential(*layers)
        optimizer = torch.optim.Adam(self._net.parameters(), lr=1e-3)
        rng = np.random.default_rng(seed)
        for _ in tqdm(range(EPOCHS), desc="the document's network", unit="epoch"):
            for batch in np.array_split(rng.permutation(users), max(users // BATCH, 1)):
                seen = torch.from_numpy(self._rows(batch))
                loss = ((self._net(seen) - seen) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def _rows(self, users: Floats) -> Floats:
        return np.asarray(self._matrix[users].toarray() * self._scale[users][:, None], np.float32)

    def scores(self, user: int) -> Floats:
        """(I,) of one user."""
        with torch.no_grad():
            return np.asarray(
                self._net(torch.from_numpy(self._rows(np.array([user]))))[0].numpy(), np.float64
            )


def document(events: Interactions, items: int, now_ms: int, half_life_days: float) -> Alternative:
    """The document's network, fitted to a log before `now_ms`, as a system to compare with."""
    weight = decay(events.time_ms, now_ms, half_life_days)
    users = int(events.user.max()) + 1
    network = DocumentNetwork(csr_array((weight, (events.user, events.row)), shape=(users, items)))

    def scores(user: int, view: UserView) -> Floats:
        return network.scores(user)

    return scores
