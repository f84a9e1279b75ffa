"""The `stories` and `rules` sections: their steps, cut into blocks at checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Any

from dialogue.errors import Where
from dialogue.training.annotations import read_annotated
from dialogue.training.nodes import (
    Listing,
    Node,
    Scalar,
    Table,
    is_empty,
    is_mapping,
    plain,
    read_entries,
    read_fields,
    read_flag,
    read_items,
    read_label,
    read_text,
)
from dialogue.training.types import Block, Checkpoint, Draft
from policies.types import FILLED, Entity, Story, StoryStep

STORY_KEYS = ("story", "steps", "metadata")
RULE_KEYS = ("rule", "steps", "metadata", "condition", "conversation_start", "wait_for_user_input")
STEP_KINDS = ("intent", "user", "action", "bot", "slot_was_set", "active_loop", "checkpoint", "or")
STEP_KEYS = (*STEP_KINDS, "entities", "metadata")
OR_KINDS = ("intent", "user", "slot_was_set")
MAX_ALTERNATIVES = 1000
EXTRACTOR = "story"

Alternatives = tuple[StoryStep, ...]


@dataclass(slots=True)
class _Segment:
    """Steps between checkpoints, each with the alternatives an `or` gives it."""

    starts: list[Checkpoint] = field(default_factory=list)
    steps: list[Alternatives] = field(default_factory=list)
    ends: list[Checkpoint] = field(default_factory=list)


def read_stories(section: Node, draft: Draft) -> None:
    """Read the list under `stories:` into the draft's blocks."""
    for item in read_items(section, "stories", draft.report):
        fields = read_fields(item, "a story", STORY_KEYS, draft.report)
        name = _name(fields, "story", item, draft)
        for segment in _read_segments(fields["steps"], draft) if "steps" in fields else ():
            for steps in _multiplied(segment.steps, item.where, name, draft):
                draft.blocks.append(Block(name, item.where, tuple(segment.starts), steps, tuple(segment.ends)))


def read_rules(section: Node, draft: Draft) -> None:
    """Read the list under `rules:` into the draft."""
    for item in read_items(section, "rules", draft.report):
        fields = read_fields(item, "a rule", RULE_KEYS, draft.report)
        name = _name(fields, "rule", item, draft)
        if "steps" not in fields:
            continue
        condition = [step for (step,) in _read_conditions(fields, draft)]
        flags = {
            key: read_flag(fields[key], key, draft.report, default) if key in fields else default
            for key, default in (("conversation_start", False), ("wait_for_user_input", True))
        }
        for segment in _read_segments(fields["steps"], draft):
            for checkpoint in (*segment.starts, *segment.ends):
                draft.report.error(checkpoint.where, f"rule {name!r}: a rule has no checkpoints; write a story")
            for steps in _multiplied(segment.steps, item.where, name, draft):
                draft.rules.append(Story(name, steps, str(item.where), True, tuple(condition), **flags))


def _name(fields: Mapping[str, Node], kind: str, item: Node, draft: Draft) -> str:
    name = None
    if kind in fields and is_empty(fields[kind]):
        draft.report.warning(fields[kind].where, f"a {kind} without a name")
    elif kind in fields:
        name = read_text(fields[kind], kind, draft.report)
    elif isinstance(item, Table):
        draft.report.error(item.where, f"a {kind} without a name; expected the key {kind}")
    steps = fields.get("steps")
    if isinstance(item, Table) and (steps is None or is_empty(steps) or steps == Listing(steps.where, ())):
        draft.report.warning(item.where, f"{kind} {name or ''!r} has no steps")
    return name or ""


def _read_conditions(fields: Mapping[str, Node], draft: Draft) -> list[Alternatives]:
    found: list[Alternatives] = []
    for item in read_items(fields["condition"], "condition", draft.report) if "condition" in fields else ():
        step = read_fields(item, "a condition of a rule", ("active_loop", "slot_was_set"), draft.report)
        if len(step) == 1:
            found += _read_state(step, draft)
        elif is_mapping(item):
            draft.report.error(item.where, "a condition of a rule: expected one of active_loop, slot_was_set")
    return found


