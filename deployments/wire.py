"""What travels over HTTP. These structs stop here: inside, everything is `raysys.types`."""

import math
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np

from deployments.dialects.envelope import asker_in
from raysys.errors import DataError
from raysys.events import MAX_AHEAD_MS, located
from raysys.rules import parse_filter, parse_rule
from raysys.surfaces.ads import Decision, Placement
from raysys.types import (
    Candidates,
    Channel,
    ItemId,
    PageContext,
    Query,
    QueryId,
    RankedItem,
    Ranking,
    SessionId,
    Surface,
    Understood,
    UserId,
    Wording,
)

MOST_CANDIDATES = 10_000
DEFAULT_LENGTH = 20

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_CANDIDATES)]


class WireContext(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Where on the host's site the question arises."""

    page: str = ""
    category: str = ""
    item_id: _Id | None = None
    query: str = ""


class _Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What every question may say."""

    query_id: _Id | None = None
    user_id: _Id | None = None
    session_id: _Id | None = None
    channel: Channel = ""
    context: WireContext = msgspec.field(default_factory=WireContext)
    length: _Count | None = None
    offset: _Count = 0
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    filters: list[dict[str, Any]] = []
    rules: list[dict[str, Any]] = []
    explain: bool = False
    budget_ms: Annotated[float, msgspec.Meta(gt=0)] | None = None
    time_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None

    def named_by(self, headers: Mapping[bytes, bytes]) -> None:
        """Let the headers `X-User-Id` and `X-Session-Id` say who asks, where the body does not."""
        user, session = asker_in(headers)
        self.user_id, self.session_id = self.user_id or user or None, self.session_id or session or None

    def question(self, surface: Surface, now_ms: int, *, text: str = "", item_id: str | None = None) -> Query:
        """The question in the words of the library."""
        if self.time_ms is not None and self.time_ms > now_ms + MAX_AHEAD_MS:
            raise DataError(
                f"time_ms is {self.time_ms}, more than a day after now ({now_ms})", field="time_ms"
            )
        place = item_id or self.context.item_id
        return Query(
            id=QueryId(self.query_id or uuid.uuid4().hex),
            surface=surface,
            time_ms=now_ms if self.time_ms is None else self.time_ms,
            length=DEFAULT_LENGTH if self.length is None else self.length,
            user_id=UserId(self.user_id) if self.user_id else None,
            session_id=SessionId(self.session_id) if self.session_id else None,
            text=text or self.context.query,
            channel=self.channel,
            context=PageContext(
                page=self.context.page,
                category=self.context.category,
                item_id=ItemId(place) if place else None,
            ),
            offset=self.offset,
            weight=self.weight,
            filters=tuple(parse_filter(raw, f"filters[{n}]") for n, raw in enumerate(self.filters)),
            rules=tuple(parse_rule(raw, f"rules[{n}]") for n, raw in enumerate(self.rules)),
            explain=self.explain,
        )


class WireCandidate(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An item that the host found."""

    item_id: _Id
    engine_score: float | None = None
    text: str | None = None
    attributes: dict[str, Any] | None = None


class RankRequest(_Asked, kw_only=True):
    """A page of search candidates to put in order."""

    candidates: Annotated[list[WireCandidate], msgspec.Meta(max_length=MOST_CANDIDATES)]
    query: str = ""

    def to_candidates(self) -> Candidates:
        """The candidates as columns; the first of two with one id counts."""
        scores = [math.nan if c.engine_score is None else c.engine_score for c in self.candidates]
        return Candidates(
            item_ids=tuple(ItemId(c.item_id) for c in self.candidates),
            engine_scores=np.array(scores) if scores else None,
            texts={
                n: Wording.of(c.text, c.attributes or {}) for n, c in enumerate(self.candidates) if c.text
            },
            attributes={n: c.attributes for n, c in enumerate(self.candidates) if c.attributes},
        )


class FeedRequest(_Asked, kw_only=True):
    """A personal feed."""


class SimilarRequest(_Asked, kw_only=True):
    """Items like one item."""

    item_id: _Id


class TrendingRequest(_Asked, kw_only=True):
    """What everybody likes, in one category if given."""

    category: str = ""


class WirePlacement(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A place for ads on the page."""

    placement_id: _Id
    length: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class DecideRequest(_Asked, kw_only=True):
    """A page that asks for ads."""

    placements: Annotated[list[WirePlacement], msgspec.Meta(max_length=100)]

    def to_placements(self) -> list[Placement]:
        return [Placement(place.placement_id, place.length) for place in self.placements]


Request = TypeVar("Request", bound=_Asked)


def decode(body: bytes, kind: type[Request]) -> Request:
    """A request of `kind` from JSON.

    Raises:
        DataError: names the field, what was found and what was expected.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise located(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"the body is not valid JSON in UTF-8: {error}") from error


def ranking_table(ranking: Ranking, *, explain: bool) -> dict[str, Any]:
    """A ranking as it is answered."""
    read = {} if ranking.understood is None else {"query": _read(ranking.understood)}
    return {
        "query_id": ranking.query_id,
        "items": [_item(item, explain=explain) for item in ranking.items],
        "total": ranking.total,
        "profile": ranking.profile,
        "profile_prob": ranking.profile_prob,
        "explored": ranking.explored,
        "bundle_id": ranking.bundle_id,
        "policy_id": ranking.policy_id,
        "state_version": ranking.state_version,
        "degraded": ranking.degraded,
        **read,
    }


def _read(understood: Understood) -> dict[str, Any]:
    """How a query was read, with what it is after."""
    after = {"categories": understood.categories, "brands": understood.brands}
    told = {key: [{"name": name, "prob": prob} for name, prob in names] for key, names in after.items()}
    return {"class": understood.query_class, "words": understood.words, **told}


def _item(item: RankedItem, *, explain: bool) -> dict[str, Any]:
    table: dict[str, Any] = {"item_id": item.item_id, "score": item.score, "propensity": item.propensity}
    if item.forced:
        table["forced"] = True
    if explain:
        table["reasons"] = [{"signal": r.signal, "value": r.value, "text": r.text} for r in item.reasons]
    return table


def decision_table(decision: Decision, *, explain: bool) -> Mapping[str, Any]:
    """An ad decision as it is answered."""
    table: dict[str, Any] = msgspec.to_builtins(decision)
    if not explain:
        for placement in table["placements"]:
            for item in placement["items"]:
                item.pop("reasons", None)
    return table
