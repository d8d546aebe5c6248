"""What a response to an ad depends on, computed alike for training and for serving."""

from collections.abc import Collection, Sequence

import numpy as np

from raysys.events import AdUpdate
from raysys.state.protocol import FAST_DAYS, SLOW_DAYS, State
from raysys.types import DAY_MS, Floats

FEATURES: tuple[str, ...] = (
    "days",
    "items",
    "bought",
    "slow",
    "fast",
    "responses",
    "recent_responses",
    "promoted",
    "promoted_bought",
    "promoted_items",
    "promoted_slow",
    "promoted_fast",
    "promoted_share",
    "responses_x_promoted_slow",
)
"""Names of the columns of `features`; amounts enter as log1p."""

RESPONDED = "ad:"
"""A conversion on a creative is kept under an own item of this prefix and the ad's id."""


def promoted(ad: AdUpdate) -> frozenset[str]:
    """The items an ad is about: the one it shows and those it is targeted at."""
    named: Sequence[str] = (ad.targeting or {}).get("item_ids", ())
    return frozenset(named if ad.item_id is None else (*named, ad.item_id))


def features(state: State | None, about: Sequence[Collection[str]]) -> Floats:
    """Columns FEATURES (C, F) float64 for one person and the items (C sets) that ads are about.

    Decayed counts are read as of the person's last event, so the same state gives the same
    features at any time. Nobody (`state` None) has zeros everywhere but in `promoted`.
    """
    state = State() if state is None else state
    rows = {item: row for row, item in enumerate(state.own_items)}
    own = _own(state)  # (P, 4)
    responded = np.array([item.startswith(RESPONDED) for item in state.own_items], np.bool_)
    bought, _, slow, fast = own[~responded].sum(axis=0).tolist()
    answered, _, _, lately = own[responded].sum(axis=0).tolist()
    person = [state.days, len(rows), bought, slow, fast, answered, lately]
    columns = np.zeros((len(about), len(FEATURES)))
    columns[:, : len(person)] = np.log1p(person)
    for place, items in enumerate(about):
        met = [rows[item] for item in rows.keys() & items]
        found = own[met].sum(axis=0)
        columns[place, len(person) : -1] = [
            np.log1p(len(items)),
            *np.log1p(found),
            found[2] / max(slow, 1e-9),
        ]
    columns[:, -1] = columns[:, FEATURES.index("responses")] * columns[:, FEATURES.index("promoted_slow")]
    return columns


def _own(state: State) -> Floats:
    """Days bought, one, slow and fast decayed counts of each own item (P, 4), as of the last event."""
    age = (state.last_ms - np.array(state.own_last_ms, np.float64)) / DAY_MS
    return np.stack(
        [
            np.array(state.own_bought, np.float64),
            np.ones(len(age)),
            np.array(state.own_slow) * 0.5 ** (age / SLOW_DAYS),
            np.array(state.own_fast) * 0.5 ** (age / FAST_DAYS),
        ],
        axis=1,
    )