def _read_segments(steps: Node, draft: Draft) -> list[_Segment]:
    """Cut the steps at their checkpoints. A checkpoint in the middle ends one segment and begins the next."""
    segments = [_Segment()]
    for item in read_items(steps, "steps", draft.report):
        fields = read_fields(item, "a step", STEP_KEYS, draft.report)
        checkpoint = _read_checkpoint(fields, draft) if "checkpoint" in fields else None
        current = segments[-1]
        if checkpoint is None:
            if current.ends:
                current = _Segment(starts=list(current.ends))
                segments.append(current)
            current.steps += _placed(_read_step(fields, item, draft), item) if "checkpoint" not in fields else ()
        else:
            (current.ends if current.steps else current.starts).append(checkpoint)
    return [segment for segment in segments if segment.steps or segment.starts]


def _read_checkpoint(fields: Mapping[str, Node], draft: Draft) -> Checkpoint | None:
    name = read_text(fields["checkpoint"], "checkpoint", draft.report)
    if name is None:
        return None
    slots = _read_slots(fields["slot_was_set"], draft) if "slot_was_set" in fields else {}
    return Checkpoint(name, MappingProxyType(slots), fields["checkpoint"].where)


def _read_step(fields: Mapping[str, Node], item: Node, draft: Draft) -> list[Alternatives]:
    """A step as the list of what it says, each with its alternatives (one, unless it is an `or`)."""
    kinds = [kind for kind in STEP_KINDS if kind in fields]
    is_turn = "intent" in kinds or "user" in kinds
    if not is_mapping(item) or ("metadata" in fields and not kinds):
        return []
    if not kinds or (len(kinds) > 1 and kinds != ["intent", "user"]):
        wanted = f"expected one of {', '.join(STEP_KINDS)}, got {' and '.join(kinds) or 'none of them'}"
        draft.report.error(item.where, f"a step: {wanted}")
        return []
    if "entities" in fields and not is_turn:
        draft.report.error(fields["entities"].where, "a step: entities belong to an intent or a user text")
    if is_turn:
        step = _read_turn(fields, draft)
        return [(step,)] if step else []
    if "action" in fields or "bot" in fields:
        return _read_bot(fields, draft)
    return _read_or(fields["or"], draft) if "or" in fields else _read_state(fields, draft)


def _placed(steps: Sequence[Alternatives], item: Node) -> list[Alternatives]:
    """The steps with their place; alternatives of an `or` have theirs already."""
    return [tuple(replace(one, where=one.where or str(item.where)) for one in step) for step in steps]


def _read_turn(fields: Mapping[str, Node], draft: Draft) -> StoryStep | None:
    """A user turn by its intent, its text, or (in test stories) both."""
    intent = text = None
    entities: tuple[Entity, ...] = ()
    if node := fields.get("intent"):
        intent = _read_intent(node, draft)
    if (node := fields.get("user")) and not (intent and _is_blank(node)):
        written = read_text(node, "user", draft.report)
        text, entities = read_annotated(written, node.where, draft.report) if written else (None, ())
        for entity in entities:
            draft.refer("entity", entity.entity, node.where)
    if node := fields.get("entities"):
        entities += _read_entities(node, draft)
    return StoryStep(intent=intent, text=text, entities=entities) if intent or text else None


def _is_blank(node: Node) -> bool:
    """Whether nothing is said, as test stories write it of a message without a text."""
    return isinstance(node, Scalar) and isinstance(node.value, str) and not node.value.strip()


def _read_intent(node: Node, draft: Draft) -> str | None:
    """The name of an intent. A slash before it, as in what a button sends, is none of the name."""
    written = read_text(node, "intent", draft.report)
    intent = written.removeprefix("/") if written else None
    if written and intent != written:
        draft.report.warning(node.where, f"intent {written!r}: the slash is not needed")
    if intent:
        draft.refer("intent", intent, node.where)
    return intent


