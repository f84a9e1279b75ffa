"""From a text to a belief: the protocol of the model, the shortcut past it, and the parse a belief is shown as."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from dialogue.domain import DEFAULT_INTENTS, Domain
from dialogue.errors import suggestion
from dialogue.message import EMPTY
from policies.types import Belief, Candidate, Entity

logger = logging.getLogger(__name__)

SHORTCUT = re.compile(r"/(?P<name>[^\s{@]+)(?:@(?P<confidence>[0-9.]+))?\s*(?P<entities>\{.*)?", re.DOTALL)
EXTRACTOR = "shortcut"
RANKING = 10


class Understanding(Protocol):
    """What reads messages. Several threads may use it."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds per stage of this thread's last call, for all its texts together."""
        ...

    def parse_many(self, texts: Sequence[str]) -> list[Belief]:
        """What each text means."""
        ...


def shortcut(text: str, domain: Domain) -> Belief | None:
    """The belief a message such as `/inform@0.9{"city": "Oslo"}` stands for, or None if it is an ordinary text.

    The confidence given, 1 without, is the intent's probability and the rest that of "none of these". `/faq/wifi` names
    an answer of a retrieval intent. An intent the bot does not have, or braces that hold no JSON mapping, mean none of
    the intents for certain: a stale button must not be guessed at.
    """
    match = SHORTCUT.fullmatch(text.strip())
    if match is None:
        return None
    name, _, key = match["name"].partition("/")
    confidence = _probability(match["confidence"])
    entities = _entities(match["entities"], match.start("entities"), len(match[0]))
    known = name in domain.intents or name in domain.retrieval or name in DEFAULT_INTENTS
    if not known or (key and key not in domain.retrieval.get(name, ())):
        hint = suggestion(match["name"], (*domain.intents, *DEFAULT_INTENTS))
        logger.warning("message %r: no intent %r%s", text, match["name"], hint)
        confidence = 0.0
    if confidence is None or entities is None:
        logger.warning('message %r: expected /intent, /intent@0.9 or /intent{"entity": "value"}', text)
        confidence, entities = 0.0, ()
    responses = {name: (_certain(f"{name}/{key}", 1.0),)} if key and confidence else {}
    return told(name, confidence, entities or (), responses)


def told(
    intent: str,
    confidence: float = 1.0,
    entities: Sequence[Entity] = (),
    responses: Mapping[str, tuple[Candidate, ...]] = EMPTY,
) -> Belief:
    """The belief in what was told, not read: one intent with its probability, and the rest on "none of these"."""
    unknown = 1 - confidence
    entropy = -sum(p * math.log(p) for p in (confidence, unknown) if p > 0)
    return Belief((_certain(intent, confidence),), unknown, entropy, 0.0, responses, tuple(entities))


def belief_in(parse: Mapping[str, Any], entities: Sequence[Entity] = ()) -> Belief:
    """The belief a parse tells of: its intent with its confidence, 1 where none is given."""
    intent = parse.get("intent") or {}
    if not intent.get("name"):
        return Belief((), 1.0, 0.0, 0.0, entities=tuple(entities))
    confidence = intent.get("confidence")
    return told(str(intent["name"]), 1.0 if confidence is None else float(confidence), entities)


def entities_of(value: Any) -> tuple[Entity, ...] | None:
    """Entities told by name, `{"name": value, "name": [value, value]}`, or in the parse shape; None if in neither."""
    if isinstance(value, Mapping):
        pairs = [
            (name, item) for name, given in value.items() for item in (given if isinstance(given, list) else [given])
        ]
        return tuple(Entity(str(name), 0, 0, item, EXTRACTOR) for name, item in pairs)
    if value is None:
        return ()
    if not isinstance(value, Sequence) or not all(isinstance(one, Mapping) and one.get("entity") for one in value):
        return None
    return tuple(
        Entity(str(one["entity"]), 0, 0, one.get("value"), EXTRACTOR, role=one.get("role"), group=one.get("group"))
        for one in value
    )


