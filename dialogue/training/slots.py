"""The `slots` section of a domain and the mappings that fill slots."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dialogue.domain import MAPPING_TYPES, SLOT_TYPES, MappingCondition, Slot, SlotMapping
from dialogue.errors import suggestion
from dialogue.training.nodes import (
    Entry,
    Node,
    Table,
    is_empty,
    is_mapping,
    plain,
    read_entries,
    read_fields,
    read_flag,
    read_items,
    read_label,
    read_number,
    read_text,
    read_texts,
)
from dialogue.training.old import MIGRATE
from dialogue.training.types import Draft

SLOT_KEYS = ("type", "influence_conversation", "initial_value", "values", "min_value", "max_value", "mappings")
PASSED_OVER = ("value_reset_delay", "auto_fill")
FORMER = {
    "auto_fill": "went with Rasa 2; write a mapping of type from_entity, or none",
    "unfeaturized": "type unfeaturized went with Rasa 2; write type any, or influence_conversation: false",
}
RASAS_OWN = "rasa.shared.core.slots."  # what Rasa writes for the types: the paths of their classes
CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "TextSlot": "text",
        "BooleanSlot": "bool",
        "CategoricalSlot": "categorical",
        "FloatSlot": "float",
        "ListSlot": "list",
        "AnySlot": "any",
        "UnfeaturizedSlot": "unfeaturized",
    }
)
CONTROLLED = "controlled"  # a `custom` mapping in Rasa Pro: an action or a button fills the slot
MODEL = "from_llm"  # a language model fills the slot in Rasa Pro, which nothing does here
MAPPING_KEYS = ("type", "entity", "role", "group", "value", "intent", "not_intent", "action", "conditions")
NEEDED = {"from_entity": ("entity",), "from_intent": ("value",), "from_trigger_intent": ("value",)}


def read_slots(section: Node, draft: Draft) -> None:
    """`slots:` a mapping from names to types, values and mappings."""
    for name, entry in read_entries(section, "slots", draft.report).items():
        slot = _read_slot(name, entry, draft)
        if name in draft.slots:
            first = draft.slots[name].where
            draft.report.warning(entry.where, f"slot {name!r} is declared twice; first in {first}, which is kept")
        elif slot is not None:
            draft.slots[name] = slot


def _read_slot(name: str, entry: Entry, draft: Draft) -> Slot | None:
    what = f"slot {name!r}"
    fields = _fields(entry.value, what, draft)
    if "auto_fill" in fields:
        draft.report.error(fields["auto_fill"].where, f"{what}: auto_fill {FORMER['auto_fill']}")
    if "type" not in fields:
        if is_mapping(entry.value):
            draft.report.error(entry.where, f"{what} has no type; expected one of {', '.join(SLOT_TYPES)}")
        return None
    kind = read_text(fields["type"], "type", draft.report)
    if kind is None:
        return None
    kind = _type_of(kind)
    if kind in FORMER:
        draft.report.error(fields["type"].where, f"{what}: {FORMER[kind]}; {MIGRATE}")
        kind = "any"
    if kind not in SLOT_TYPES and "." not in kind:
        draft.report.error(fields["type"].where, f"{what}: unknown type {kind!r}{suggestion(kind, SLOT_TYPES)}")
        return None
    numbers = {
        key: read_number(fields[key], key, draft.report, 0.0) for key in ("min_value", "max_value") if key in fields
    }
    influences = fields.get("influence_conversation")
    slot = Slot(
        name=name,
        type=kind,
        initial_value=plain(fields["initial_value"]) if "initial_value" in fields else None,
        influence_conversation=kind != "any"
        and (influences is None or read_flag(influences, "influence_conversation", draft.report, default=True)),
        values=tuple(plain(item) for item in _items(fields, "values", draft)),
        mappings=_mappings(fields, name, draft),
        where=entry.where,
        **numbers,
    )
    _check_values(slot, fields, draft)
    return slot


def _type_of(kind: str) -> str:
    """The type itself, or the type that a class of Rasa's own is."""
    return CLASSES.get(kind.removeprefix(RASAS_OWN), kind) if kind.startswith(RASAS_OWN) else kind


def _fields(node: Node, what: str, draft: Draft) -> Mapping[str, Node]:
    """The keys of a slot. A class of the project's own may have more; it is not loaded, and they are passed over."""
    written = read_entries(node, what, draft.report)
    if not written:
        return {}
    kind = plain(written["type"].value) if "type" in written else None
    if isinstance(kind, str) and "." in _type_of(kind):
        message = f"{what}: class {kind} is not loaded; values are kept as they come, and stories see them so"
        draft.report.warning(written["type"].where, message)
        return {key: entry.value for key, entry in written.items() if key in SLOT_KEYS}
    return read_fields(node, what, (*SLOT_KEYS, *PASSED_OVER), draft.report, strict=False)


def _items(fields: Mapping[str, Node], key: str, draft: Draft) -> tuple[Node, ...]:
    return read_items(fields[key], key, draft.report) if key in fields else ()


