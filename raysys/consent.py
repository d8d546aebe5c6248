"""What may be kept of whom: nothing of nobody, of who refused, or from before who was forgotten."""

import hashlib

import msgspec

from raysys.events import Event, Impression, Interaction, UserUpdate
from raysys.types import Key


class Wish(msgspec.Struct, frozen=True):
    """What a person asked of us; kept under `veiled(key)`, so that no id outlives its data."""

    refused: bool = False
    forgotten_ms: int = -1
    """Events up to this moment are gone and stay gone, however late they are sent again."""


NO_WISH = Wish()


def veiled(key: Key) -> str:
    """A name that tells the same key again, and nobody else whose it is."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def may_keep(event: Event, key: Key | None, wish: Wish) -> bool:
    """Whether an event, its time known, may be written; a change of consent itself always may."""
    if key is None:
        return not isinstance(event, Impression | Interaction)
    if not may_link(event, wish):
        return False
    return not wish.refused or (isinstance(event, UserUpdate) and event.consent is not None)


def may_link(event: Event, wish: Wish) -> bool:
    """Whether the event may say whose a session is: not if it is from before they were forgotten."""
    return event.time_ms is None or event.time_ms > wish.forgotten_ms


def consent_of(event: Event) -> bool | None:
    """What the event says about consent; None if nothing."""
    return event.consent if isinstance(event, UserUpdate) else None


def kept_part(event: Event) -> Event:
    """The event as it may be logged: a refusal is noted, but not what came with it."""
    if isinstance(event, UserUpdate) and event.consent is False:
        return msgspec.structs.replace(event, attributes=None)
    return event