def _read_entities(node: Node, draft: Draft) -> tuple[Entity, ...]:
    """`entities:` of a story step: names, or `name: value` with `role` and `group` beside it."""
    found = []
    for item in read_items(node, "entities", draft.report):
        if isinstance(item, Scalar):
            name = read_text(item, "an entity", draft.report)
            if name is not None:
                draft.refer("entity", name, item.where)
                found.append(Entity(name, 0, 0, None, EXTRACTOR))
            continue
        entries = dict(read_entries(item, "an entity", draft.report))
        parts = {key: entries.pop(key) for key in ("role", "group") if key in entries and len(entries) > 1}
        labels = {key: read_label(entry.value, key, draft.report) for key, entry in parts.items()}
        if len(entries) != 1:
            draft.report.error(item.where, f"an entity: expected one `name: value`, got {len(entries)}")
            continue
        name, entry = next(iter(entries.items()))
        draft.refer("entity", name, entry.where)
        found.append(Entity(name, 0, 0, plain(entry.value), EXTRACTOR, None, labels.get("role"), labels.get("group")))
    return tuple(found)


def _read_bot(fields: Mapping[str, Node], draft: Draft) -> list[Alternatives]:
    if "bot" in fields:
        text = read_text(fields["bot"], "bot", draft.report)
        return [(StoryStep(bot_text=text),)] if text else []
    name = read_text(fields["action"], "action", draft.report)
    if name is None:
        return []
    draft.refer("action", name, fields["action"].where)
    return [(StoryStep(action=name),)]


def _read_state(fields: Mapping[str, Node], draft: Draft) -> list[Alternatives]:
    """What became true: a form active or no longer, slots filled."""
    if "slot_was_set" in fields:
        slots = _read_slots(fields["slot_was_set"], draft)
        return [(StoryStep(slots=MappingProxyType(slots)),)] if slots else []
    node = fields["active_loop"]
    if is_empty(node):
        return [(StoryStep(sets_form=True),)]
    form = read_text(node, "active_loop", draft.report)
    if form is None:
        return []
    draft.refer("form", form, node.where)
    return [(StoryStep(active_form=form, sets_form=True),)]


def _read_slots(node: Node, draft: Draft) -> dict[str, Any]:
    """`slot_was_set:` a list of names or `name: value`; a bare name means that it is filled."""
    slots: dict[str, Any] = {}
    items = (node,) if isinstance(node, Table | Scalar) else read_items(node, "slot_was_set", draft.report)
    for item in items:
        if isinstance(item, Table):
            for name, entry in item.entries.items():
                draft.refer("slot", name, entry.where)
                slots[name] = plain(entry.value)
        elif (name_or_none := read_text(item, "slot_was_set", draft.report)) is not None:
            draft.refer("slot", name_or_none, item.where)
            slots[name_or_none] = FILLED
    return slots


def _read_or(node: Node, draft: Draft) -> list[Alternatives]:
    """`or:` a list of what the user says, or of `slot_was_set`."""
    found: list[StoryStep] = []
    for item in read_items(node, "or", draft.report):
        written = item.entries if isinstance(item, Table) else ()
        if is_mapping(item) and not any(kind in written for kind in OR_KINDS):
            wanted = f"expected intent, user or slot_was_set, got {' and '.join(written) or 'nothing'}"
            draft.report.error(item.where, f"an alternative of `or`: {wanted}")
            continue
        fields = read_fields(item, "an alternative of `or`", (*OR_KINDS, "entities", "metadata"), draft.report)
        if "intent" in fields or "user" in fields:
            step = _read_turn(fields, draft)
            found += [replace(step, where=str(item.where))] if step else []
        elif "slot_was_set" in fields:
            found += [step for (step,) in _placed(_read_state(fields, draft), item)]
    return [tuple(found)] if found else []


def _multiplied(steps: Sequence[Alternatives], where: Where, name: str, draft: Draft) -> list[tuple[StoryStep, ...]]:
    """Every way through the alternatives."""
    ways = math.prod(len(alternatives) for alternatives in steps)
    if ways > MAX_ALTERNATIVES:
        message = f"the `or` steps of {name!r} multiply to {ways} stories; expected at most {MAX_ALTERNATIVES}"
        draft.report.error(where, message)
        return []
    return list(product(*steps))