def _check_values(slot: Slot, fields: Mapping[str, Node], draft: Draft) -> None:
    if slot.type == "categorical" and not slot.values:
        draft.report.warning(slot.where, f"slot {slot.name!r} is categorical but has no values")
    if slot.min_value >= slot.max_value:
        message = f"slot {slot.name!r}: min_value {slot.min_value:g} is not below max_value {slot.max_value:g}"
        draft.report.error(slot.where, message)
    for key, types in (("values", ("categorical",)), ("min_value", ("float",)), ("max_value", ("float",))):
        if key in fields and slot.type in SLOT_TYPES and slot.type not in types:
            draft.report.warning(fields[key].where, f"slot {slot.name!r}: {key} means nothing for type {slot.type}")
    if "initial_value" in fields and not _fits(slot):
        message = f"slot {slot.name!r}: initial_value {slot.initial_value!r} is not of type {slot.type}"
        draft.report.warning(fields["initial_value"].where, message)


def _fits(slot: Slot) -> bool:
    """Whether the initial value is of the slot's type."""
    value: Any = slot.initial_value
    if value is None:
        return True
    if slot.type == "float":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if slot.type == "categorical":
        return str(value).casefold() in {str(one).casefold() for one in slot.values}
    expected = {"text": str, "bool": bool, "list": list}.get(slot.type)
    return expected is None or isinstance(value, expected)


def _mappings(fields: Mapping[str, Node], slot: str, draft: Draft) -> tuple[SlotMapping, ...]:
    """How a slot is filled. An empty list, other than none, says that only an action does."""
    written = [item for item in _items(fields, "mappings", draft) if not _is_of_a_model(item, slot, draft)]
    found = tuple(_read_mapping(item, slot, draft) for item in written)
    return found or ((SlotMapping("custom", where=fields["mappings"].where),) if "mappings" in fields else ())


def _is_of_a_model(node: Node, slot: str, draft: Draft) -> bool:
    """Whether it is a mapping of Rasa Pro's, which is passed over with a warning."""
    if not isinstance(node, Table) or "type" not in node.entries or plain(node.entries["type"].value) != MODEL:
        return False
    message = f"a mapping of slot {slot!r}: no language model fills slots here; write type from_entity or from_text"
    draft.report.warning(node.entries["type"].value.where, message)
    return True


def _read_mapping(node: Node, slot: str, draft: Draft) -> SlotMapping:
    what = f"a mapping of slot {slot!r}"
    fields = read_fields(node, what, MAPPING_KEYS, draft.report, strict=False)
    kind = read_text(fields["type"], "type", draft.report) if "type" in fields else None
    kind = "custom" if kind == CONTROLLED else kind
    if is_mapping(node) and "type" not in fields:
        draft.report.error(node.where, f"{what} has no type; expected one of {', '.join(MAPPING_TYPES)}")
    elif kind is not None and kind not in MAPPING_TYPES:
        draft.report.error(fields["type"].where, f"{what}: unknown type {kind!r}{suggestion(kind, MAPPING_TYPES)}")
    for key in NEEDED.get(kind or "", ()):
        if key not in fields:
            draft.report.error(node.where, f"{what}: type {kind} needs the key {key}")
    texts = {
        key: (read_label if key in ("role", "group") else read_text)(fields[key], f"{key} of {what}", draft.report)
        if key in fields and not is_empty(fields[key])
        else None
        for key in ("entity", "role", "group", "action")
    }
    if texts["entity"]:
        draft.refer("entity", texts["entity"], fields["entity"].where)
    return SlotMapping(
        type=kind or "",
        **texts,
        value=plain(fields["value"]) if "value" in fields else None,
        intents=_intents(fields.get("intent"), draft),
        not_intents=_intents(fields.get("not_intent"), draft),
        conditions=tuple(_read_condition(item, draft) for item in _items(fields, "conditions", draft)),
        where=node.where,
    )


def _intents(node: Node | None, draft: Draft) -> tuple[str, ...]:
    if node is None or is_empty(node):
        return ()
    found = read_texts(node, "intents of a mapping", draft.report)
    for name, where in found:
        draft.refer("intent", name, where)
    return tuple(name for name, _ in found)


def _read_condition(node: Node, draft: Draft) -> MappingCondition:
    what = "a condition of a slot mapping"
    fields = read_fields(node, what, ("active_loop", "requested_slot"), draft.report)
    if is_mapping(node) and "active_loop" not in fields:
        message = f"{what}: the key active_loop is missing; read as null: it holds while no form is active"
        draft.report.warning(node.where, message)
    names = {
        key: read_text(fields[key], key, draft.report) if key in fields and not is_empty(fields[key]) else None
        for key in ("active_loop", "requested_slot")
    }
    if names["active_loop"]:
        draft.refer("form", names["active_loop"], fields["active_loop"].where)
    if names["requested_slot"]:
        draft.refer("slot", names["requested_slot"], fields["requested_slot"].where)
    return MappingCondition(names["active_loop"], names["requested_slot"])
