"""Who may still spend: budgets set aside before a showing, charged or given back after it."""

from dataclasses import dataclass

from raysys.ads.pacing import allowance_micros
from raysys.errors import DataError
from raysys.events import AdUpdate
from raysys.state.protocol import StateStore
from raysys.types import QueryId


def spend_counter(campaign_id: str) -> str:
    """The counter of what a campaign has spent or set aside, in micros."""
    return f"spend:{campaign_id}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Budgets over the counters of a state store; a crash can hold money back, never overspend it.

    Every hold ends once, settled or released; ending it again changes nothing. Counters of
    ended holds stay, so that a late message finds them ended.
    """

    store: StateStore

    def reserve(
        self, ad: AdUpdate, price_micros: int, query_id: QueryId, now_ms: int | None = None
    ) -> str | None:
        """Set `price_micros` aside; a token, or None if the budget does not hold it.

        With `now_ms` the budget is paced: it holds what the campaign may have spent by then.
        Asked again for the same query and ad, it gives the same token and sets nothing more aside.
        """
        token = f"{query_id}:{ad.ad_id}"
        if self.store.counter(_held(token)) > 0:
            return token
        spend = spend_counter(ad.campaign_id)
        limit = ad.budget_micros if now_ms is None else allowance_micros(ad, now_ms)
        if self.store.add(spend, price_micros, limit) is None:
            return None
        if price_micros and self.store.add(_held(token), price_micros, price_micros) is None:
            self.store.add(spend, -price_micros)  # another replica was first with the same token
        return token

    def settle(self, token: str, campaign_id: str, charged_micros: int | None = None) -> bool:
        """The paid event happened: keep what it costs, give the rest back; False if the hold had ended.

        Args:
            token: from `reserve`.
            campaign_id: of the ad that the token was given for.
            charged_micros: what the event costs, None for all that was set aside.
        """
        held = self.store.counter(_held(token))
        charged = held if charged_micros is None else charged_micros
        if not 0 <= charged <= held:
            raise DataError(
                f"charge of {charged} micros for {token}, expected 0 to {held}, what was set aside",
                field="charged_micros",
            )
        if held == 0 or self.store.add(f"ended:{token}", 1, 1) is None:
            return False
        if charged < held:
            self.store.add(spend_counter(campaign_id), charged - held)
        return True

    def release(self, token: str, campaign_id: str) -> bool:
        """The paid event will not come: give everything back; False if the hold had ended."""
        return self.settle(token, campaign_id, 0)

    def spent(self, campaign_id: str) -> int:
        """Micros that a campaign has spent or set aside."""
        return self.store.counter(spend_counter(campaign_id))


def _held(token: str) -> str:
    return f"held:{token}"
