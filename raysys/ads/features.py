"""What a response to an ad depends on, computed alike for training and for serving."""

from collections.abc import Sequence

import numpy as np

from raysys.ads.inventory import About
from raysys.state.protocol import FAST_DAYS, RESPONDED, SLOW_DAYS, State
from raysys.types import DAY_MS, Floats, Ints

FEATURES: tuple[str, ...] = (
    "days",
    "items",
    "bought",
    "slow",
    "fast",
    "responses",
    "recent_responses",
    "any_response",
    "coupons",
    "recent_coupons",
    "known",
    "away",
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

`responses` answer ads that are known by name, `coupons` are days with an offer that is not;
`known` says whether the host knows any attribute of the person, `away` how long they have been silent.
"""

PAIRED = FEATURES.index("responses_x_promoted_slow")
"""From here on columns are products of others."""
COUPON = f"{RESPONDED}coupon"
"""The own item of all offers that were used without anybody saying whose: coupons on a receipt."""
SINCE_NEVER = float(np.log1p(365))


def features(state: State | None, about: About, now_ms: int, places: Ints | None = None) -> Floats:
    """Columns FEATURES (C, F) float64 for one person and the ads at `places` of `about`, or all.

    Decayed counts are read as of the person's last event; how long ago that was is a column of
    its own. Nobody (`state` None) has bought nothing, for longer than anybody.
    """
    state = State() if state is None else state
    places = np.arange(len(about.sizes)) if places is None else places
    own = _own(state)  # (P, 5)
    responded = np.array([item.startswith(RESPONDED) for item in state.own_items], np.bool_)
    unnamed = np.array([item == COUPON for item in state.own_items], np.bool_)
    bought, _, slow, fast, _ = own[~responded].sum(axis=0).tolist()
    answered, _, _, lately, _ = own[responded & ~unnamed].sum(axis=0).tolist()
    coupons, _, _, coupons_lately, _ = own[unnamed].sum(axis=0).tolist()
    person = [
        *np.log1p([state.days, len(own), bought, slow, fast, answered, lately]).tolist(),
        float(answered > 0),
        *np.log1p([coupons, coupons_lately]).tolist(),
        float(bool(state.attributes)),
        _away(state, now_ms),
    ]
    columns = np.zeros((len(places), len(FEATURES)))
    columns[:, : len(person)] = person
    columns[:, len(person)] = np.log1p(about.sizes[places])
    columns[:, len(person) + 1 : PAIRED] = _dealings(state.own_items, own, slow, about)[places]
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


def _away(state: State, now_ms: int) -> float:
    days = (now_ms - state.last_ms) / DAY_MS
    return float(np.log1p(min(max(days, 0.0), 365.0))) if state.last_ms else SINCE_NEVER


def _dealings(items: Sequence[str], own: Floats, slow: float, about: About) -> Floats:
    """The person's dealings (n, 8) with what each ad is about, from the own-item rows (P, 5).

    Rows are summed in the order of the state, so an ad's numbers do not depend on the others.
    """
    found = np.zeros((len(about.sizes), 8))
    found[:, 6] = SINCE_NEVER
    met = [(row, about.ads_of[item]) for row, item in enumerate(items) if item in about.ads_of]
    if not met:
        return found
    ads = np.concatenate([ads for _, ads in met])
    order = np.argsort(ads, kind="stable")
    rows = own[np.repeat([row for row, _ in met], [len(ads) for _, ads in met])[order]]
    told, firsts = np.unique(ads[order], return_index=True)
    sums = np.add.reduceat(rows, firsts)
    found[told, :4] = np.log1p(sums[:, :4])
    found[told, 4] = sums[:, 2] / max(slow, 1e-9)
    found[told, 5] = np.log1p(np.maximum.reduceat(rows[:, 2], firsts))
    found[told, 6] = np.log1p(np.minimum.reduceat(rows[:, 4], firsts))
    found[told, 7] = 1.0
    return found


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
