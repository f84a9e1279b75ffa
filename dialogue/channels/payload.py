"""Reading what a platform sent: JSON, forms and XML whose shape nobody vouches for, made safe to keep.

Texts come out without NUL and without half a surrogate pair, which no database keeps. What has another shape than
expected is read as nothing; only what is no JSON, form or XML at all is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from dialogue.channels.base import Address, Heard, RefusedError
from dialogue.message import EMPTY, Message

LONGEST_ID = 128  # characters of a platform's id that are kept as they are
MOST_FIELDS = 1000


def read_json(body: bytes) -> Mapping[str, Any]:
    """The JSON object of a body.

    Raises:
        RefusedError: status 400, if it is none.
    """
    try:
        found = _clean(json.loads(body))
    except (ValueError, RecursionError) as problem:
        raise RefusedError("the body is not JSON", 400) from problem
    if not isinstance(found, dict):
        raise RefusedError(f"expected a JSON object, got {type(found).__name__}", 400)
    return found


def read_form(body: bytes) -> dict[str, str]:
    """The fields of a form; of a repeated one the last.

    Raises:
        RefusedError: status 400, if it is none.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS)
    except ValueError as problem:
        raise RefusedError("the body is not a form", 400) from problem
    return {clean(key): clean(value) for key, value in pairs}


def read_xml(body: bytes) -> dict[str, str]:
    """The texts of an XML document of one level, such as WeChat's.

    Raises:
        RefusedError: status 400, if it is none, or declares entities, which could grow without end.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise RefusedError("the XML has a document type, expected none", 400)
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 (no document type, so no entities)
    except (ElementTree.ParseError, ValueError, LookupError) as problem:
        raise RefusedError("the body is not XML", 400) from problem
    return {child.tag: clean(child.text or "") for child in root}


def at(value: Any, *path: str | int) -> Any:
    """What stands under a path of keys and indices, or None where there is no such place."""
    for key in path:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str:
    """A text under a path; nothing where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def id_at(value: Any, *path: str | int) -> str:
    """An id under a path, as a text, also where the platform writes a number; nothing where there is none."""
    found = at(value, *path)
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""


def list_at(value: Any, *path: str | int) -> list[Any]:
    """A list under a path; an empty one where there is none."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def heard(
    channel: str, conversation: str, message: str, text: str, address: Address, metadata: Mapping[str, Any] = EMPTY
) -> tuple[Heard, ...]:
    """A message, or none when nothing was said or the platform's ids are missing.

    Args:
        channel: name of the channel.
        conversation: the platform's id of it; the sender is that with the channel's name before it.
        message: the platform's id of the message.
        text: what was said.
        address: where replies go.
        metadata: what else is known of it.
    """
    if not (conversation and message and text.strip()):
        return ()
    said = Message(
        text, sender=f"{channel}:{_short(conversation)}", channel=channel, id=_short(message), metadata=metadata
    )
    return (Heard(said, address),)


def same(given: str, expected: str) -> bool:
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8", "replace"))


def fresh(timestamp: str, now: float, seconds: float) -> bool:
    """Whether a time in seconds since 1970, as written in a header, is no further away than so many seconds."""
    written = timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12
    return written and abs(now - int(timestamp)) <= seconds


def clean(text: str) -> str:
    """A text without NUL and half surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError(f"{value} is no JSON")
    return value


def _short(name: str) -> str:
    """An id that a database can index: a very long one as its digest."""
    return name if len(name) <= LONGEST_ID else hashlib.sha256(name.encode()).hexdigest()
