"""Budgets spread evenly over a campaign's time, so that a morning does not eat the evening."""

from raysys.events import AdUpdate

HEAD_START = 0.02
"""Share of the budget that may be spent ahead of the even pace; without it nothing could start."""


def allowance_micros(ad: AdUpdate, now_ms: int, *, head_start: float = HEAD_START) -> int | None:
    """What the campaign may have spent by `now_ms`; None without a budget.

    An ad without a start or an end is not paced: its whole budget is allowed at once.
    """
    if ad.budget_micros is None or ad.starts_ms is None or ad.ends_ms is None:
        return ad.budget_micros
    length = max(ad.ends_ms - ad.starts_ms, 1)
    gone = min(max((now_ms - ad.starts_ms) / length, 0.0), 1.0)
    return round(ad.budget_micros * min(gone + head_start, 1.0))
