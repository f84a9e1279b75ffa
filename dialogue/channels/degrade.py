"""What each platform can show, in one table, and a reply cut to it.

Buttons that a platform cannot show become a numbered list, and `dialogue.channels.choices` finds the button of a typed
number; a text that is too long becomes several; an image that cannot be shown becomes its address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import regex

from dialogue.channels.markdown import Markup, convert
from dialogue.message import Button, Reply

logger = logging.getLogger(__name__)

Size = Callable[[str], int]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


@dataclass(frozen=True, slots=True)
class Look:
    """What a platform can show.

    Attributes:
        text: longest text of one message, in units of `size`, in the platform's own markup.
        buttons: most buttons of one message; 0 when it has none that could be pressed.
        title: longest title of a button, in characters.
        payload: longest payload of a button, in bytes.
        image: whether an image can be sent by its address.
        custom: whether a custom reply is sent as it stands, in the platform's own words.
        markup: its dialect of markdown.
        size: how it counts.
    """

    text: int
    buttons: int = 0
    title: int = 20
    payload: int = 256
    image: bool = False
    custom: bool = False
    markup: Markup = Markup.PLAIN
    size: Size = len


# As the platforms' pages say; where they name a limit in bytes that depends on the rest of a message, somewhat less.
LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "chatwoot": Look(20_000, 20, 100, 255, False, True, Markup.MARKDOWN),
        "dingtalk": Look(15_000, 0, 0, 0, False, True, Markup.MARKDOWN, _bytes),
        "discord": Look(2000, 25, 80, 100, True, True, Markup.MARKDOWN),
        "feishu": Look(20_000, 20, 60, 1000, False, True, Markup.PLAIN, _bytes),
        "line": Look(5000, 13, 20, 300, True, True, Markup.PLAIN, _utf16),
        "mail": Look(1_000_000),
        "messenger": Look(2000, 13, 20, 1000, True, True, Markup.PLAIN, _utf16),
        "slack": Look(2900, 25, 75, 2000, True, True, Markup.SLACK),
        "teams": Look(20_000, 6, 100, 2000, True, True, Markup.MARKDOWN, _bytes),
        "telegram": Look(4096, 100, 64, 64, True, True, Markup.HTML, _utf16),
        "twilio": Look(1600, image=True),
        "wechat": Look(2000, custom=True, size=_bytes),
        "wecom": Look(2000, custom=True, size=_bytes),
        "whatsapp": Look(1024, 10, 20, 200, True, True, Markup.WHATSAPP),
    }
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One message of a platform: a text with or without buttons, or an image, or what is in its own words.

    `text` is in the platform's markup and no longer than it takes; `buttons` are those it can show.
    """

    text: str = ""
    buttons: tuple[Button, ...] = ()
    image: str | None = None
    custom: Mapping[str, Any] | None = None


def pieces(reply: Reply, look: Look) -> tuple[Piece, ...]:
    """A reply as the messages a platform can show; none for a reply it cannot show anything of."""
    image, more = _attachment(reply)
    images = [source for source in (reply.image, image) if source]
    written = [reply.text or "", more, *([] if look.image else images)]
    shown = shortened(reply, look)
    if not shown:
        written += _listed(reply.buttons)
    else:
        written += [_link(button) for button in reply.buttons if is_link(button)]
    texts = split("\n".join(part for part in written if part.strip()), look)
    found = [Piece(image=source) for source in images if look.image]
    found += [Piece(text) for text in texts[:-1]] + [Piece(text, shown) for text in texts[-1:]]
    if (custom := _custom(reply)) is not None:
        if look.custom:
            found.append(Piece(custom=custom))
        else:
            logger.warning("a custom reply cannot be shown on this channel: its keys are %s", ", ".join(custom))
    return tuple(found)


def shortened(reply: Reply, look: Look) -> tuple[Button, ...]:
    """The buttons of a reply that the platform shows as such; none if they have to be listed."""
    buttons = tuple(
        replace(button, title=shorten(button.title, look.title)) for button in reply.buttons if not is_link(button)
    )
    titles = {button.title for button in buttons}
    alike = min(len(titles), len({button.payload for button in buttons})) < len(buttons)
    fits = len(buttons) <= look.buttons and not alike and "" not in titles
    fits = fits and all(0 < _bytes(button.payload) <= look.payload for button in buttons)
    return buttons if fits and (reply.text or "").strip() else ()


def numbered(buttons: Sequence[Button]) -> tuple[Button, ...]:
    """Those that get a number in a list, in its order. A link has none: there is nothing to say back."""
    return tuple(button for button in buttons if not is_link(button))


def is_link(button: Button) -> bool:
    """Whether it leads to a page instead of saying something."""
    return button.payload.startswith(("http://", "https://"))


def shorten(text: str, most: int) -> str:
    """A text of at most so many characters, an ellipsis for what is missing."""
    return text.strip() if len(text.strip()) <= most else text.strip()[: max(most - 1, 0)].rstrip() + "…"


def split(text: str, look: Look) -> list[str]:
    """A text in the platform's markup, in parts it takes: cut between paragraphs, lines, words, or else letters."""
    parts = []
    rest = text.strip()
    while rest:
        taken = _most(rest, look)
        if taken < len(rest):
            taken = _cut(rest, taken)
        parts.append(convert(rest[:taken].rstrip(), look.markup))
        rest = rest[taken:].lstrip()
    return [part for part in parts if part]


def _most(text: str, look: Look) -> int:
    """How many characters of a text fit, at least one."""
    low, high = 1, min(len(text), look.text)
    while low < high:
        middle = (low + high + 1) // 2
        if look.size(convert(text[:middle], look.markup)) <= look.text:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, most: int) -> int:
    """Where to cut a text, after at most so many characters: late, but not within a word or a letter with its marks."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, 0, most + 1)
        if place > most // 2:
            return place
    near = max(0, most - 64)
    ends = [near + found.end() for found in regex.finditer(r"\X", text[near : most + 64])]
    return max((end for end in ends if end <= most), default=most)


def _listed(buttons: Sequence[Button]) -> list[str]:
    lines = [f"{number}. {button.title}" for number, button in enumerate(numbered(buttons), 1)]
    return [*lines, *(_link(button) for button in buttons if is_link(button))]


def _link(button: Button) -> str:
    return f"{button.title}: {button.payload}" if button.title != button.payload else button.payload


def _attachment(reply: Reply) -> tuple[str, str]:
    """An attachment as an image's address, or as a text."""
    attached = reply.attachment
    if attached is None or isinstance(attached, str):
        return "", attached or ""
    payload = attached.get("payload")
    inside = payload if isinstance(payload, Mapping) else attached
    source = next((inside[key] for key in ("src", "url") if isinstance(inside.get(key), str)), "")
    if not source:
        logger.warning("an attachment without an address cannot be shown: its keys are %s", ", ".join(attached))
    return (source, "") if attached.get("type") == "image" else ("", source)


def _custom(reply: Reply) -> Mapping[str, Any] | None:
    """What is in the platform's own words: `handoff` is in ours."""
    own = {key: value for key, value in (reply.custom or {}).items() if key != "handoff"}
    return own or None
