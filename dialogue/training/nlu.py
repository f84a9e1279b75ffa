"""The `nlu` section: examples of intents, synonyms, regular expressions, lookup tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from dialogue.errors import Where
from dialogue.training.annotations import read_annotated
from dialogue.training.nodes import (
    Listing,
    Node,
    Scalar,
    describe,
    is_empty,
    is_mapping,
    plain,
    read_fields,
    read_items,
    read_text,
    shorten,
)
from dialogue.training.types import Draft, Example, Regex

KINDS = ("intent", "synonym", "regex", "lookup")
KEYS = (*KINDS, "examples", "metadata")
NO_METADATA: Mapping[str, Any] = MappingProxyType({})


def read_nlu(section: Node, draft: Draft) -> None:
    """Read the list under `nlu:` into the draft."""
    for item in read_items(section, "nlu", draft.report):
        fields = read_fields(item, "an nlu item", KEYS, draft.report)
        kinds = [kind for kind in KINDS if kind in fields]
        if not is_mapping(item):
            continue
        if len(kinds) != 1:
            wanted = f"expected one of {', '.join(KINDS)}, got {' and '.join(kinds) or 'none of them'}"
            draft.report.error(item.where, f"an nlu item: {wanted}")
            continue
        name = read_text(fields[kinds[0]], kinds[0], draft.report)
        if name is None:
            continue
        if "examples" not in fields:
            draft.report.warning(item.where, f"{kinds[0]} {name!r} has no examples")
        else:
            _read_item(kinds[0], name, fields, draft)


def _read_item(kind: str, name: str, fields: Mapping[str, Node], draft: Draft) -> None:
    where = fields[kind].where
    if kind == "intent":
        _read_intent(name, fields, draft)
    elif kind == "synonym":
        for place, text, _ in _texts(fields["examples"], draft):
            learn_synonym(text, name, place, draft)
    elif kind == "regex":
        for place, pattern, _ in _texts(fields["examples"], draft):
            _read_regex(name, pattern, place, draft)
    else:
        found = [text for _, text, _ in _texts(fields["examples"], draft)]
        draft.lookups.setdefault(name, []).extend(found)
        if not found:
            draft.report.warning(where, f"lookup {name!r} is empty")


def _read_intent(name: str, fields: Mapping[str, Node], draft: Draft) -> None:
    draft.refer("intent", name, fields["intent"].where)
    shared = {"intent": plain(fields["metadata"])} if "metadata" in fields else {}
    for place, text, metadata in _texts(fields["examples"], draft):
        sentence, entities = read_annotated(text, place, draft.report)
        for entity in entities:
            draft.refer("entity", entity.entity, replace(place, column=place.column + text.find("[")))
            marked = sentence[entity.start : entity.end]
            if entity.value != marked:
                learn_synonym(marked, str(entity.value), place, draft)
        about = {**shared, "example": metadata} if metadata is not None else shared
        draft.examples.append(
            Example(sentence, name, entities, place, MappingProxyType(about) if about else NO_METADATA)
        )


def learn_synonym(text: str, value: str, where: Where, draft: Draft) -> None:
    """Note that an extracted `text` stands for `value`. The first of two values wins, with a warning."""
    known, first = draft.synonyms.setdefault(text, (value, where))
    if known != value:
        message = f"{text!r} is a synonym of {value!r} here, but of {known!r} in {first}; the first one is kept"
        draft.report.warning(where, message)


def _read_regex(name: str, pattern: str, where: Where, draft: Draft) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as cause:
        draft.report.error(where, f"regex {name!r}: {pattern!r} is not a regular expression: {cause}")
    else:
        draft.regexes.append(Regex(name, pattern, where))


def _texts(examples: Node, draft: Draft) -> Iterator[tuple[Where, str, Any]]:
    """Each example with its place and its own metadata (None for none)."""
    if isinstance(examples, Listing):
        for item in examples.items:
            yield from _listed(item, draft)
    elif isinstance(examples, Scalar) and isinstance(examples.value, str):
        if examples.style == ">":
            draft.report.warning(examples.where, "examples: `>` joins the lines to one example; write `|`")
        for where, line in examples.lines():
            yield from _dashed(where, line, draft)
    elif not is_empty(examples):
        message = f"examples: expected lines that begin with `- `, or a list, got {describe(examples)}"
        draft.report.error(examples.where, message)


def _dashed(where: Where, line: str, draft: Draft) -> Iterator[tuple[Where, str, Any]]:
    """One line of an `examples: |` block."""
    item = line.strip()
    if not item:
        return
    if not item.startswith("-"):
        draft.report.warning(where, f"ignored, because it does not begin with `- `: {shorten(item)!r}")
        return
    text = item[1:].strip()
    if not text:
        draft.report.warning(where, "the example is empty")
        return
    yield replace(where, column=where.column + line.index("-") + 1 + item[1:].index(text)), text, None


def _listed(item: Node, draft: Draft) -> Iterator[tuple[Where, str, Any]]:
    """One item of an `examples:` list: a text, or a mapping with text and metadata."""
    single = isinstance(item, Scalar)
    fields = {"text": item} if single else read_fields(item, "an example", ("text", "metadata"), draft.report)
    if "text" not in fields:
        if is_mapping(item):
            draft.report.error(item.where, "an example: the key text is missing")
        return
    text = read_text(fields["text"], "an example", draft.report)
    if text is not None:
        metadata = plain(fields["metadata"]) if "metadata" in fields else None
        yield _first_character(fields["text"]), text, metadata


def _first_character(node: Node) -> Where:
    """Where the text of a scalar begins: after its quote, or in the first line of its block that is not blank."""
    if isinstance(node, Scalar) and node.style == "|":
        for where, line in node.lines():
            if line.strip():
                return replace(where, column=where.column + len(line) - len(line.lstrip()))
    quoted = isinstance(node, Scalar) and node.style in ("'", '"')
    return replace(node.where, column=node.where.column + int(quoted))
