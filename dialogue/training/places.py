"""From what a schema finds wrong to the place in the file; environment variables in values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from dialogue.errors import Problem, Where, error, nearest, suggestion
from dialogue.training.nodes import Entry, Listing, Node, Report, Scalar, Table, describe
from dialogue.training.yaml import resolve

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-?([^{}]*))?\}")  # a default as shells write it, too


def substitute(node: Table, report: Report, *, quoted: bool = True) -> Table:
    """The same file with `${NAME}` and `${NAME:default}`, or `${NAME:-default}`, replaced in every value.

    Reports unset names.

    Args:
        node: the file.
        report: gets the names that are not set.
        quoted: whether texts in quotes and blocks are values, too; in training data they are what people say.
    """
    replaced = _substitute(node, report, quoted)
    return replaced if isinstance(replaced, Table) else node


def _substitute(node: Node, report: Report, quoted: bool) -> Node:
    if isinstance(node, Table):
        entries = {
            key: Entry(entry.where, _substitute(entry.value, report, quoted)) for key, entry in node.entries.items()
        }
        return replace(node, entries=entries)
    if isinstance(node, Listing):
        return replace(node, items=tuple(_substitute(item, report, quoted) for item in node.items))
    if "${" not in node.text or (node.style and not quoted):
        return node

    def fill(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        value: str | None = os.environ.get(name, default)
        if value is None:
            message = f"environment variable {name} is not set; set it or write ${{{name}:default}}"
            report.error(node.where, message)
            return match.group()
        return value

    text = _VARIABLE.sub(fill, node.text)
    return replace(node, text=text, value=text if node.style else resolve(text))


def find_node(tree: Node, keys: Sequence[str | int]) -> Node | None:
    """What stands under these keys, or None."""
    node: Node | None = tree
    for key in keys:
        if isinstance(node, Table) and str(key) in node.entries:
            node = node.entries[str(key)].value
        elif isinstance(node, Listing) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
        else:
            return None
    return node


def place_of(tree: Node, keys: Sequence[str | int]) -> Where:
    """The place of the key that names this value, or of the nearest thing around it that is written."""
    where, node = tree.where, tree
    for key in keys:
        if isinstance(node, Table) and str(key) in node.entries:
            where, node = node.entries[str(key)].where, node.entries[str(key)].value
        elif isinstance(node, Listing) and isinstance(key, int) and key < len(node.items):
            node = node.items[key]
            where = node.where
        else:
            break
    return where


def schema_problems(cause: ValidationError, tree: Node, schema: type[BaseModel]) -> Iterator[Problem]:
    """What a schema found wrong with `plain(tree)`, each with its place, what was expected and the nearest key."""
    for found in cause.errors(include_url=False, include_input=False):
        keys = tuple(found["loc"])
        path = ".".join(str(key) for key in keys)
        if found["type"] == "extra_forbidden":
            known = _known_keys(schema, keys[:-1])
            yield error(place_of(tree, keys), f"unknown key {path!r}{suggestion(str(keys[-1]), known, at_most=30)}")
        elif found["type"] == "missing":
            yield error(place_of(tree, keys), f"the key {path!r} is missing")
        else:
            node = find_node(tree, keys) or _bare(find_node(tree, keys[:-1]))
            if isinstance(node, Scalar) and _VARIABLE.search(node.text):
                continue  # a variable that is not set was told already
            got = f", got {describe(node)}" if node and found["type"] != "value_error" else ""
            where = node.where if node else place_of(tree, keys)
            expected = _expected(found["msg"])
            if found["type"] == "model_type" and (known := _known_keys(schema, keys)):
                expected = f"expected a section with keys such as {', '.join(known[:4])}"
            yield error(where, f"{path}: {expected}{got}{_nearest_literal(found.get('ctx', {}), node)}")


def _expected(message: str) -> str:
    """A schema's message in the words of this project."""
    if "pattern '^https?://" in message:
        return "expected a URL that begins with http:// or https://"
    return re.sub(r"^(Value error, |Input |String |List |Dictionary )", "", message)


def _bare(node: Node | None) -> Node | None:
    """The node if it is a single value: a part written as a bare name."""
    return node if isinstance(node, Scalar) else None


def _nearest_literal(context: Mapping[str, Any], node: Node | None) -> str:
    allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    close = nearest(node.text, allowed) if isinstance(node, Scalar) else None
    return f"; did you mean {close!r}?" if close else ""


def _known_keys(schema: type[BaseModel], keys: Sequence[str | int]) -> Sequence[str]:
    """The keys a schema knows under `keys`."""
    for key in keys:
        inner = schema.model_fields.get(str(key))
        candidates = (inner.annotation, *get_args(inner.annotation)) if inner else ()
        models = [one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            return ()
        schema = models[0]
    return tuple(schema.model_fields)
