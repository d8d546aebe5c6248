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
    "any_response",
    "known",
    "promoted",
    "promoted_bought",
    "promoted_items",
    "promoted_slow",
    "promoted_fast",
    "promoted_share",
    "promoted_best",
    "promoted_since",
    "any_promoted",
    "responses_x_promoted_slow",
    "responses_x_promoted",
    "any_response_x_any_promoted",
)
"""Names of the columns of `features`; amounts enter as log1p.

`known` says whether the host knows any attribute of the person.
"""

PAIRED = FEATURES.index("responses_x_promoted_slow")
"""From here on columns are products of others."""
SINCE_NEVER = float(np.log1p(365))
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
    own = _own(state)  # (P, 5)
    responded = np.array([item.startswith(RESPONDED) for item in state.own_items], np.bool_)
    bought, _, slow, fast, _ = own[~responded].sum(axis=0).tolist()
    answered, _, _, lately, _ = own[responded].sum(axis=0).tolist()
    amounts = [state.days, len(rows), bought, slow, fast, answered, lately]
    person = [*np.log1p(amounts).tolist(), float(answered > 0), float(bool(state.attributes))]
    columns = np.zeros((len(about), len(FEATURES)))
    columns[:, : len(person)] = person
    for place, items in enumerate(about):
        met = [rows[item] for item in rows.keys() & items]
        columns[place, len(person) : PAIRED] = [np.log1p(len(items)), *_about(own[met], slow)]
    named = dict(zip(FEATURES, columns.T, strict=True))
    columns[:, PAIRED:] = np.stack(
        [
            named["responses"] * named["promoted_slow"],
            named["responses"] * named["promoted"],
            named["any_response"] * named["any_promoted"],
        ],
        axis=1,
    )
    return columns


def _about(met: Floats, slow: float) -> list[float]:
    """The person's dealings with what an ad is about, from its own-item rows `met` (M, 5)."""
    if not len(met):
        return [0.0] * 5 + [0.0, SINCE_NEVER, 0.0]
    counts, decayed = np.log1p(met[:, :4].sum(axis=0)).tolist(), met[:, 2]
    share = float(decayed.sum()) / max(slow, 1e-9)
    return [*counts, share, float(np.log1p(decayed.max())), float(np.log1p(met[:, 4].min())), 1.0]


def _own(state: State) -> Floats:
    """Days bought, one, slow, fast and age in days of each own item (P, 5), as of the last event."""
    age = (state.last_ms - np.array(state.own_last_ms, np.float64)) / DAY_MS
    return np.stack(
        [
            np.array(state.own_bought, np.float64),
            np.ones(len(age)),
            np.array(state.own_slow) * 0.5 ** (age / SLOW_DAYS),
            np.array(state.own_fast) * 0.5 ** (age / FAST_DAYS),
            age,
        ],
        axis=1,
    )
