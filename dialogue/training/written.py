"""Stories as YAML: what the readers read, written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

from dialogue.training.yaml import resolve
from policies.types import FILLED, Entity, Story, StoryStep

_PLAIN = re.compile(r"[^\W\d][\w./-]*( [\w./-]+)*", re.ASCII)
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
_SIMPLE = re.compile(r"[\w.-]+")
NOTHING: Mapping[int, Sequence[str]] = MappingProxyType({})


def story_lines(story: Story, notes: Mapping[int, Sequence[str]] = NOTHING) -> Iterator[str]:
    """A story's lines, without line ends.

    Args:
        story: what to write.
        notes: comments by the number of a step; a number past the last step puts them at the end.
    """
    yield f"- story: {scalar(story.name)}"
    yield "  steps:"
    for index, step in enumerate(story.steps):
        first, *rest = step_lines(step)
        yield f"  - {first}" + _comment(notes.get(index, ()))
        yield from (f"    {line}" for line in rest)
    if last := notes.get(len(story.steps)):
        yield f" {_comment(last)}"


def step_lines(step: StoryStep) -> list[str]:
    """A step's lines, to be indented and to stand after a dash."""
    if step.action is not None:
        return [f"action: {scalar(step.action)}"]
    if step.bot_text is not None:
        return [f"bot: {scalar(step.bot_text)}"]
    if step.intent is not None or step.text is not None:
        return _turn(step)
    if step.sets_form:
        return [f"active_loop: {'null' if step.active_form is None else scalar(step.active_form)}"]
    return ["slot_was_set:", *(f"- {_slot(name, value)}" for name, value in step.slots.items())]


def scalar(value: Any) -> str:
    """A value as one line of YAML: plain where it reads back as the same text, else as JSON, which is YAML too."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and resolve(value) == value:
        return value
    written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", written)


def annotate(text: str, entities: Sequence[Entity]) -> str:
    """The sentence with its entities marked; those without a place in it are left out, overlapping ones as well."""
    parts, position = [], 0
    placed = sorted((one for one in entities if one.start < one.end), key=lambda one: (one.start, one.end))
    for (start, end), found in groupby(placed, key=lambda one: (one.start, one.end)):
        if start >= position:
            parts += [text[position:start], f"[{text[start:end]}]", _mark(text[start:end], list(found))]
            position = end
    return "".join(parts) + text[position:]


def _turn(step: StoryStep) -> list[str]:
    lines = [] if step.text is None else [f"user: {scalar(annotate(step.text, step.entities))}"]
    lines += [] if step.intent is None else [f"intent: {scalar(step.intent)}"]
    loose = [entity for entity in step.entities if step.text is None or entity.start >= entity.end]
    if loose:
        lines.append("entities:")
    for entity in loose:
        labels = {key: label for key, label in (("role", entity.role), ("group", entity.group)) if label is not None}
        if entity.value is None and not labels:
            lines.append(f"- {scalar(entity.entity)}")
        else:
            first, *rest = ({entity.entity: entity.value} | labels).items()
            lines.append(f"- {scalar(first[0])}: {scalar(first[1])}")
            lines += [f"  {key}: {scalar(label)}" for key, label in rest]
    return lines


def _slot(name: str, value: Any) -> str:
    return scalar(name) if value is FILLED else f"{scalar(name)}: {scalar(value)}"


def _mark(marked: str, entities: Sequence[Entity]) -> str:
    """What stands behind a marked stretch: the short form where it says all."""
    first = entities[0]
    keys = [
        {key: getattr(one, key) for key in ("entity", "role", "group") if getattr(one, key) is not None}
        | ({} if one.value == marked else {"value": one.value})
        for one in entities
    ]
    if len(entities) == 1 and keys[0].keys() == {"entity"} and _SIMPLE.fullmatch(first.entity):
        return f"({first.entity})"
    return json.dumps(keys if len(keys) > 1 else keys[0], ensure_ascii=False)


def _comment(notes: Sequence[str]) -> str:
    return f"  # {'; '.join(' '.join(note.split()) for note in notes)}" if notes else ""