def found_in(parse: Mapping[str, Any]) -> tuple[Entity, ...]:
    """The entities of a parse, each with its place in the text where it has one.

    Raises:
        ValueError: if they are not in the parse shape.
    """
    told, given = entities_of(parse.get("entities") or []), parse.get("entities") or []
    if told is None or isinstance(given, Mapping):
        raise ValueError(f"entities: expected a list of mappings with 'entity', got {given!r:.80}")
    try:
        return tuple(
            replace(one, start=int(written.get("start") or 0), end=int(written.get("end") or 0))
            for one, written in zip(told, given, strict=True)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"entities: expected whole numbers as start and end: {error}") from error


def response_key(intent: str, name: str) -> str:
    """The full key of an answer of a retrieval intent, `faq/wifi`, from that or the short `wifi`."""
    return name if name.startswith(f"{intent}/") else f"{intent}/{name}"


def parse_data(text: str, belief: Belief, domain: Domain, *, language: str = "en") -> dict[str, Any]:
    """A belief in the parse shape of Rasa, with the belief's own numbers under `belief`.

    Rankings are cut after ten. Confidences are posterior means.
    """
    from encoders.tokenizer import tokenize

    return {
        "text": text,
        "intent": _intent(belief),
        "entities": [_shown_entity(entity) for entity in belief.entities],
        "text_tokens": [[token.start, token.end] for token in tokenize(text, language).tokens],
        "intent_ranking": [{"name": c.name, "confidence": c.mean} for c in belief.intents[:RANKING]],
        "response_selector": _selector(belief, domain),
        "belief": belief_data(belief),
    }


def _intent(belief: Belief) -> dict[str, Any]:
    """The best intent; of a retrieval intent with the answer that fits best."""
    top = belief.top
    found = {"name": top.name if top else None, "confidence": top.mean if top else 0.0}
    answers = belief.responses.get(top.name) if top else None
    return found | ({"full_retrieval_intent_name": response_key(top.name, answers[0].name)} if top and answers else {})


def belief_data(belief: Belief, most: int = RANKING) -> dict[str, Any]:
    """The numbers of a belief, ready for JSON: at most so many intents."""
    return {
        "intents": [
            {"name": c.name, "mean": c.mean, "lower": c.lower, "upper": c.upper} for c in belief.intents[:most]
        ],
        "unknown": belief.unknown,
        "entropy": belief.entropy,
        "mutual_information": belief.mutual_information,
        "contributions": dict(belief.contributions),
    }


def _selector(belief: Belief, domain: Domain) -> dict[str, Any]:
    selected = {
        intent: _selected(domain, [response_key(intent, candidate.name) for candidate in ranking[:RANKING]], ranking)
        for intent, ranking in belief.responses.items()
        if ranking
    }
    return {"all_retrieval_intents": sorted(domain.retrieval), **(selected or {"default": _selected(domain, [], [])})}


def _selected(domain: Domain, keys: Sequence[str], ranking: Sequence[Candidate]) -> dict[str, Any]:
    best = keys[0] if keys else None
    variations = domain.responses.get(f"utter_{best}")
    return {
        "response": {
            "responses": [{"text": variation.text} for variation in variations] if variations else None,
            "confidence": ranking[0].mean if ranking else 0.0,
            "intent_response_key": best,
            "utter_action": f"utter_{best}",
        },
        "ranking": [
            {"confidence": candidate.mean, "intent_response_key": key}
            for key, candidate in zip(keys, ranking, strict=False)
        ],
    }


def _shown_entity(entity: Entity) -> dict[str, Any]:
    shown = {"entity": entity.entity, "start": entity.start, "end": entity.end, "value": entity.value}
    shown["extractor"] = entity.extractor
    optional = {
        "confidence_entity": entity.confidence,
        "role": entity.role,
        "group": entity.group,
        "additional_info": entity.info,
    }
    return shown | {key: value for key, value in optional.items() if value is not None}


def _certain(name: str, probability: float) -> Candidate:
    return Candidate(name, probability, probability, probability)


def _probability(written: str | None) -> float | None:
    try:
        value = 1.0 if written is None else float(written)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _entities(written: str | None, start: int, end: int) -> tuple[Entity, ...] | None:
    """The entities of `{"name": value, "name": [value, value]}`."""
    try:
        found = json.loads(written or "{}")
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return tuple(replace(entity, start=max(start, 0), end=end) for entity in entities_of(found) or ())
