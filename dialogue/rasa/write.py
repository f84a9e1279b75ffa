"""A bot.yml that says what a Rasa project says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from dialogue.rasa.found import Row
from dialogue.rasa.project import Translation
from dialogue.training.nodes import Listing, Node, Scalar, Table, shorten
from dialogue.training.yaml import resolve

PATHS = ("data", "actions", "nlg", "duckling")
HEADER = """\
# Written by `starfold init --from-rasa` from the files of a Rasa project; from now on this file counts, not those.
# `starfold init` writes an example with every option explained. What became of each part:
#
"""


def bot_yml(translation: Translation, way: str = "") -> str:
    """The text of the file.

    Args:
        translation: what it says.
        way: from the file's folder to the Rasa project, put before every path.
    """
    top = [(key, entry.value) for key, entry in translation.tree.entries.items()]
    lines = [line for key, node in top for line in _lines(key, _moved(node, way) if key in PATHS else node)]
    return HEADER + "".join(f"# {line}\n" for line in _told(translation.rows)) + "\n" + "\n".join(lines) + "\n"


def _moved(node: Node, way: str) -> Node:
    """A list of paths, or the paths of a server's certificates and of a file of actions, seen from elsewhere."""
    if isinstance(node, Table):
        entries = {
            key: replace(entry, value=_moved(entry.value, way)) if key in ("file", "cafile") else entry
            for key, entry in node.entries.items()
        }
        return replace(node, entries=entries)
    if isinstance(node, Listing):
        return Listing(node.where, tuple(_moved(item, way) for item in node.items))
    path = node.text if PurePath(node.text).is_absolute() else way + node.text
    return Scalar(node.where, path, path, '"')


def _told(rows: tuple[Row, ...]) -> Iterator[str]:
    """The rows in columns, each on a line of its own."""
    names = max((len(shorten(row.name)) for row in rows), default=0)
    places = max((len(row.here or "-") for row in rows), default=0)
    for row in rows:
        remark = shorten(row.remark, 400)
        yield f"{shorten(row.name):<{names}}  {row.here or '-':<{places}}  {remark}".rstrip()


def _lines(key: str, node: Node, indent: str = "") -> Iterator[str]:
    """A key with its value: mappings of mappings and lists of mappings in blocks, the rest on one line."""
    if isinstance(node, Table) and any(isinstance(entry.value, Table) for entry in node.entries.values()):
        yield f"{indent}{_word(key)}:"
        for inner, entry in node.entries.items():
            yield from _lines(inner, entry.value, indent + "  ")
    elif isinstance(node, Listing) and any(isinstance(item, Table) for item in node.items):
        yield f"{indent}{_word(key)}:"
        yield from (f"{indent}  - {_flow(item)}" for item in node.items)
    else:
        yield f"{indent}{_word(key)}: {_flow(node)}"


def _flow(node: Node) -> str:
    if isinstance(node, Table):
        inside = ", ".join(f"{_word(key)}: {_flow(entry.value)}" for key, entry in node.entries.items())
        return f"{{{inside}}}"
    if isinstance(node, Listing):
        return f"[{', '.join(map(_flow, node.items))}]"
    return _word(node.value) if isinstance(node.value, str) else node.text or "null"


def _word(text: str) -> str:
    """A text as it is where that cannot be misread, else in quotes."""
    safe = re.fullmatch(r"[A-Za-z](\w|[./-])*", text, re.ASCII) and resolve(text) == text
    return text if safe else json.dumps(text, ensure_ascii=False)
