"""The button that a typed answer means: its title, or its number where the buttons were shown as a numbered list."""

from __future__ import annotations

from collections.abc import Sequence

from dialogue.channels.degrade import Look, numbered, shorten, shortened
from dialogue.events import BotUttered, Event, UserUttered
from dialogue.message import Button, Reply


def chosen(text: str, events: Sequence[Event], look: Look | None) -> str | None:
    """The payload of the button that a message means, or None when it means none.

    A function of the conversation alone, so that it is the same on every server and after a restart.

    Args:
        text: the message.
        events: of the conversation, before this message.
        look: what the channel can show; None when it shows no buttons.
    """
    asked = offered(events)
    if asked is None:
        return None
    said = text.strip().casefold()
    for button in asked.buttons:
        titles = {button.title, shorten(button.title, look.title) if look is not None else button.title}
        if said in {title.strip().casefold() for title in titles if title.strip()}:
            return button.payload
    listed = look is None or not shortened(asked, look)
    number = said.strip(".)(# ")
    if not listed or not number.isdecimal() or len(number) > 3:
        return None
    choices: Sequence[Button] = numbered(asked.buttons)
    return choices[int(number) - 1].payload if 1 <= int(number) <= len(choices) else None


def offered(events: Sequence[Event]) -> Reply | None:
    """The bot's last message with buttons, unless the user has said something since."""
    for event in reversed(events):
        if isinstance(event, UserUttered):
            return None
        if isinstance(event, BotUttered):
            buttons = tuple(map(Button.of, event.data.get("buttons") or ()))
            if buttons:
                return Reply(text=event.text, buttons=buttons)
    return None
