"""What a person says to the bot and what the bot says back."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from typing_extensions import Self

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a user. `id` is the channel's own where it has one: it makes redelivery harmless."""

    text: str
    sender: str = "default"
    channel: str = "cmdline"
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    time: float = field(default_factory=time.time)
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Button:
    """A choice to press: what the user sees and what is sent (an intent shortcut `/name{...}` or a text).

    `extra` is what else was written of it, such as `type` and `url`, for clients that know what to do with it.
    """

    title: str
    payload: str
    extra: Mapping[str, Any] = field(default_factory=lambda: EMPTY, compare=False)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Self:
        """From a mapping. One without a payload sends its link or, having none, its title."""
        payload = written.get("payload") or written.get("url") or written.get("title", "")
        extra = {key: value for key, value in written.items() if key not in ("title", "payload")}
        return cls(str(written.get("title", "")), str(payload), extra)

    def as_dict(self) -> dict[str, Any]:
        """As it is sent to clients."""
        return {"title": self.title, "payload": self.payload, **self.extra}


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the bot. Only what is set is sent; a channel degrades what it cannot show."""

    text: str | None = None
    buttons: tuple[Button, ...] = ()
    image: str | None = None
    attachment: Mapping[str, Any] | str | None = None
    custom: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    @property
    def hands_over(self) -> bool:
        """Whether a person takes over after it: `handoff` is set in its metadata or, by a response, under custom."""
        return bool(self.metadata.get("handoff") or (self.custom or {}).get("handoff"))

    def as_dict(self) -> dict[str, Any]:
        """The keys of Rasa's REST channel, without the empty ones."""
        shown: dict[str, Any] = {}
        if self.text is not None:
            shown["text"] = self.text
        if self.buttons:
            shown["buttons"] = [button.as_dict() for button in self.buttons]
        for key in ("image", "attachment", "custom"):
            if (value := getattr(self, key)) is not None:
                shown[key] = value
        return shown
