"""What happened, as it arrives: a closed union of events, tagged by `type`.

Bad data stops here: `parse_event` either returns a valid event or raises a
`DataError` that names the field. Nothing further in trusts a raw dictionary.
"""

import hashlib
import math
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from raysys.errors import DataError
from raysys.types import Channel, Key, Surface, key_of

Kind: TypeAlias = Literal["view", "click", "cart", "purchase", "rating", "hide", "dwell", "conversion"]
BidFor: TypeAlias = Literal["impression", "click", "conversion"]
"""What an advertiser pays for."""
Target: TypeAlias = Literal["surfaces", "channels", "categories", "item_ids", "keywords"]
"""What an ad may ask of the page that it is shown on; `item_ids` are items that the page is about."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind of interaction; its index is how state and datasets store a kind."""

EARLIEST_MS = 0
MAX_AHEAD_MS = 86_400_000
"""Clocks of hosts differ; an event may claim to come from at most a day ahead."""
LARGEST = 2**53
DEEPEST = 16
"""Bounds of whole numbers and of nesting, in whatever an event carries."""
WIDEST = 4096
"""Numbers of an embedding, at most."""


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What all events have: an optional id that makes sending them twice harmless."""

    event_id: str | None = None


class Impression(_Event, frozen=True, kw_only=True, tag="impression"):
    """A ranking as it was really shown."""

    query_id: str
    surface: Surface
    item_ids: list[str]
    time_ms: int
    channel: Channel = ""
    user_id: str | None = None
    session_id: str | None = None
    query: str = ""
    positions: list[int] | None = None
    propensities: list[float] | None = None
    bundle_id: str | None = None


class Interaction(_Event, frozen=True, kw_only=True, tag="interaction"):
    """One logged deed of a user."""

    kind: Kind
    item_id: str
    time_ms: int
    query_id: str | None = None
    ad_id: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    value: float | None = None
    """Stars of a rating, seconds of a dwell, paid amount (account currency) of a purchase."""


class ItemUpdate(_Event, frozen=True, kw_only=True, tag="item"):
    """An item, whole or in part: fields given replace, fields absent stay; a new item needs a title."""

    item_id: str
    title: str | None = None
    description: str | None = None
    category: str | None = None
    """A path, `grocery/dairy/milk`."""
    brand: str | None = None
    price_micros: int | None = None
    margin: float | None = None
    """Share of the price that the shop keeps, at most 1."""
    attributes: dict[str, Any] | None = None
    image_embedding: list[float] | None = None
    """What the host makes of the picture, of one width in a shop; `[]` says that there is none any more."""
    audio_embedding: list[float] | None = None
    available: bool | None = None
    time_ms: int | None = None


class AdUpdate(_Event, frozen=True, kw_only=True, tag="ad"):
    """An advertiser's offer to show an item or a creative."""

    ad_id: str
    campaign_id: str
    advertiser_id: str
    bid_micros: int
    bid_for: BidFor
    item_id: str | None = None
    title: str | None = None
    url: str | None = None
    budget_micros: int | None = None
    cap: int | None = None
    """Showings per user and day."""
    starts_ms: int | None = None
    ends_ms: int | None = None
    about: list[str] | None = None
    """Items that the ad promotes beside `item_id`; what people had to do with them tells who responds."""
    targeting: dict[Target, list[str]] | None = None
    """For each target the allowed values; the page must meet all of them."""
    time_ms: int | None = None


class UserUpdate(_Event, frozen=True, kw_only=True, tag="user"):
    """What the host knows of a user; `consent: false` stops all reading and writing of state."""

    user_id: str
    attributes: dict[str, Any] | None = None
    consent: bool | None = None
    time_ms: int | None = None


class Forget(_Event, frozen=True, kw_only=True, tag="forget"):
    """The user's wish to be forgotten: state, log and the next training set."""

    user_id: str
    time_ms: int | None = None


Event: TypeAlias = Impression | Interaction | ItemUpdate | AdUpdate | UserUpdate | Forget

_ENCODER = msgspec.json.Encoder(order="deterministic")


def key_of_event(event: Event) -> Key | None:
    """The state key an event belongs to; None for items, ads and anonymous events."""
    match event:
        case Impression() | Interaction():
            return key_of(event.user_id, event.session_id)
        case UserUpdate() | Forget():
            return key_of(event.user_id, None)
        case ItemUpdate() | AdUpdate():
            return None


def identity(event: Event) -> str:
    """What makes two events the same: the sender's `event_id`, else a hash of the content."""
    if event.event_id:
        return event.event_id
    return hashlib.blake2b(_ENCODER.encode(event), digest_size=12).hexdigest()


