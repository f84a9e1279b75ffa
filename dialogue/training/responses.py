"""The `responses` section, in a domain or beside the examples."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dialogue.domain import ResponseCondition, ResponseVariation
from dialogue.training.nodes import (
    Listing,
    Node,
    Scalar,
    Table,
    describe,
    is_empty,
    is_mapping,
    plain,
    read_entries,
    read_fields,
    read_items,
    read_text,
)
from dialogue.training.types import Draft

TEXTS = ("text", "image", "button_type", "channel", "id")
LISTS = ("buttons", "quick_replies", "elements", "condition")
FREE = ("custom", "attachment", "metadata")
KEYS = (*TEXTS, *LISTS, *FREE)
CONTENT = ("text", "image", "buttons", "quick_replies", "elements", "custom", "attachment")


def read_responses(section: Node, draft: Draft) -> None:
    """`responses:` a mapping from names to lists of variations."""
    for name, entry in read_entries(section, "responses", draft.report).items():
        what = f"response {name!r}"
        items = read_items(entry.value, what, draft.report)
        variations = tuple(_read_variation(item, what, draft) for item in items)
        if not items and (isinstance(entry.value, Listing) or is_empty(entry.value)):
            draft.report.error(entry.where, f"{what} has no variations")
        if items and draft.responses.get(name):
            first = draft.responses[name][0].where
            draft.report.warning(entry.where, f"{what} is written twice; first in {first}, which is kept")
        else:  # also one with an error, so that nobody who names it is told that there is none
            draft.responses[name] = variations or draft.responses.get(name, ())


def _read_variation(node: Node, what: str, draft: Draft) -> ResponseVariation:
    written = read_fields(node, what, KEYS, draft.report)
    fields = {key: value for key, value in written.items() if not is_empty(value)}
    if isinstance(node, Table) and len(written) == len(node.entries) and not any(key in fields for key in CONTENT):
        draft.report.error(node.where, f"{what}: a variation with nothing to say; expected text, image or another part")
    texts = {key: _read_words(fields[key], f"{key} of {what}", draft) for key in TEXTS if key in fields}
    buttons, replies, elements, conditions = (
        read_items(fields[key], f"{key} of {what}", draft.report) if key in fields else () for key in LISTS
    )
    custom, attachment, metadata = (plain(fields[key]) if key in fields else None for key in FREE)
    return ResponseVariation(
        **texts,
        custom=custom,
        buttons=tuple(_read_button(item, draft) for item in buttons),
        quick_replies=tuple(plain(item) for item in replies),
        attachment=attachment,
        elements=tuple(plain(item) for item in elements),
        condition=tuple(_read_condition(item, draft) for item in conditions),
        metadata=metadata,
        where=node.where,
    )


def _read_words(node: Node, what: str, draft: Draft) -> str | None:
    """A text exactly as written, blanks at its ends included; nothing may be said, too."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and not node.text.strip():
        return node.text
    found = read_text(node, what, draft.report)
    return node.text if found is not None and isinstance(node, Scalar) else None


def _read_button(node: Node, draft: Draft) -> Mapping[str, Any]:
    """`title` is required; `payload` and whatever a channel understands may stand beside it."""
    entries = read_entries(node, "a button", draft.report)
    if is_mapping(node) and "title" not in entries:
        draft.report.error(node.where, "a button: the key title is missing")
    for key in ("title", "payload"):
        if key in entries:
            read_text(entries[key].value, f"{key} of a button", draft.report)
    return MappingProxyType({key: plain(entry.value) for key, entry in entries.items()})


def _read_condition(node: Node, draft: Draft) -> ResponseCondition:
    fields = read_fields(node, "a condition of a response", ("type", "name", "value"), draft.report)
    if not is_mapping(node):
        return ResponseCondition("", None)
    if missing := [key for key in ("type", "name", "value") if key not in fields]:
        draft.report.error(node.where, f"a condition of a response: {' and '.join(missing)} missing")
    elif plain(fields["type"]) != "slot":
        message = f"a condition of a response: expected type slot, got {describe(fields['type'])}"
        draft.report.error(fields["type"].where, message)
    name = read_text(fields["name"], "name of a condition", draft.report) if "name" in fields else None
    if name is not None:
        draft.refer("slot", name, fields["name"].where)
    return ResponseCondition(name or "", plain(fields["value"]) if "value" in fields else None)
