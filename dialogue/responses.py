"""Responses of the domain: which variation is said, with slots filled in."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dialogue.domain import ResponseCondition, ResponseVariation
from dialogue.message import Button, Reply

logger = logging.getLogger(__name__)

PLACEHOLDER = re.compile(r"\{([^\W\d][\w.-]*)\}")
DOUBLED = re.compile(rf"\{{\{{|\}}\}}|{PLACEHOLDER.pattern}")


def choose(
    variations: Sequence[ResponseVariation], slots: Mapping[str, Any], channel: str | None, rng: random.Random
) -> ResponseVariation | None:
    """The variation to say, at random among the equally fitting ones, or None when none may be said.

    Those for the channel go before those for any, and among these those with a condition that holds before those
    without.
    """
    allowed = [v for v in variations if v.channel in (None, channel) and _holds(v.condition, slots)]
    best = max((_rank(variation) for variation in allowed), default=None)
    equal = [variation for variation in allowed if _rank(variation) == best]
    return rng.choice(equal) if equal else None


def render(name: str, variation: ResponseVariation, values: Mapping[str, Any]) -> tuple[Reply, ...]:
    """What is said: one reply, and one more for each element of a carousel.

    Args:
        name: of the response, kept as `utter_action` in the metadata.
        variation: `{slot}` is filled in everywhere but in elements.
        values: of slots and whatever else may be filled in; None becomes an empty text, an unknown name stays.
    """
    metadata = {"utter_action": name} | ({"id": variation.id} if variation.id else {})
    metadata |= variation.metadata if isinstance(variation.metadata, Mapping) else {}
    buttons = [*variation.buttons, *(item for item in variation.quick_replies if isinstance(item, Mapping))]
    main = Reply(
        text=fill(variation.text, values),
        buttons=tuple(map(Button.of, fill(buttons, values))),
        image=fill(variation.image, values),
        attachment=fill(variation.attachment, values),
        custom=fill(variation.custom, values),
        metadata=metadata,
    )
    cards = element_replies(variation.elements, metadata)
    return (main, *cards) if main.as_dict() or not cards else cards


def element_replies(elements: Iterable[Any], metadata: Mapping[str, Any]) -> tuple[Reply, ...]:
    """The cards of a carousel as plain replies, "title : subtitle" with their image and buttons."""
    return tuple(
        Reply(
            text=" : ".join(str(card[key]) for key in ("title", "subtitle") if card.get(key)) or None,
            buttons=tuple(map(Button.of, card.get("buttons") or ())),
            image=card.get("image_url"),
            metadata=metadata,
        )
        for card in elements
        if isinstance(card, Mapping)
    )


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """`value` with every `{name}` in its texts filled in, at any depth of lists and mappings.

    As in Rasa `{{` and `}}` stand for single braces: `/inform{{"city": "Rome"}}`. Where only one of them occurs, it is
    no pair, but JSON in JSON, and stays.
    """
    if isinstance(value, str):
        pattern = DOUBLED if "{{" in value and "}}" in value else PLACEHOLDER
        return pattern.sub(lambda match: _filled(match, values), value)
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    return [fill(item, values) for item in value] if isinstance(value, (list, tuple)) else value


def _filled(match: re.Match[str], values: Mapping[str, Any]) -> str:
    name = match[1]
    if name is None:
        return match[0][0]
    if name not in values:
        logger.warning("a response says {%s}, but there is no such slot", name)
        return match[0]
    value = values[name]
    return "" if value is None else str(value)


def _rank(variation: ResponseVariation) -> tuple[bool, bool]:
    return variation.channel is not None, bool(variation.condition)


def _holds(condition: Iterable[ResponseCondition], slots: Mapping[str, Any]) -> bool:
    return all(_same(item.value, slots.get(item.name)) for item in condition)


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, str) and isinstance(found, str):
        return wanted.casefold() == found.casefold()
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(wanted == found)
