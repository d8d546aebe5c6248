"""Documents to candidates: texts, objects, and where the operator says so, JSON in a text and bare ids."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from deployments.dialects.dialect import Asked, Document
from raysys.types import NAMED, Candidates, ItemId, Wording


class Reading(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is looked for where a protocol has place for something else; nothing is guessed by default."""

    envelope: bool = False
    """Whether a query may be an envelope with the user in it; see `envelope`."""
    documents: tuple[Literal["json", "id"], ...] = ()
    """`json`: a text that is a JSON object counts as one. `id`: a text that is an item's id is that item."""
    id_field: str = "item_id"
    """The key of an object that holds the item's id."""


PLAIN = Reading()


def texts_of(asked: Asked, reading: Reading) -> tuple[list[str], Candidates]:
    """Text (C,) of each document, and the documents as candidates.

    An item that the catalog knows counts with all that is known of it, every other document with
    its text, and an object with its category and brand; its fields count for filters and rules. One
    call may mix them all.

    Raises:
        ValueError: `item_ids` does not fit the documents.
    """
    sent, ids = asked.documents, asked.extras.item_ids
    if ids is not None and len(ids) != len(sent):
        raise ValueError(
            f"{len(ids)} item_ids for {len(sent)} documents, expected one for each, null for none"
        )
    documents = [_opened(each) for each in sent] if "json" in reading.documents else sent
    objects = {n: each for n, each in enumerate(documents) if isinstance(each, dict)}
    texts: list[str] = [each if isinstance(each, str) else "" for each in documents]
    names = list(texts) if "id" in reading.documents else [""] * len(texts)
    wordings = list(map(Wording, texts))
    for place, told in objects.items():
        texts[place], wordings[place] = worded(told, asked.fields, reading.id_field)
        names[place] = named(told.get(reading.id_field))
    if ids is not None:
        names = [named(told) or name for told, name in zip(ids, names, strict=True)]
    return texts, Candidates(
        item_ids=tuple(map(ItemId, names)), texts=dict(enumerate(wordings)), attributes=objects
    )


def named(told: object) -> str:
    """An id as text; engines that keep ids as numbers mean the same item."""
    return str(told) if isinstance(told, str | int) and not isinstance(told, bool) else ""


def worded(told: Mapping[str, Any], fields: Sequence[str], id_field: str) -> tuple[str, Wording]:
    """The text of an object, and the object in the words of an item.

    The text are the fields asked for, else its `text`, else all of its values. In the words of an item,
    category and brand stand apart, if they are texts and no other fields are asked for.
    """
    keys = fields or (("text",) if "text" in told else [key for key in told if key != id_field])
    said = {key: one if isinstance(one := told.get(key), str) else " ".join(_words([one])) for key in keys}
    apart = {
        name: one for name in NAMED
        if isinstance(one := told.get(name), str) and one and (not fields or name in fields)
    }  # fmt: skip
    text = " ".join([part for part in said.values() if part])
    if not apart:
        return text, Wording(text)
    title = " ".join([part for key, part in said.items() if part and key not in apart])
    return text, Wording(title, **apart)


def _words(values: Iterable[object]) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, dict):
            found += _words(value.values())
        elif isinstance(value, list):
            found += _words(value)
        elif value is not None and not isinstance(value, bool):
            found.append(str(value))
    return found


def _opened(document: Document) -> Document:
    """The object inside a text that is one; any other document as it is."""
    if not isinstance(document, str) or document.lstrip()[:1] != "{":
        return document
    try:
        return msgspec.json.decode(document, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return document
