"""The markdown of a reply in a platform's dialect: bold, italics, code and links; all else is plain text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from enum import Enum


class Markup(str, Enum):
    """A platform's dialect."""

    PLAIN = "plain"  # none: marks are taken away
    MARKDOWN = "markdown"  # as it was written
    SLACK = "slack"  # *bold* _italics_ <url|label>
    WHATSAPP = "whatsapp"  # *bold* _italics_
    HTML = "html"  # <b> <i> <code> <a>


# Bounded repetition and no nesting: the time is linear whatever a text holds.
_MARKS = re.compile(
    r"(?P<bare>https?://[^\s<>]+)"
    r"|\[(?P<label>[^\[\]\n]{1,300})\]\((?P<url>https?://[^\s()<>]{1,2000})\)"
    r"|`(?P<code>[^`\n]{1,300})`"
    r"|\*\*(?P<bold>[^*\s](?:[^*\n]{0,300}[^*\s])?)\*\*"
    r"|(?<![\w*])\*(?P<star>[^*\s](?:[^*\n]{0,300}[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<line>[^_\s](?:[^_\n]{0,300}[^_\s])?)_(?!\w)"
)


def convert(text: str, markup: Markup) -> str:
    """A text with markdown in another dialect; what means something there by accident is escaped."""
    if markup is Markup.MARKDOWN:
        return text
    escape = _ESCAPES.get(markup, str)
    parts, end = [], 0
    for found in _MARKS.finditer(text):
        parts += [escape(text[end : found.start()]), _mark(found, markup, escape)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def _mark(found: re.Match[str], markup: Markup, escape: Callable[[str], str]) -> str:
    marks = {name: escape(text) for name, text in found.groupdict().items() if text is not None}
    if "bare" in marks:
        return marks["bare"]
    if "url" in marks:
        return _LINKS[markup].format(label=marks["label"], url=marks["url"])
    name, text = next(iter(marks.items()))
    before, after = _AROUND[markup][{"star": "italics", "line": "italics"}.get(name, name)]
    return before + text + after


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_ESCAPES: Mapping[Markup, Callable[[str], str]] = {Markup.SLACK: _slack, Markup.HTML: html.escape}
_LINKS: Mapping[Markup, str] = {
    Markup.PLAIN: "{label}: {url}",
    Markup.WHATSAPP: "{label}: {url}",
    Markup.SLACK: "<{url}|{label}>",
    Markup.HTML: '<a href="{url}">{label}</a>',
}
_AROUND: Mapping[Markup, Mapping[str, tuple[str, str]]] = {
    Markup.PLAIN: {"bold": ("", ""), "italics": ("", ""), "code": ("", "")},
    Markup.WHATSAPP: {"bold": ("*", "*"), "italics": ("_", "_"), "code": ("```", "```")},
    Markup.SLACK: {"bold": ("*", "*"), "italics": ("_", "_"), "code": ("`", "`")},
    Markup.HTML: {"bold": ("<b>", "</b>"), "italics": ("<i>", "</i>"), "code": ("<code>", "</code>")},
}