def encode_event(event: Event) -> bytes:
    """One event as a line of JSON (without the newline)."""
    return _ENCODER.encode(event)


def parse_event(raw: Any, *, now_ms: int | None = None) -> Event:
    """A valid event from JSON bytes or a decoded object.

    Args:
        raw: bytes or str of JSON, or the dictionary they decode to.
        now_ms: the receiver's clock; with it, events from the future are refused.

    Raises:
        DataError: names the field, what was found and what was expected.
    """
    try:
        if isinstance(raw, bytes | str):
            event: Event = msgspec.json.decode(raw, type=Event)
        else:
            event = msgspec.convert(raw, type=Event)
    except msgspec.ValidationError as error:
        raise located(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"not valid JSON: {error}") from error
    _check(event, now_ms)
    return event


def located(error: msgspec.ValidationError) -> DataError:
    """What msgspec found, as our error: the field's path apart from the message."""
    message, _, where = str(error).partition(" - at ")
    path = where.rpartition("`$")[2].rstrip("`").lstrip(".")
    if not path or "missing required field" in message or "unknown field" in message:
        quoted = message.split("`")  # the message itself names the field
        path = f"{path}.{quoted[-2]}".lstrip(".") if len(quoted) >= 3 else path
    return DataError(message, field=path)


def _check(event: Event, now_ms: int | None) -> None:
    """What the types cannot say: ids that are not empty, numbers in range, columns of one length."""
    for name in ("query_id", "item_id", "ad_id", "user_id", "session_id", "campaign_id"):
        value = getattr(event, name, None)
        if value is not None and not 0 < len(value) <= 512:
            raise DataError(f"{name} has {len(value)} characters, expected 1 to 512", field=name)
    if (time_ms := event.time_ms) is not None:
        _check_plain(time_ms, "time_ms")
        if time_ms < EARLIEST_MS:
            raise DataError(f"time_ms is {time_ms}, expected UTC epoch milliseconds", field="time_ms")
        if now_ms is not None and time_ms > now_ms + MAX_AHEAD_MS:
            raise DataError(
                f"time_ms is {time_ms}, more than a day after now ({now_ms});"
                " expected UTC epoch milliseconds",
                field="time_ms",
            )
    for name in ("attributes", "targeting"):
        _check_plain(getattr(event, name, None), name)
    match event:
        case Impression():
            _check_impression(event)
        case Interaction() if event.value is not None and not math.isfinite(event.value):
            raise DataError(f"value is {event.value}, expected a finite number", field="value")
        case ItemUpdate():
            if event.price_micros is not None and event.price_micros < 0:
                raise DataError(
                    f"price_micros is {event.price_micros}, must not be negative", field="price_micros"
                )
            _check_plain(event.price_micros, "price_micros")
            if event.margin is not None and not -10.0 <= event.margin <= 1.0:
                raise DataError(
                    f"margin is {event.margin}, expected a share of the price, at most 1", field="margin"
                )
            for name in ("image_embedding", "audio_embedding"):
                _check_embedding(getattr(event, name), name)
        case AdUpdate():
            for name in ("bid_micros", "budget_micros", "cap", "starts_ms", "ends_ms"):
                if (amount := getattr(event, name)) is not None and amount < 0:
                    raise DataError(f"{name} is {amount}, must not be negative", field=name)
                _check_plain(amount, name)
        case _:
            pass


def _check_plain(value: Any, name: str, depth: int = 0) -> None:
    """Refuse what a store, an array or another language's JSON would choke on later, at every read."""
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise DataError(f"{name} has a whole number beyond 2^53, which JSON cannot carry", field=name)
    if depth > DEEPEST:
        raise DataError(f"{name} is nested deeper than {DEEPEST} levels", field=name)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for below in inner:
        _check_plain(below, name, depth + 1)


def _check_embedding(vector: list[float] | None, name: str) -> None:
    if vector is None:
        return
    if len(vector) > WIDEST:
        raise DataError(f"{name} has {len(vector)} numbers, expected at most {WIDEST}", field=name)
    if not all(map(math.isfinite, vector)):
        raise DataError(f"{name} holds a number that is not finite", field=name)


def _check_impression(event: Impression) -> None:
    _check_plain(event.positions, "positions")
    for name in ("positions", "propensities"):
        column = getattr(event, name)
        if column is not None and len(column) != len(event.item_ids):
            raise DataError(
                f"{len(event.item_ids)} items but {len(column)} {name}; send one for each item shown",
                field=name,
            )
    for place, propensity in enumerate(event.propensities or ()):
        if not 0.0 < propensity <= 1.0:
            raise DataError(
                f"propensity at position {place} is {propensity}, expected a number in (0, 1]",
                field=f"propensities[{place}]",
            )
