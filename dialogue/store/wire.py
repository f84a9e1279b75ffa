"""Names, messages and replies as the tables keep them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dialogue.errors import StoreError
from dialogue.message import Button, Message, Reply

_LONGEST_NAME = 512
_NEVER_KEPT = re.compile("[\0\ud800-\udfff]")
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def check(what: str, name: str) -> str:
    """`name`, if a database can keep it and an index find it. Raises `StoreError` if not."""
    if not 0 < len(name) <= _LONGEST_NAME or _NEVER_KEPT.search(name):
        raise StoreError(
            f"{what}: expected 1 to {_LONGEST_NAME} characters, no NUL, no half surrogate, got {name!r:.80}"
        )
    return name


def to_json(value: Any, what: str) -> str:
    """ASCII JSON: PostgreSQL's own JSON types refuse texts with a NUL. Raises `StoreError` for what is no JSON."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} cannot be kept as JSON: {error}") from error


def plain_reply(reply: Reply) -> dict[str, Any]:
    """A reply with its metadata."""
    return {**reply.as_dict(), "metadata": dict(reply.metadata)} if reply.metadata else reply.as_dict()


def read_reply(data: Mapping[str, Any]) -> Reply:
    """What `plain_reply` made."""
    return Reply(**{**data, "buttons": tuple(map(Button.of, data.get("buttons", ())))})


def plain_message(message: Message) -> dict[str, Any]:
    """A message for JSON."""
    return {name: getattr(message, name) for name in ("text", "sender", "channel", "id", "time")} | {
        "metadata": dict(message.metadata)
    }


def read_message(data: Mapping[str, Any]) -> Message:
    """What `plain_message` made."""
    return Message(**data)
