"""What pages are built of. Every text is escaped where it is put in; nothing is loaded and no script runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from dialogue.report.style import page_style
from dialogue.report.svg import Plot

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def document(title: str, told: str, tiles: Iterable[str], sections: Iterable[str]) -> str:
    """The whole page."""
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{page_style()}</style>\n</head>\n<body>",
            f"<header>\n<h1>{escape(title)}</h1>\n<p>{escape(told)}</p>\n</header>\n<main>",
            f'<ul class="tiles">{"".join(tiles)}</ul>',
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )


def tile(what: str, value: str, note: str = "") -> str:
    """A number that matters."""
    parts = (("what", what), ("value", value), ("note", note))
    inner = "".join(f'<span class="{kind}">{escape(words)}</span>' for kind, words in parts if words)
    return f"<li>{inner}</li>\n"


def section(title: str, told: str, *parts: str, half: bool = False) -> str:
    """A part of the page: a heading, what is to be seen, and what there is. Two halves stand beside each other."""
    opening = '<section class="half">' if half else "<section>"
    intro = f"<p>{escape(told)}</p>\n" if told else ""
    return f"{opening}\n<h2>{escape(title)}</h2>\n{intro}{''.join(parts)}</section>"


def heading(words: str) -> str:
    """A heading inside a section."""
    return f"<h3>{escape(words)}</h3>\n"


def remark(words: str) -> str:
    """A sentence beside what is shown."""
    return f'<p class="dim">{escape(words)}</p>\n'


def columns(*parts: str) -> str:
    """Parts beside each other where there is room."""
    return f'<div class="columns">{"".join(f"<div>{part}</div>" for part in parts)}</div>\n'


def figure(plot: Plot, caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A plot, what it shows, and its numbers as a table for who does not see it."""
    shown = details("The numbers", table(heads, rows, plot.title))
    return f"<figure>\n{plot}\n<figcaption>{escape(caption)}</figcaption>\n{shown}</figure>\n"


def details(summary: str, inner: str) -> str:
    """Something that opens."""
    return f'<details class="more"><summary>{escape(summary)}</summary>\n{inner}</details>\n'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], name: str) -> str:
    """A table; its first column names the row, the others hold numbers."""
    kinds = ["", *[' class="number"'] * (len(heads) - 1)]
    head = "".join(f'<th scope="col"{kind}>{escape(words)}</th>' for kind, words in zip(kinds, heads, strict=True))
    body = "\n".join(
        f"<tr>{''.join(f'<td{kind}>{escape(words)}</td>' for kind, words in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    label = escape(name, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}: numbers"><table>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )


def sentences(items: Iterable[tuple[str, str, str]]) -> str:
    """Messages, each with what is to be said of it and where it stands."""
    return f'<ul class="said">{"".join(_sentence(*item) for item in items)}</ul>\n'


def _sentence(text: str, told: str, where: str) -> str:
    place = f" <code>{escape(where)}</code>" if where else ""
    return f"<li>{escape(text) or '<em>empty</em>'}<small>{escape(told)}{place}</small></li>"


def listed(items: Sequence[tuple[str, str, str]], most: int) -> str:
    """The first of the messages, and the rest where one looks for it."""
    rest = details(f"{len(items) - most} more", sentences(items[most:])) if len(items) > most else ""
    return sentences(items[:most]) + rest


def pairs(inner: str) -> str:
    """A list of `pair`."""
    return f'<ol class="pairs">\n{inner}</ol>\n'


def pair(truth: str, guess: str, count: int, of: int, inner: str, *, opened: bool) -> str:
    """Two intents that are confused, with a bar, and the messages inside."""
    names = f'<span class="names"><b>{name(truth)}</b> taken for <b>{name(guess)}</b></span>'
    bar = f'<span class="share"><i style="width: {count / of:.1%}"></i></span>'
    summary = f'<summary>{names}<span class="much">{count} of {of}</span>{bar}</summary>'
    return f"<li><details{' open' if opened else ''}>{summary}\n{inner}</details></li>\n"


def name(words: str) -> str:
    """The name of an intent, which may be broken where its words meet."""
    return re.sub("([_/])", r"\1<wbr>", escape(words))
