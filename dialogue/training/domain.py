"""The sections of a domain file, however it is split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from dialogue.domain import ActionSpec, Domain, EntitySpec, Form, IntentSpec
from dialogue.errors import Where
from dialogue.training.nodes import (
    Entry,
    Listing,
    Node,
    Scalar,
    Table,
    is_empty,
    read_entries,
    read_fields,
    read_flag,
    read_items,
    read_label,
    read_named,
    read_number,
    read_text,
    read_texts,
)
from dialogue.training.old import MIGRATE
from dialogue.training.responses import read_responses
from dialogue.training.slots import read_slots
from dialogue.training.types import Draft, ReferenceKind

T = TypeVar("T")
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "session_expiration_time": "session_expiration_minutes",
        "carry_over_slots_to_new_session": "carry_over_slots",
        "store_entities_as_slots": "store_entities_as_slots",
    }
)
INTENT_KEYS = ("description", "use_entities", "ignore_entities", "is_retrieval_intent", "triggers")
FORM_KEYS = ("required_slots", "ignored_intents")
FORM_SHAPE = f"required_slots is a list, and each slot has its own mappings; {MIGRATE}"


def read_intents(section: Node, draft: Draft) -> None:
    """`intents:` names, or names with `description`, `use_entities`, `ignore_entities`."""
    for name, where, options in _named(section, "intents", draft):
        fields = _options(options, f"intent {name!r}", INTENT_KEYS, draft)
        if "triggers" in fields:
            draft.report.error(where, f"intent {name!r}: triggers went with Rasa 1; write a rule")
        description = fields.get("description")
        spec = IntentSpec(
            name=name,
            description=read_text(description, "description", draft.report) if description else None,
            use_entities=_used_entities(fields.get("use_entities"), draft),
            ignore_entities=_ignored_entities(fields.get("ignore_entities"), draft),
            where=where,
        )
        _declare(draft.intents, name, spec, where, "intent", draft)


def read_entities(section: Node, draft: Draft) -> None:
    """`entities:` names, or names with `roles`, `groups`, `influence_conversation`."""
    for name, where, options in _named(section, "entities", draft):
        fields = _options(options, f"entity {name!r}", ("roles", "groups", "influence_conversation"), draft)
        spec = EntitySpec(
            name=name,
            roles=_labels(fields.get("roles"), "roles", draft),
            groups=_labels(fields.get("groups"), "groups", draft),
            influence_conversation=_flag(fields, "influence_conversation", draft),
            where=where,
        )
        _declare(draft.entities, name, spec, where, "entity", draft)


def read_actions(section: Node, draft: Draft) -> None:
    """`actions:` names, or names with `send_domain`."""
    for name, where, options in _named(section, "actions", draft):
        fields = _options(options, f"action {name!r}", ("send_domain",), draft)
        spec = ActionSpec(name, _flag(fields, "send_domain", draft, default=False), where)
        _declare(draft.actions, name, spec, where, "action", draft)


def read_forms(section: Node, draft: Draft) -> None:
    """`forms:` a mapping from names to `required_slots` and `ignored_intents`.

    A form without anything under it leaves it to its `validate_` action which slots it asks for.
    """
    if isinstance(section, Listing):
        draft.report.error(section.where, f"forms: a list of names, as Rasa 1 had it; {FORM_SHAPE}")
        for name, where, _ in _named(section, "forms", draft):
            _declare(draft.forms, name, Form(name, where=where), where, "form", draft)
        return
    for name, entry in read_entries(section, "forms", draft.report).items():
        fields = _form_fields(name, entry, draft)
        form = Form(
            name=name,
            required_slots=_names(fields.get("required_slots"), "slot", f"required_slots of form {name!r}", draft),
            ignored_intents=_names(fields.get("ignored_intents"), "intent", "ignored_intents", draft),
            where=entry.where,
        )
        _declare(draft.forms, name, form, entry.where, "form", draft)


def _form_fields(name: str, entry: Entry, draft: Draft) -> Mapping[str, Node]:
    """What stands under a form; nothing after telling that it is a form of Rasa 2: slots with their mappings."""
    what = f"form {name!r}"
    written = {key: inner.value for key, inner in read_entries(entry.value, what, draft.report).items()}
    slots = written.get("required_slots")
    mapped = [key for key, node in written.items() if key not in FORM_KEYS and _are_mappings(node)]
    if isinstance(slots, Table) or (mapped and slots is None):
        place = slots.where if slots is not None else entry.where
        draft.report.error(place, f"{what}: slots with mappings under them, as Rasa 2 had it; {FORM_SHAPE}")
        return {}
    if isinstance(entry.value, Table) and slots is None:
        draft.report.error(entry.where, f"{what} has no required_slots")
    return read_fields(entry.value, what, FORM_KEYS, draft.report) if written else {}


def _are_mappings(node: Node) -> bool:
    """Whether it is a list of mappings, as stood under each slot of a form."""
    return isinstance(node, Listing) and any(isinstance(item, Table) for item in node.items)


def read_e2e_actions(section: Node, draft: Draft) -> None:
    """`e2e_actions:` texts."""
    draft.e2e_actions += _texts(section, "e2e_actions", draft)


def read_session_config(section: Node, draft: Draft) -> None:
    """`session_config:` how long a session lasts and whether slots outlive it."""
    known = ("session_expiration_time", "carry_over_slots_to_new_session")
    fields = read_fields(section, "session_config", known, draft.report, strict=False)
    expiry = fields.get("session_expiration_time")
    if expiry is not None and not is_empty(expiry):
        minutes = read_number(expiry, "session_expiration_time", draft.report, default=60.0)
        if minutes < 0:
            draft.report.error(expiry.where, f"session_expiration_time: expected minutes, 0 or more, got {minutes:g}")
        _set("session_expiration_time", minutes, expiry, draft)
    if carries := fields.get("carry_over_slots_to_new_session"):
        carried = _flag(fields, "carry_over_slots_to_new_session", draft)
        _set("carry_over_slots_to_new_session", carried, carries, draft)


def read_domain_config(section: Node, draft: Draft) -> None:
    """`config:` whether an entity fills the slot of its name."""
    fields = read_fields(section, "config", ("store_entities_as_slots",), draft.report, strict=False)
    for key, node in fields.items():
        _set(key, _flag(fields, key, draft), node, draft)


SECTIONS: Mapping[str, Callable[[Node, Draft], None]] = MappingProxyType(
    {
        "intents": read_intents,
        "entities": read_entities,
        "slots": read_slots,
        "responses": read_responses,
        "actions": read_actions,
        "forms": read_forms,
        "e2e_actions": read_e2e_actions,
        "session_config": read_session_config,
        "config": read_domain_config,
    }
)


def build_domain(draft: Draft) -> Domain:
    """The domain of everything read so far. Retrieval intents come from responses and examples with a `/`."""
    return Domain(
        intents=MappingProxyType(dict(draft.intents)),
        entities=MappingProxyType(dict(draft.entities)),
        slots=MappingProxyType(dict(draft.slots)),
        responses=MappingProxyType(dict(draft.responses)),
        actions=MappingProxyType(dict(draft.actions)),
        forms=MappingProxyType(dict(draft.forms)),
        retrieval=MappingProxyType(_retrieval(draft)),
        e2e_actions=tuple(dict.fromkeys(draft.e2e_actions)),
        **{key: value for key, (value, _) in draft.settings.items()},
    )


def _retrieval(draft: Draft) -> dict[str, tuple[str, ...]]:
    full_names = {name.removeprefix("utter_") for name in draft.responses} | {item.intent for item in draft.examples}
    keys: dict[str, list[str]] = {}
    for name in sorted(full_names):
        base, slash, key = name.partition("/")
        if slash:
            keys.setdefault(base, []).append(key)
    return {base: tuple(found) for base, found in keys.items()}


def _named(section: Node, what: str, draft: Draft) -> list[tuple[str, Where, Node | None]]:
    found = (read_named(item, what, draft.report) for item in read_items(section, what, draft.report))
    return [item for item in found if item is not None]


def _declare(known: dict[str, T], name: str, spec: T, where: Where, kind: str, draft: Draft) -> None:
    """Add to the draft; of two with one name the first."""
    if name in known:
        first = known[name].where  # type: ignore[attr-defined]
        draft.report.warning(where, f"{kind} {name!r} is declared twice; first in {first}, which is kept")
    else:
        known[name] = spec


def _set(key: str, value: Any, node: Node, draft: Draft) -> None:
    """Note a setting; of two that differ the first."""
    first, place = draft.settings.setdefault(SETTINGS[key], (value, node.where))
    if first != value:
        draft.report.warning(node.where, f"{key} is set twice; first in {place}, which is kept")


def _options(node: Node | None, what: str, known: tuple[str, ...], draft: Draft) -> Mapping[str, Node]:
    """What stands under a name; keys that Rasa would pass over are only warned of."""
    return read_fields(node, what, known, draft.report, strict=False) if node else {}


def _flag(fields: Mapping[str, Node], key: str, draft: Draft, *, default: bool = True) -> bool:
    return read_flag(fields[key], key, draft.report, default) if key in fields else default


def _labels(node: Node | None, what: str, draft: Draft) -> tuple[str, ...]:
    """One label or a list of them."""
    if node is None or is_empty(node):
        return ()
    items = (node,) if isinstance(node, Scalar) else read_items(node, what, draft.report)
    found = (read_label(item, what, draft.report) for item in items)
    return tuple(label for label in found if label is not None)


def _texts(node: Node | None, what: str, draft: Draft) -> tuple[str, ...]:
    return tuple(text for text, _ in read_texts(node, what, draft.report)) if node else ()


def _names(node: Node | None, kind: ReferenceKind, what: str, draft: Draft) -> tuple[str, ...]:
    """Texts that the domain must know as a `kind`."""
    found = read_texts(node, what, draft.report) if node else ()
    for name, where in found:
        draft.refer(kind, name, where)
    return tuple(name for name, _ in found)


def _used_entities(node: Node | None, draft: Draft) -> tuple[str, ...] | None:
    """`use_entities`: a list, or true for all and false for none."""
    if node is None or is_empty(node):
        return None
    value = getattr(node, "value", None)
    if isinstance(value, bool):
        return None if value else ()
    return _names(node, "entity", "use_entities", draft)


def _ignored_entities(node: Node | None, draft: Draft) -> tuple[str, ...]:
    """`ignore_entities`: a list, or false for none."""
    return () if getattr(node, "value", None) is False else _names(node, "entity", "ignore_entities", draft)
